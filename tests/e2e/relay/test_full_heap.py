"""A relay with a small heap refuses when it is full, and serves on whom it has."""

from pathlib import Path

from tests.bench.relay.turn import ALLOCATE, TRANSPORT, UDP
from tests.e2e.relay.caller import Caller, Peer
from tests.e2e.relay.servers import HOST, Server

MANY = 400


def test_a_full_heap_refuses(tmp_path: Path) -> None:
    with Server("micropython", tmp_path) as server, Peer() as peer:
        callers: list[Caller] = []
        code = 0
        while code == 0 and len(callers) < MANY:
            callers.append(Caller((HOST, server.port)))
            code = callers[-1].code(ALLOCATE, [(TRANSPORT, UDP)])
            if code == 0:
                assert callers[-1].channel(0x4001, peer.address) == 0, len(callers)
        assert code == 508 and len(callers) > 20, (code, len(callers))
        for caller in callers[:-1]:
            caller.frame(0x4001, b"still here")
            assert peer.came(2)[0] == b"still here"
            caller.refresh(0)
        for caller in callers:
            caller.socket.close()
        with Caller((HOST, server.port)) as again:
            again.allocate()
