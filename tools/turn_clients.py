"""Two clients of a TURN server that are not ours (aioice's), talking to each other through it, for the demo and tests.

Credentials are as the core hands them out: one entry of iceServers, {"urls", "username", "credential"}.
"""

import asyncio
import contextlib
import re
from typing import Any

from aioice import turn

ANSWER_S = 5.0
HELLO = b"hello"
URL = re.compile(r"turn:\[?([0-9a-fA-F.:]+?)\]?:(\d+)\?transport=(udp|tcp)")


class Mailbox(asyncio.DatagramProtocol):
    """What came, in order."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.lost = asyncio.Event()

    def datagram_received(self, data: bytes, _: Any) -> None:
        self.inbox.put_nowait(data)

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()


class Client:
    """`async with Client(server, "udp") as one:` has an allocation; `address` is what the other one sends to."""

    def __init__(self, server: dict[str, Any], transport: str = "udp") -> None:
        found = [match.groups() for url in server["urls"] if (match := URL.fullmatch(url))]
        self._place = next((host, int(number)) for host, number, kind in found if kind == transport)
        self._server = server
        self._transport = transport
        self._endpoint: Any = None
        self._mailbox = Mailbox()

    async def __aenter__(self) -> "Client":
        async with asyncio.timeout(ANSWER_S):
            self._endpoint, self._mailbox = await turn.create_turn_endpoint(
                Mailbox, server_addr=self._place, username=self._server["username"],
                password=self._server["credential"], transport=self._transport,
            )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        self._endpoint.close()
        with contextlib.suppress(TimeoutError):  # a server that is gone does not say goodbye
            async with asyncio.timeout(ANSWER_S):
                await self._mailbox.lost.wait()

    @property
    def address(self) -> tuple[str, int]:
        """Its relayed address."""
        host, number = self._endpoint.get_extra_info("sockname")[:2]
        return host, number

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self._endpoint.sendto(data, to)

    @property
    def has_heard(self) -> bool:
        """Something has come."""
        return not self._mailbox.inbox.empty()

    async def receive(self) -> bytes:
        """TimeoutError after ANSWER_S."""
        async with asyncio.timeout(ANSWER_S):
            return await self._mailbox.inbox.get()


async def talk(one: Client, other: Client, rounds: int, size: int) -> None:
    """Each round a packet of `size` bytes there and the same back. TimeoutError, ValueError when one differs."""
    async with asyncio.timeout(ANSWER_S):
        while not (one.has_heard and other.has_heard):  # what comes before both have let the other in is dropped
            one.send(HELLO, other.address)
            other.send(HELLO, one.address)
            await asyncio.sleep(0.05)
    for number in range(rounds):
        data = number.to_bytes(4, "big") * (size // 4)
        for sender, receiver in ((one, other), (other, one)):
            sender.send(data, receiver.address)
            while (came := await receiver.receive()) != data:
                if came != HELLO:
                    raise ValueError("the relay changed a packet")
