"""One epoll loop: who has something to read, when to wake, and what other threads ask. For pump.py.

Bounds: CALLS_MAX calls wait; as many sockets as the process may have, less SPARE_DESCRIPTORS.
"""

import os
import resource
import select
import signal
import socket
import threading
import time
from collections import deque

from agent.errors import LimitError
from agent.port import faults
from agent.port.cpython import clock

if False:
    from typing import Any, Callable

SPARE_DESCRIPTORS = 64  # files, libraries, the control loop
CALLS_MAX = 64
PAUSE_S = 0.0005
WAKES = 256  # between two judgements
PACKETS_SPARSE_MAX = 2  # of one socket
SOCKETS_SPARSE_MAX = 4  # of one wake-up: more share its cost already
SOCKETS_GATHERED_MAX = 64  # the same while it pauses
PACKETS_S_MIN = 2000


class Pace:
    """When many wake-ups bring a packet each, waking is most of what they cost: then it pays to let a few gather for
    PAUSE_S. Not for bursts, which come together by themselves, nor for a loop that is always awake."""

    def __init__(self) -> None:
        self.is_sparse = False
        self._packets = self._sockets = self._wakes = 0
        self._since = clock.now_ms()

    def add(self, packets: int, sockets: int) -> None:
        """What one wake-up brought."""
        self._packets += packets
        self._sockets += sockets
        self._wakes += 1
        if self._wakes == WAKES:
            self.judge(clock.now_ms())

    def judge(self, now: int) -> None:
        packets, sockets, passed_ms = self._packets, self._sockets, now - self._since
        most = WAKES * (SOCKETS_GATHERED_MAX if self.is_sparse else SOCKETS_SPARSE_MAX)
        self.is_sparse = (
            packets * 1000 > PACKETS_S_MIN * passed_ms and sockets <= most and packets <= PACKETS_SPARSE_MAX * sockets
        )
        self._packets = self._sockets = self._wakes = 0
        self._since = now


class Loop:
    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.room = _descriptors()
        self.taken = 0  # of them, by what is no socket
        self._ready: dict[int, Callable[[], int]] = {}
        self.resting: list[socket.socket] = []
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._waking = threading.RLock()  # a signal may come in between
        self._is_running = True
        self._is_asked = False  # for a report, by a signal
        self.epoll.register(self._wake_read, select.EPOLLIN)
        self._ready[self._wake_read] = self._on_wake

    def watch(self, sock: socket.socket, function: "Callable[[], int]") -> None:
        """`function()` reads from `sock` and gives how many packets came."""
        self._ready[sock.fileno()] = function
        self.epoll.register(sock, select.EPOLLIN)

    def unwatch(self, sock: socket.socket) -> None:
        """And close it."""
        del self._ready[sock.fileno()]
        sock.close()

    def accept(self, sock: socket.socket) -> "tuple[socket.socket, Any] | None":
        """Who has come to this listener, or None. With no descriptor left in the whole process it would be readable
        for ever: then it is not looked at until `rise`."""
        try:
            return sock.accept()
        except OSError as error:  # most often no more, or it has left already
            if error.errno in faults.MANY_FILES + faults.NO_MEMORY:
                self.epoll.modify(sock, 0)
                self.resting.append(sock)
            return None

    def rise(self) -> None:
        for sock in self.resting:
            if sock.fileno() >= 0:  # else it was closed
                self.epoll.modify(sock, select.EPOLLIN)
        self.resting.clear()

    def release(self, sock: socket.socket) -> None:
        """Watch it no more; others go on with it."""
        del self._ready[sock.fileno()]
        self.epoll.unregister(sock)

    def free(self) -> int:
        """How many more sockets there may be."""
        return self.room - len(self._ready) - self.taken

    def call(self, function: "Callable[[], None]") -> None:
        """From any thread: run it in this loop's, soon. LimitError when too many wait."""
        if len(self._calls) >= CALLS_MAX:
            raise LimitError("busy", f"{CALLS_MAX} calls wait for the relay already; try again in a second")
        self._calls.append(function)
        self._wake()

    def stop(self) -> None:
        """From any thread or signal handler."""
        self._is_running = False
        self._wake()

    def run(self, due: "Callable[[int], float]", on_report: "Callable[[], None]") -> None:
        """Until stop. `due(now)` does what time asks for and gives the seconds until it must be called again, or -1.
        In the main thread SIGTERM and SIGINT stop it, and SIGUSR1 has `on_report` called."""
        self._on_report = on_report
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stop())
            signal.signal(signal.SIGUSR1, self._ask)
        poll, ready, now_ms = self.epoll.poll, self._ready, clock.now_ms
        pace = Pace()
        while self._is_running:
            if pace.is_sparse:
                time.sleep(PAUSE_S)
            found = poll(due(now_ms()))
            packets = 0
            for descriptor, _ in found:
                function = ready.get(descriptor)
                if function is not None:  # else closed by one before it
                    packets += function()
            pace.add(packets, len(found))

    def close(self) -> None:
        self.epoll.close()
        with self._waking:  # others may have these numbers next
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1

    def _ask(self, *_: object) -> None:
        self._is_asked = True
        self._wake()

    def _wake(self) -> None:
        with self._waking:
            try:
                if self._wake_write >= 0:
                    os.write(self._wake_write, b"!")
            except BlockingIOError:  # full: it will wake
                return

    def _on_wake(self) -> int:
        os.read(self._wake_read, 4096)
        while self._calls:
            self._calls.popleft()()
        if self._is_asked:
            self._is_asked = False
            self._on_report()
        return 0


def _descriptors() -> int:
    """As many as we may have, without those of others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    except (OSError, ValueError):  # then what we have must do
        soft = max(soft, 0)
    return max(soft - SPARE_DESCRIPTORS, 0)
