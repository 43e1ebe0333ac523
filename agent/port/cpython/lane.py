"""The fast lane of HTTP on CPython: connections whose next request may be answered at once (service/hot.py Quick), in
one epoll loop in a thread of its own. What it cannot answer goes back to the task that lent the connection, bytes and
all; so there is one listener and, for whoever asks, one server.

Not here: what a request means. Bounds: a connection reads only when nothing of it waits to be sent, READ_BYTES at a
time; who does not read is ended at the pace of the wire (service/exchange.py), who does not ask goes back in idle_ms.
Who waits for the ceiling of the wire's bandwidth holds nothing.
"""

import asyncio
import fcntl
import os
import select
import socket
import threading
from collections import deque

from agent.errors import LimitError
from agent.port import faults
from agent.port.cpython import clock
from agent.port.cpython.loop import Loop

if False:
    from typing import Any, Callable

READ_BYTES = 4096
SWEEP_MS = 1000
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Block:
    """Bytes in memory that nothing can change any more (a sealed memfd): the kernel sends them as they lie, without a
    copy, also when they are let go meanwhile. PortError."""

    def __init__(self, data: bytearray) -> None:
        self.length = len(data)
        with faults.OnFile("memory"):
            self.fd = os.memfd_create("shard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(self.fd, view) :]
                fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS)
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        os.close(self.fd)


def shared(take: "Callable[[int, int], int]") -> "Callable[[int, int], int]":
    """Of a Bandwidth, for this thread and the control loop's."""
    lock = threading.Lock()

    def guarded(count: int, now: int) -> int:
        with lock:
            return take(count, now)

    return guarded


class Lane:
    """`answer(bytes)`: (length of the request, head, what has a `block` and `pins`, first byte, count) or None."""

    def __init__(self, answer: "Callable[[bytes], Any]", idle_ms: int) -> None:
        self.answer = answer
        self.idle_ms = idle_ms
        self.loop: Any = None
        self.lent: set[Lent] = set()
        self.resting: deque[tuple[int, Lent]] = deque()  # until when; those that wait longest come last
        self._is_running = False
        self._sweep_at = 0

    async def run(self) -> None:
        """Until cancelled."""
        self.loop = Loop()
        self._is_running = True
        work = asyncio.get_running_loop().run_in_executor(None, self._run)
        try:
            await asyncio.shield(work)
        finally:
            self._is_running = False
            if not work.done():
                self.loop.stop()
                await work

    async def serve(self, wire: "Any") -> None:
        """Until something else than a quick answer is needed; `wire.buffer` is what came and was not answered."""
        if not self._is_running:
            return
        one = Lent(self, wire)
        try:
            self.loop.call(one.begin)
        except LimitError:  # the task does it itself
            one.back()
        await one.done

    def _run(self) -> None:
        try:
            self.loop.run(self._due, lambda: None)
        finally:
            for one in list(self.lent):
                one.end()
            self.loop.close()

    def _due(self, now: int) -> float:
        while self.resting and now >= self.resting[0][0]:
            one = self.resting.popleft()[1]
            if one in self.lent:
                self.loop.epoll.modify(one.socket, select.EPOLLOUT)
        if self.lent and now >= self._sweep_at:
            self._sweep_at = now + SWEEP_MS
            for one in [one for one in self.lent if now > one.deadline]:
                one.end()
        until = min(self._sweep_at, self.resting[0][0]) if self.resting else self._sweep_at
        return max(0, until - now) / 1000 if self.lent else -1


class Lent:
    """A connection while it is here."""

    def __init__(self, lane: Lane, wire: "Any") -> None:
        self.lane = lane
        self.wire = wire
        self.socket: socket.socket = wire.conn.lend()
        self.deadline = 0
        self._head = b""
        self._at = self._left = 0
        self._paid = 0  # bytes that may be sent now
        self._pace: Any = None
        self._kept: Any = None
        self._control = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._control.create_future()

    def begin(self) -> None:
        self.lane.lent.add(self)
        self.lane.loop.watch(self.socket, self.on_ready)
        self.deadline = clock.now_ms() + self.lane.idle_ms
        if self.wire.buffer:
            self._go_on()

    def back(self) -> None:
        """In the control loop's thread: the task goes on."""
        self.wire.conn.take_back()
        if not self.done.done():
            self.done.set_result(None)

    def end(self) -> None:
        """Not here any more."""
        if self._kept is not None:
            self._kept.pins -= 1
            self.wire.is_broken = True
        self.lane.lent.discard(self)
        self.lane.loop.release(self.socket)
        self._control.call_soon_threadsafe(self.back)

    def on_ready(self) -> int:
        if self._kept is not None:
            if self._write():
                self.lane.loop.epoll.modify(self.socket, select.EPOLLIN)
                self._go_on()
            return 0
        try:
            data = self.socket.recv(READ_BYTES)
            self.wire.buffer += data
            if self.wire.bandwidth is not None:
                self.wire.bandwidth.take(len(data), clock.now_ms())
        except BlockingIOError:
            return 0
        except OSError:  # whoever has it next finds the same
            self.wire.buffer = b""
        if not self.wire.buffer:  # nothing at all: the end of the stream, for the task to see
            self.end()
        else:
            self._go_on()
        return 0

    def _go_on(self) -> None:
        """With what has come."""
        wire = self.wire
        while wire.buffer:
            found = self.lane.answer(wire.buffer)
            if found is None:
                self.end()
                return
            length, self._head, self._kept, self._at, self._left = found
            wire.buffer = wire.buffer[length:]
            self._pace = None
            if not self._write():
                return

    def _is_resting(self, now: int) -> bool:
        """Whether the next piece must wait for the ceiling."""
        bandwidth = self.wire.bandwidth
        if bandwidth is None or self._paid:
            return False
        self._paid = bandwidth.piece(self._left)
        wait_ms: int = bandwidth.take(len(self._head) + self._paid, now)
        if wait_ms:
            self.wire.is_trusted = True
            self._pace = self._pace or self.wire.pace()
            self._pace.add(0, wait_ms)
            self.deadline = now + wait_ms + self._pace.left_ms()
            self.lane.loop.epoll.modify(self.socket, 0)
            self.lane.resting.append((now + wait_ms, self))
        return wait_ms > 0

    def _write(self) -> bool:
        """Whether all of the answer was taken; else it waits, or has ended."""
        sent, now = 0, clock.now_ms()
        if self._is_resting(now):
            return False
        try:
            if self._head:
                sent = self.socket.send(self._head, socket.MSG_MORE if self._left else 0)
                self._head = self._head[sent:]
            if self._left and not self._head:
                count = os.sendfile(self.socket.fileno(), self._kept.block.fd, self._at, self._paid or self._left)
                self._paid -= count if self._paid else 0
                self._at += count
                self._left -= count
                sent += count
        except BlockingIOError:
            pass
        except OSError:
            self.end()
            return False
        wire = self.wire
        if self._left or self._head:
            if self._pace is None:
                self.lane.loop.epoll.modify(self.socket, select.EPOLLOUT)
                self._pace = wire.pace()
                wire.is_trusted = True
                self._wait(sent, now)
            elif sent:
                self._wait(sent, now)
            return False
        self._kept.pins -= 1
        self._kept = None
        self.deadline = now + self.lane.idle_ms
        wire.is_trusted = False
        wire.trusted_ms = now
        return True

    def _wait(self, sent: int, now: int) -> None:
        self._pace.add(sent)
        self.deadline = now + self._pace.left_ms()
