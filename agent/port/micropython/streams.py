"""TCP and Unix streams of MicroPython's Unix port (contract.Conn, contract.Listener): raw non-blocking sockets on
asyncio's poll queue.

Not asyncio streams: they never check a connect, and a failed handler leaves its connection open.
"""

import errno
import socket
import struct
from asyncio import core  # type: ignore[attr-defined]

from agent.port import faults

if False:
    from typing import Any, Generator

AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
LOCAL_SOURCE = ("local", 0)
V4_MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"
READ, WRITE = 0, 1
# A read is a fresh block of the heap, and in a full heap only small blocks are to be had.
READ_BYTES_MAX = 2048
# More than asyncio's queue and the poll under it take to wait for one more socket.
WAIT_BYTES = 512


def address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or 'any address'}:{port}"


def source_of(sockaddr: bytes) -> tuple[str, int]:
    parts = socket.sockaddr(sockaddr)  # type: ignore[attr-defined]
    if len(parts) < 3:
        return LOCAL_SOURCE
    family, packed, port = parts[0], parts[1], parts[2]
    if family == AF_INET6 and packed[:12] == V4_MAPPED:
        family, packed = AF_INET, packed[12:]
    return socket.inet_ntop(family, packed), port


def sockaddr_of(packed: bytes, port: int, index: int = 0) -> bytes:
    """struct sockaddr_in or sockaddr_in6: the family as the machine stores it, the rest in network order."""
    if len(packed) == 4:
        return struct.pack("@H", socket.AF_INET) + struct.pack(">H", port) + packed + b"\x00" * 8
    head = struct.pack("@H", socket.AF_INET6) + struct.pack(">HI", port, 0)
    return head + packed + struct.pack("@I", index)


class Waiter:
    """Waits for one socket. asyncio's queue forgets the task of the other direction when one is cancelled, and
    does not notice a close; so the tasks are remembered here and run again, which only makes them look again."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tasks: list[Any] = [None, None]

    def wait(self, direction: int) -> "Generator[None, None, None]":
        """A generator: on MicroPython `await` takes one, and asyncio's queue wants a bare yield."""
        queue = core._io_queue
        # Asked for and let go. In a full heap this line raises, when nothing has been done yet. Cut in the middle, the
        # queue would keep a task for ever that nobody wakes, and modselect.c says of its own poll that it may crash.
        bytearray(WAIT_BYTES)
        self._tasks[direction] = core.cur_task
        try:
            if direction == READ:
                queue.queue_read(self._sock)
            else:
                queue.queue_write(self._sock)
            yield
        finally:
            self._tasks[direction] = None
            if id(self._sock) not in queue.map:
                self.wake()

    def wake(self) -> None:
        queue = core._io_queue
        for task in self._tasks:
            # One that waits no more has been put into the run queue already; twice there breaks the queue.
            if task is not None and task.data is queue:
                queue.remove(task)
                core._task_queue.push(task)


class Conn:
    """contract.Conn."""

    def __init__(self, sock: socket.socket, source: tuple[str, int]) -> None:
        self.source = source
        self._what = "The peer" if source == LOCAL_SOURCE else address_text(source[0], source[1])
        self._sock: socket.socket | None = sock
        self._waiter = Waiter(sock)
        sock.setblocking(False)
        if source != LOCAL_SOURCE:
            sock.setsockopt(6, 1, 1)  # TCP_NODELAY

    async def read(self, bytes_max: int) -> bytes:
        while self._sock is not None:
            try:
                return self._sock.recv(min(bytes_max, READ_BYTES_MAX))
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    break
            await self._waiter.wait(READ)  # type: ignore[misc]
        raise faults.closed(self._what)

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while len(view):
            if self._sock is None:
                raise faults.closed(self._what)
            try:
                view = view[self._sock.send(view) :]
                continue
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise faults.closed(self._what)
            await self._waiter.wait(WRITE)  # type: ignore[misc]

    def close(self) -> None:
        if self._sock is not None:
            self._waiter.wake()
            self._sock.close()
            self._sock = None


class Listener:
    """contract.Listener. `port` is 0 for a local one."""

    def __init__(self, sock: socket.socket, port: int) -> None:
        self.port = port
        self._sock: socket.socket | None = sock
        self._waiter = Waiter(sock)
        sock.setblocking(False)

    async def accept(self) -> Conn:
        while self._sock is not None:
            try:
                bytearray(WAIT_BYTES)  # as in Waiter.wait: an accept cut in the middle would leave its descriptor open
                sock, address = self._sock.accept()
                return Conn(sock, source_of(address))
            except OSError as error:
                if error.errno == errno.ECONNABORTED:  # the client went away while it was in the queue
                    continue
                if error.errno != errno.EAGAIN:
                    raise faults.net_fault(error, f"Port {self.port}")
            await self._waiter.wait(READ)  # type: ignore[misc]
        raise faults.closed("The listener")

    def close(self) -> None:
        if self._sock is not None:
            self._waiter.wake()
            self._sock.close()
            self._sock = None
