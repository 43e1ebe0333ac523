"""One HTTP connection's bytes with deadlines, for both ends.

Not here: what the bytes mean. A head must be complete within a deadline; a body may pause for `stall_ms` and
must keep BYTES_PER_S_MIN on average, so a slow peer cannot hold a place for ever.
"""

import asyncio

from agent.errors import PortError
from agent.port import clock, net

if False:
    from typing import Any, Awaitable, Callable

    from agent.port import contract

BYTES_PER_S_MIN = 512
READ_BYTES = 1024
PIECE_BYTES_MAX = 4096


class Pace:
    """How long the next piece of a body may take."""

    def __init__(self, stall_ms: int) -> None:
        self._stall_ms = stall_ms
        self._start = clock.now_ms()
        self._bytes = 0

    def left_ms(self) -> int:
        budget: int = self._start + self._stall_ms + self._bytes * 1000 // BYTES_PER_S_MIN - clock.now_ms()
        return max(1, min(self._stall_ms, budget))

    def add(self, count: int, paused_ms: int = 0) -> None:
        """`paused_ms`: so long it was we who kept the peer waiting."""
        self._bytes += count
        self._start += paused_ms


class Wire:
    """One connection: what was read beyond the head, and the deadlines. `bandwidth`: of core/shards/bandwidth.py, or
    None."""

    def __init__(self, conn: "contract.Conn", stall_ms: int, bandwidth: "Any" = None) -> None:
        self.conn = conn
        self.stall_ms = stall_ms
        self.bandwidth = bandwidth
        self.buffer = b""
        self.is_broken = False
        self.is_trusted = False  # the request that runs was authorised (Request.trust)
        self.is_waiting = False  # for the peer
        self.trusted_ms = clock.now_ms()  # since the connection, or since its last authorised request was served

    def pace(self) -> Pace:
        return Pace(self.stall_ms)

    async def pay(self, count: int) -> int:
        """Wait until so many bytes may pass; for how many ms."""
        wait_ms: int = 0 if self.bandwidth is None else self.bandwidth.take(count, clock.now_ms())
        if wait_ms:
            before, self.is_waiting = self.is_waiting, True
            await asyncio.sleep(wait_ms / 1000)
            self.is_waiting = before
        return wait_ms

    async def read_head(self, parse: "Callable[[bytes], Any]", timeout_ms: int) -> "Any":
        """What `parse` makes of the next head; None at the end of the stream."""
        deadline = clock.now_ms() + timeout_ms
        while True:
            if self.buffer[:2] == b"\r\n":  # RFC 9112 section 2.2: an empty line before a request is skipped
                self.buffer = self.buffer[2:]
            head = parse(self.buffer)
            if head is not None:
                self.buffer = self.buffer[head.length :]
                return head
            piece = await self._wait(self.conn.read(READ_BYTES), max(1, deadline - clock.now_ms()))
            if not piece:
                return None
            self.buffer += piece
            deadline += await self.pay(len(piece))

    async def read(self, bytes_max: int, pace: Pace) -> bytes:
        """1..bytes_max bytes of a body. The connection is of no use after an error."""
        piece = self.buffer[:bytes_max]
        self.buffer = self.buffer[len(piece) :]
        if not piece:
            self.is_broken = True
            piece = await self._wait(self.conn.read(bytes_max), pace.left_ms())
            if not piece:
                raise PortError("closed", "The peer closed the connection within a body.")
            pace.add(0, await self.pay(len(piece)))
            self.is_broken = False
        pace.add(len(piece))
        return piece

    async def write(self, data: bytes, pace: Pace) -> None:
        self.is_broken = True
        pace.add(0, await self.pay(len(data)))
        await self._wait(self.conn.write(data), pace.left_ms())
        self.is_broken = False
        pace.add(len(data))

    async def _wait(self, coroutine: "Awaitable[Any]", timeout_ms: int) -> "Any":
        self.is_waiting = True
        try:
            return await net.wait_for(coroutine, timeout_ms)
        finally:
            self.is_waiting = False
