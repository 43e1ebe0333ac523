"""Clients over TCP that stop in the middle, say nonsense, or say nothing: they cost themselves a connection."""

import contextlib
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.relay.turn import ALLOCATE, COOKIE, LIFETIME, REFRESH, TRANSPORT, UDP, pack
from tests.e2e.relay.caller import Caller, Peer
from tests.e2e.relay.servers import HOST, Server, hurried, on_both
from tests.programs import until

MANY = 80  # more than one address may have
SPEED = 60  # of the clock, where 30 seconds must pass

BINDING = pack(0x001, bytes(12), [])
HEAD = struct.pack("!HHI", ALLOCATE, 2000, COOKIE) + bytes(12)
TORN = {
    "nothing": b"",
    "one byte": b"\0",
    "half a header": BINDING[:10],
    "a header": HEAD,
    "half a message": HEAD + bytes(1000),
    "half of ChannelData": struct.pack("!HH", 0x4001, 1000) + bytes(500),
    "a message and a half": BINDING + BINDING[:7],
}
NONSENSE = {
    "another protocol": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + bytes(100),
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(600),
    "a length that is no multiple of four": struct.pack("!HHI", ALLOCATE, 3, COOKIE) + bytes(60),
    "a channel that there is not": struct.pack("!HH", 0x8001, 20) + bytes(40),
    "a giant": struct.pack("!HHI", ALLOCATE, 0xFFFC, COOKIE) + bytes(60),
}


def is_served(server: Server) -> None:
    """An honest client over TCP, from allocation to farewell."""
    with Caller((HOST, server.port), is_tcp=True, source="127.0.0.9") as caller, Peer() as peer:
        caller.allocate()
        assert caller.channel(0x4001, peer.address) == 0
        for size in (1, 2, 3, 4, 1000):
            caller.frame(0x4001, bytes(size))
            data, relayed = peer.came(2)
            assert data == bytes(size)
            peer.send(data, relayed)
            assert caller.came(2) == struct.pack("!HH", 0x4001, size) + bytes(size)
        assert caller.refresh(0) == 0


@contextlib.contextmanager
def without_descriptors(server: Server) -> Iterator[None]:
    """It may have no more than it has."""
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir(f"/proc/{server.pid}/fd"))
    assert highest == server.descriptors() - 1  # no gaps, which would be used first
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))


def busy_s(server: Server) -> float:
    """Processor time so far."""
    words = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@on_both
def test_without_descriptors_who_comes_waits(tmp_path: Path, kind: str) -> None:
    """The listener stays readable meanwhile; it must not be asked without end, and who is there is served."""
    with Server(kind, tmp_path) as server, Caller((HOST, server.port)) as caller, Peer() as peer:
        caller.allocate()
        assert caller.channel(0x4001, peer.address) == 0
        with without_descriptors(server):
            late = socket.create_connection((HOST, server.port), 20)
            late.sendall(BINDING)
            before = busy_s(server)
            for _ in range(10):
                caller.frame(0x4001, b"hello")
                assert peer.came(2)[0] == b"hello"
                time.sleep(0.2)
            assert busy_s(server) - before < 1
        with late:
            assert late.recv(100)[:2] == b"\x01\x01"


@on_both
def test_torn_streams(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server:
        before = server.descriptors()
        torn = [socket.create_connection((HOST, server.port)) for _ in TORN]
        for sock, data in zip(torn, TORN.values(), strict=True):
            sock.sendall(data)
        is_served(server)
        for sock in torn:
            sock.close()
        until("all connections are closed", lambda: server.descriptors() == before)
        assert server.report()["allocated"] == 1


@on_both
def test_one_byte_at_a_time(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server, Caller((HOST, server.port), is_tcp=True) as caller, Peer() as peer:
        caller.learn()
        for byte in caller.request(ALLOCATE, [(TRANSPORT, UDP)]):
            caller.socket.send(bytes((byte,)))
            time.sleep(0.001)
        assert caller.came(2)[:2] == b"\x01\x03"
        assert caller.channel(0x4001, peer.address) == 0
        for byte in struct.pack("!HH", 0x4001, 5) + b"hello\0\0\0":
            caller.socket.send(bytes((byte,)))
            time.sleep(0.001)
        assert peer.came(2)[0] == b"hello"


@on_both
def test_nonsense_ends_its_own_connection(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server:
        before = server.descriptors()
        for name, data in NONSENSE.items():
            with socket.create_connection((HOST, server.port), 3) as sock:
                sock.sendall(data)
                try:
                    assert sock.recv(100) == b"", name
                except ConnectionResetError:  # it closed with bytes of ours unread
                    pass
        is_served(server)
        until("the connections are closed", lambda: server.descriptors() == before)
        assert server.report()["dropped"]["tcp_malformed"] == len(NONSENSE)


@on_both
def test_silent_connections_of_one_address_are_bounded(tmp_path: Path, kind: str) -> None:
    """And after a while they are closed, unless they have an allocation."""
    with Server(kind, tmp_path, before=hurried(SPEED)) as server:
        empty = server.descriptors()
        with Caller((HOST, server.port), is_tcp=True, source="127.0.0.8") as caller:
            caller.allocate()
            before = server.descriptors()
            silent = [socket.create_connection((HOST, server.port)) for _ in range(MANY)]
            until("it has looked at them", lambda: before < server.descriptors())
            is_served(server)
            assert server.descriptors() - before < MANY // 2
            until("the silent ones are closed", lambda: server.descriptors() == before, 60)
            for sock in silent:
                sock.close()
            assert caller.code(REFRESH, [(LIFETIME, struct.pack("!I", 600))]) == 0
        until("a client that left is forgotten", lambda: server.descriptors() == empty)
        report = server.report()
        assert report["allocations"] == 0 and report["dropped"]["tcp_refused"] > 0
