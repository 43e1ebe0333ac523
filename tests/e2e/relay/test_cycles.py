"""Allocations that come and go leave nothing: no descriptor, no port, no row, no memory."""

import struct
from pathlib import Path

from tests.e2e.relay.caller import Caller, Peer
from tests.e2e.relay.servers import HOST, IS_FULL, Server, hurried, on_both
from tests.programs import until

CYCLES = 10_000 if IS_FULL else 300
LAPSING = 2_000 if IS_FULL else 20
AT_ONCE = 10
WARM = 60
GROWN_KIB_MAX = 512
SPEED = 1000  # of the clock: an allocation of ten minutes lasts 0.6 s


def cycle(server: Server, peer: Peer, number: int, host: str) -> None:
    """One allocation with a channel that carries something; it ends in one of two ways."""
    is_tcp = number % 2 == 1
    with Caller((HOST, server.port), is_tcp=is_tcp, source=host) as caller:
        caller.allocate()
        assert caller.channel(0x4001, peer.address) == 0
        caller.frame(0x4001, b"hello")
        data, relayed = peer.came(3)
        assert data == b"hello"
        if number % 4 < 2:
            peer.send(data, relayed)
            assert caller.came(3) == struct.pack("!HH", 0x4001, 5) + b"hello"
        if not is_tcp:
            assert caller.refresh(0) == 0  # who came over TCP just leaves


@on_both
def test_nothing_is_left_of_many(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server, Peer() as peer:
        ports, files = server.bound_ports(), server.descriptors()
        for number in range(WARM):
            cycle(server, peer, number, f"127.4.0.{number % 250 + 1}")
        until("the first have gone", lambda: server.descriptors() == files)
        memory = server.rss_kib()
        for number in range(CYCLES):
            cycle(server, peer, number, f"127.4.{number // 250 % 250 + 1}.{number % 250 + 1}")
        until("all have gone", lambda: server.descriptors() == files)
        assert server.bound_ports() == ports
        assert server.rss_kib() - memory <= GROWN_KIB_MAX
        report = server.report()
        assert report["allocations"] == 0 and report["allocated"] == WARM + CYCLES
        assert report["users"]["user"]["packets_up"] == WARM + CYCLES


@on_both
def test_what_lapses_is_gone(tmp_path: Path, kind: str) -> None:
    """Nobody refreshes: time alone ends allocations and their channels."""
    with Server(kind, tmp_path, before=hurried(SPEED)) as server, Peer() as peer:
        ports, files = server.bound_ports(), server.descriptors()
        for _ in range(LAPSING // AT_ONCE):
            callers = [Caller((HOST, server.port)) for _ in range(AT_ONCE)]
            for caller in callers:
                caller.allocate()
                caller.channel(0x4001, peer.address)
            until("all have lapsed", lambda: server.descriptors() == files, 30)
            for caller in callers:
                caller.socket.close()
        assert server.bound_ports() == ports
        report = server.report()
        assert report["allocations"] == 0 and report["allocated"] == LAPSING
