"""The fast lane of HTTP on MicroPython: a connection whose next request can be answered at once stays in one loop, with
one buffer for all of them: what the socket does not take is read again. No thread; else as agent/port/cpython/lane.py.

Bounds: who does not ask is let go after idle_ms, who does not read at the pace of the wire (service/exchange.py).
"""

import asyncio
import errno
import gc
import os

from agent.errors import PortError
from agent.port import faults
from agent.port.micropython import clock, heap
from agent.port.micropython.streams import READ, WRITE

if False:
    from typing import Any, Callable

    from agent.port.micropython.streams import Conn

Block = None  # no memory for bodies
SWEEP_S = 1
HEAD_BYTES = 512  # an answer of a whole piece and its head leave in one send
READ_BYTES = 1024
ANSWERS_A_TURN = 8
ROOM_BYTES_MIN = 4096  # more than a head
PIECE_SHARE, PIECE_BYTES_MAX = 128, 262_144  # bytes of the buffer for each KiB of heap
GARBAGE_SHARE = 256  # bytes of garbage before it is collected, while there are connections


def changed_s(path: str) -> int:
    """PortError."""
    with faults.OnFile(path):
        return int(os.stat(path)[9])


def shared(take: "Callable[[int, int], int]") -> "Callable[[int, int], int]":
    """Of a Bandwidth: there is one thread."""
    return take


class Lane:
    """`answer(bytes)`: (length of the request, head, what has `fill(at, view)`, first byte, count) or None."""

    def __init__(self, answer: "Callable[[bytes], Any]", idle_ms: int) -> None:
        self._answer = answer
        self._idle_ms = idle_ms
        self._buffer = memoryview(bytearray(min(heap.kib() * PIECE_SHARE, PIECE_BYTES_MAX) + HEAD_BYTES))
        self._incoming = memoryview(bytearray(READ_BYTES))
        self._deadlines: dict[Conn, int] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Close what is too slow, until cancelled. To collect as early as usual would cost more than to answer."""
        usual = gc.threshold()  # type: ignore[attr-defined]
        while True:
            await self._wanted.wait()
            gc.threshold(heap.kib() * GARBAGE_SHARE)  # type: ignore[attr-defined]
            now = clock.now_ms()
            for conn in [conn for conn, deadline in self._deadlines.items() if now > deadline]:
                conn.close()
            if self._deadlines:
                await asyncio.sleep(SWEEP_S)
            else:
                self._wanted.clear()
                gc.threshold(usual)  # type: ignore[attr-defined]

    async def serve(self, wire: "Any") -> None:
        """Until something else than a quick answer is needed; `wire.buffer` is what came and was not answered."""
        conn, count = wire.conn, 0
        self._wanted.set()
        try:
            while True:
                self._deadlines[conn] = clock.now_ms() + self._idle_ms
                count += 1
                if count % ANSWERS_A_TURN == 0:
                    await asyncio.sleep(0)  # one that is always ready must not keep the others waiting
                while not wire.buffer:
                    came = _came(conn, self._incoming)
                    if came is None:
                        await conn._waiter.wait(READ)
                        continue
                    if not came:
                        break
                    wire.buffer = bytes(self._incoming[:came])
                    if wire.bandwidth is not None:
                        wire.bandwidth.take(came, clock.now_ms())
                found = self._answer(wire.buffer) if wire.buffer else None
                if found is None or not await self._send(wire, conn, found):
                    return
                wire.buffer = wire.buffer[found[0] :]
                wire.is_broken = wire.is_trusted = False
                wire.trusted_ms = clock.now_ms()
        finally:
            del self._deadlines[conn]

    async def _send(self, wire: "Any", conn: "Conn", found: "Any") -> bool:
        """False: the bytes are not right, and nothing was sent."""
        _, head, kept, at, left = found
        buffer, pace, paid, room = self._buffer, None, 0, len(self._buffer)
        while head or left:
            start = len(head)
            end = min(start + left, room)
            if wire.bandwidth is not None:
                if not paid:
                    paid = start + wire.bandwidth.piece(left)
                    self._deadlines[conn] += await wire.pay(paid)
                end = min(end, paid)
            buffer[:start] = head
            if not kept.fill(at, buffer[start:end]):
                if not wire.is_broken:
                    return False
                raise PortError("changed", "The shard was written while it was being sent.")
            wire.is_broken = True
            sent = _sent(conn, buffer[:end])
            paid -= sent if paid else 0
            # What is not taken is read again: next time not much more than was taken this time.
            room = max(sent, ROOM_BYTES_MIN) if sent < end else min(2 * room, len(buffer))
            if sent < start:
                head = head[sent:]
            else:
                head = b""
                at += sent - start
                left -= sent - start
            if sent < end:
                pace = pace or wire.pace()
                pace.add(sent)
                wire.is_trusted = True
                if sent:
                    self._deadlines[conn] = clock.now_ms() + pace.left_ms()
                await conn._waiter.wait(WRITE)  # type: ignore[misc]
        return True


def _came(conn: "Conn", view: memoryview) -> "int | None":
    """How many bytes came into `view`: 0 at the end of the stream, None: nothing yet. PortError("closed")."""
    try:
        if conn._sock is not None:
            return conn._sock.readinto(view)  # type: ignore[attr-defined,no-any-return]
    except OSError:
        pass
    raise faults.closed("The peer")


def _sent(conn: "Conn", data: memoryview) -> int:
    """How many bytes the socket took. PortError("closed")."""
    try:
        if conn._sock is not None:
            return conn._sock.send(data)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return 0
    raise faults.closed("The peer")
