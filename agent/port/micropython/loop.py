"""Who has something to read and when to wake, on MicroPython: a poll loop of its own, or one task beside asyncio's. The
base of Pump (pump.py). There are no threads: `call` runs its function at once.

Bounds: SOCKETS_MAX sockets, and none that is new in a heap with less than HEAP_SPARE_BYTES.
"""

import asyncio
import gc
import select
import socket
from asyncio import core  # type: ignore[attr-defined]

from agent.port.micropython import clock

if False:
    from typing import Any, Callable, Generator

SOCKETS_MAX = 896  # of 1,024 descriptors, as processes commonly may have
TICK_MS = 1000  # beside asyncio
HEAP_SPARE_BYTES = 24576
# Of a device while it carries: the usual number would cost more than the relay itself. For each datagram recv takes
# 2 KiB that it gives back at once and that count all the same.
COLLECT_AFTER_BYTES = 262144


class Loop:
    def __init__(self) -> None:
        self.control: Any = None
        self.heap_spare_bytes = HEAP_SPARE_BYTES  # see has_room
        self._poll = select.poll()
        self._ready: dict[int, tuple[socket.socket, Callable[[int], None]]] = {}
        self._waiting: list[Any] = [None, None, None]  # see _wait
        self._is_running = True
        self._writing: set[int] = set()  # sockets of TCP clients that something waits for
        self._is_beside = False
        self._is_busy = False  # since the last tick

    def due(self, now: int) -> int:
        """Do what time asks for; the milliseconds until it must be asked again."""
        raise NotImplementedError

    def close(self) -> None:
        """All sockets."""
        raise NotImplementedError

    def watch(self, sock: socket.socket, function: "Callable[[int], None]") -> None:
        self._ready[id(sock)] = (sock, function)
        self._poll.register(sock, select.POLLIN)

    def watch_writing(self, sock: socket.socket, is_on: bool) -> None:
        self._poll.modify(sock, select.POLLIN | select.POLLOUT if is_on else select.POLLIN)
        self._writing.discard(id(sock))
        if is_on:
            if not self._writing and self._is_beside:
                asyncio.create_task(self._look_again())
            self._writing.add(id(sock))

    def unwatch(self, sock: socket.socket, is_over: bool = True) -> None:
        """And close it, if it is over."""
        del self._ready[id(sock)]
        self._writing.discard(id(sock))
        self._poll.unregister(sock)
        if id(sock) in core._io_queue.map:
            core._io_queue._dequeue(sock)
        if is_over:
            sock.close()

    def has_room(self) -> bool:
        """For one more socket. In a heap without any, registering it would break off in the middle."""
        try:  # in one piece: splinters are no room for a table that must grow
            return len(self._ready) < SOCKETS_MAX and len(bytearray(self.heap_spare_bytes)) > 0
        except MemoryError:
            return False

    def run(self, control: "Any", _: "Any") -> None:
        """Until stop() or an interrupt."""
        self.control = control
        gc.threshold(-1)  # type: ignore[attr-defined]
        try:
            while self._is_running:
                self._round(self.due(clock.now_ms()))
        finally:
            self.close()

    def _round(self, timeout_ms: int) -> bool:
        """Whether anything was ready."""
        is_busy = False
        for sock, events in self._poll.ipoll(timeout_ms):  # type: ignore[attr-defined]
            is_busy = True
            one = self._ready.get(id(sock))
            if one is not None:  # else closed by one before it
                one[1](events)
        return is_busy

    async def run_beside(self, control: "Any") -> None:
        """Until stop() or a cancel; while nothing comes it sleeps in asyncio's queue, but for a tick."""
        self.control = control
        self._is_beside = True
        ticking = asyncio.create_task(self._tick())
        try:
            while self._is_running:
                if self._round(0):
                    self._is_busy = True
                    await asyncio.sleep(0)
                else:
                    await self._wait()  # type: ignore[misc]
        finally:
            ticking.cancel()
            self.close()

    async def _tick(self) -> None:
        usual = gc.threshold()  # type: ignore[attr-defined]
        try:
            while True:
                wait_ms = min(self.due(clock.now_ms()), TICK_MS)
                gc.threshold(COLLECT_AFTER_BYTES if self._is_busy else usual)  # type: ignore[attr-defined]
                self._is_busy = False
                self._wake()
                await asyncio.sleep_ms(max(wait_ms, 1))  # type: ignore[attr-defined]
        finally:
            gc.threshold(usual)  # type: ignore[attr-defined]

    async def _look_again(self) -> None:
        """asyncio's queue waits for readers only (see _wait)."""
        wait_ms = 10
        while self._writing:
            await asyncio.sleep_ms(wait_ms)  # type: ignore[attr-defined]
            self._wake()
            wait_ms = min(2 * wait_ms, TICK_MS)

    def _wait(self) -> "Generator[None, None, None]":
        """All sockets share one entry of asyncio's queue: the first that is ready runs the task, once, and those that
        follow find nobody there (twice in the run queue breaks that)."""
        queue = core._io_queue
        self._waiting[0] = core.cur_task
        core.cur_task.data = self  # where a cancel takes it away from: remove()
        for key, (sock, _) in self._ready.items():
            if key not in queue.map:
                queue.map[key] = self._waiting
                queue.poller.register(sock, select.POLLIN)
        yield

    def remove(self, _: "Any") -> None:
        self._waiting[0] = None

    def _wake(self) -> None:
        task, self._waiting[0] = self._waiting[0], None
        if task is not None:
            core._task_queue.push(task)

    def stop(self) -> None:
        self._is_running = False
        self._wake()

    def call(self, function: "Callable[[], None]") -> None:
        function()
