"""Junk from many source ports at full rate: it does not grow memory, is hardly answered, and keeps nobody out."""

import os
import random
import socket
import struct
import time
from pathlib import Path

from agent.core.relay.budget import BURST_S
from agent.relaying import UNPROVEN_S
from tests.bench.relay.turn import ALLOCATE, BIND, COOKIE, NONCE, REALM, REFRESH, TRANSPORT, UDP, USERNAME, pack
from tests.e2e.relay.caller import SEND, Caller, Peer
from tests.e2e.relay.servers import HOST, IS_FULL, Server, on_both

SOURCES = 10_000 if IS_FULL else 500
AT_ONCE = 100  # sockets of ours
EACH = 20
GROWN_KIB_MAX = 512  # coturn 4.6 keeps 18 KiB for each source


def junk(dice: random.Random) -> bytes:
    """Of every kind that has not proven anything."""
    transaction = dice.randbytes(12)
    kind = dice.randrange(8)
    if kind == 0:
        return dice.randbytes(dice.randrange(1500))
    if kind == 1:
        return struct.pack("!HHI", dice.randrange(0x4000), 4 * dice.randrange(20), COOKIE) + dice.randbytes(92)
    if kind == 2:
        return struct.pack("!HH", dice.randrange(0x4000, 0x8000), 100) + bytes(100)
    if kind == 3:
        return pack(ALLOCATE, transaction, [(TRANSPORT, UDP)])
    if kind == 4:
        proof = [(USERNAME, dice.randbytes(20)), (REALM, b"test.local"), (NONCE, dice.randbytes(16))]
        return pack(dice.choice((ALLOCATE, REFRESH, BIND)), transaction, proof, dice.randbytes(16))
    if kind == 5:
        return pack(0x001, transaction, [])
    if kind == 6:
        return pack(SEND, transaction, [(0x013, dice.randbytes(50))])
    return pack(ALLOCATE, transaction, [(TRANSPORT, UDP)])[: dice.randrange(40)]


def flood(server: Server, sources: int, dice: random.Random) -> tuple[int, int]:
    """(datagrams sent, answers that came). Every source is a port of its own."""
    sent = answers = 0
    for begin in range(0, sources, AT_ONCE):
        sockets = []
        for number in range(min(AT_ONCE, sources - begin)):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind((f"127.2.{begin // AT_ONCE % 250}.{number + 1}", 0))
            sock.connect((HOST, server.port))
            sockets.append(sock)
        for _ in range(EACH):
            for sock in sockets:
                sock.send(junk(dice))
                sent += 1
        time.sleep(0.05)
        for sock in sockets:
            while _has_answer(sock):
                answers += 1
            sock.close()
    return sent, answers


def _has_answer(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(2048))
    except OSError:
        return False


@on_both
def test_junk_leaves_nothing(tmp_path: Path, kind: str) -> None:
    dice = random.Random(7)
    with Server(kind, tmp_path) as server, Caller((HOST, server.port)) as caller, Peer() as peer:
        caller.allocate()
        assert caller.channel(0x4001, peer.address) == 0
        flood(server, AT_ONCE, dice)  # what is made once
        caller.frame(0x4001, b"before")
        assert peer.came(5)[0] == b"before"
        before, files, began = server.rss_kib(), server.descriptors(), time.monotonic()
        sent, answers = flood(server, SOURCES, dice)
        caller.frame(0x4001, b"after")
        assert peer.came(5)[0] == b"after"
        seconds = time.monotonic() - began
        grown = server.rss_kib() - before
        assert grown <= GROWN_KIB_MAX, f"{grown} KiB more after {SOURCES} sources"
        assert server.descriptors() == files
        prefixes = SOURCES // AT_ONCE
        assert 0 < answers <= prefixes * UNPROVEN_S * (BURST_S + seconds), (answers, seconds)
        assert caller.refresh(0) == 0
        report = server.report()
        assert report["allocated"] == 1 and list(report["users"]) == ["user"]
        # The kernel drops what is too fast for us; what we saw is counted under few names.
        assert sum(report["refused"].values()) > sent // 4, (sent, report)
        assert report["refused"]["junk"] > 0 and len(report["refused"]) < 20


@on_both
def test_a_forged_source_is_not_flooded_by_us(tmp_path: Path, kind: str) -> None:
    """Requests of one prefix: what goes back ends with the budget, and a 401 is small."""
    with Server(kind, tmp_path, "--unproven 5") as server:
        sockets = [Caller((HOST, server.port), source=f"127.3.0.{number}") for number in range(1, 11)]
        began = time.monotonic()
        request = pack(ALLOCATE, os.urandom(12), [(TRANSPORT, UDP)])
        for _ in range(30):
            for caller in sockets:
                caller.socket.send(request)
        answers = []
        for caller in sockets:
            while data := caller.came(0.1):
                answers.append(len(data))
        seconds = time.monotonic() - began
        for caller in sockets:
            caller.socket.close()
        assert 5 * BURST_S <= len(answers) <= 5 * (BURST_S + seconds + 1), (len(answers), seconds)
        assert max(answers) <= 100
        assert server.report()["refused"]["budget"] > 100  # the kernel may drop some of the 300
