"""aioice, an independent TURN client in Python: a peer answers through the relay. Control: coturn's server."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import needs
from tests.e2e.relay.servers import HOST, HOST6, PASSWORD, USER, Server, on_all, on_both, rest_credentials

ANSWER_S = 3.0
MESSAGES = 50
BIG = bytes(range(256)) * 5  # 1280 bytes

schemes = pytest.mark.parametrize("scheme", ("static", "rest"))


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


class Receiver(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.queue.put_nowait(data)


def credentials(scheme: str) -> tuple[str, str]:
    return (USER, PASSWORD) if scheme == "static" else rest_credentials(int(time.time()) + 600)


async def echoed(host: str, port: int, account: tuple[str, str], transport: str) -> None:
    """Small ones, big ones, odd ones, one after another."""
    turn = needs.module("aioice.turn")
    echo, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(HOST, 0))
    user, password = account
    try:
        relayed, receiver = await asyncio.wait_for(
            turn.create_turn_endpoint(
                Receiver, server_addr=(host, port), username=user, password=password, transport=transport
            ),
            ANSWER_S,
        )
        for number in range(MESSAGES):
            data = BIG[: 1 + number * 25]
            relayed.sendto(data, echo.get_extra_info("sockname"))
            assert await asyncio.wait_for(receiver.queue.get(), ANSWER_S) == data
        relayed.close()
        await asyncio.sleep(0.1)  # it says goodbye
    finally:
        echo.close()


@schemes
@on_all
def test_a_peer_answers(tmp_path: Path, kind: str, scheme: str) -> None:
    with Server(kind, tmp_path, "--rest" if kind == "coturn" and scheme == "rest" else "") as server:
        for transport in ("udp", "tcp"):
            asyncio.run(echoed(HOST, server.port, credentials(scheme), transport))


@on_both
def test_what_is_left_when_it_has_gone(tmp_path: Path, kind: str) -> None:
    """The client deletes its allocation; over TCP, its connection does."""
    with Server(kind, tmp_path) as server:
        before = server.descriptors()
        for transport in ("udp", "tcp"):
            asyncio.run(echoed(HOST6, server.port, credentials("static"), transport))
            assert server.descriptors() == before and server.bound_ports() == {server.port}
        report = server.report()
        assert report["allocations"] == 0 and report["allocated"] == 2
        usage = report["users"][USER]
        assert usage["packets_up"] == usage["packets_down"] == 2 * MESSAGES
        assert usage["bytes_up"] == usage["bytes_down"] == 2 * sum(1 + number * 25 for number in range(MESSAGES))


@on_both
def test_a_wrong_password_gets_nothing(tmp_path: Path, kind: str) -> None:
    stun = needs.module("aioice.stun")
    with Server(kind, tmp_path) as server:
        for user in (USER, "nobody"):
            with pytest.raises(stun.TransactionFailed) as refused:
                asyncio.run(echoed(HOST, server.port, (user, "guess"), "udp"))
            assert "401" in str(refused.value)
        assert server.report()["allocated"] == 0
