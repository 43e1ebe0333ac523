"""The relay's TCP streams on CPython: what flows between a client and a peer that are joined (peers.py).

A direction begins with recv and send through memory of all; after LAZY_BYTES it has a pipe, and os.splice moves pages
that never come here. What a sink does not take stops its source, so nothing is ever dropped: with a ceiling too, a
direction that has to wait is tried again a little later. An end of one side is passed on as an end of that direction,
a reset as a reset. Bounds: a direction holds READ_BYTES, or PIPE_BYTES in the kernel, of those PIPES_MAX and no more
than half of the descriptors; how many directions there are is the machine's.
"""

import fcntl
import os
import select
import socket
import struct

from agent.port.cpython import clock

if False:
    from typing import Any

    from agent.port.cpython.loop import Loop
    from agent.port.cpython.peers import Streams

READ_BYTES = 65536
LAZY_BYTES = 262144
PIPE_BYTES = 1 << 20
PIPES_MAX = 32
TURN_BYTES = 262144  # of one direction, then others have theirs; more than a TlsSocket holds
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
MOVE = 3  # SPLICE_F_MOVE, SPLICE_F_NONBLOCK
SEGMENT_BYTES, HEADERS_BYTES = 1400, 60  # what a meter outside sees beside the payload
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST


class Pipes:
    """Of all streams. They leave half of the descriptors to sockets."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        self._live = 0

    def open(self, source: "Any", sink: "Any") -> "tuple[int, int] | None":
        """None: go on without."""
        is_plain = isinstance(source, socket.socket) and isinstance(sink, socket.socket)
        is_full = self._live >= PIPES_MAX or self._loop.free() <= self._loop.room // 2
        if not is_plain or is_full or not hasattr(os, "splice"):
            return None
        try:
            made = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        self._live += 1
        self._loop.taken += 2
        try:
            fcntl.fcntl(made[1], SET_PIPE_SIZE, PIPE_BYTES)
        except PermissionError:  # beyond what this user may have: it stays as it is
            pass
        return made

    def close(self, pipe: "tuple[int, int]") -> None:
        self._live -= 1
        self._loop.taken -= 2
        for descriptor in pipe:
            os.close(descriptor)


class Flow:
    """One direction. `take(bytes)`: whether they may leave now, or None. `held`: came, and is not gone yet; `unpaid`:
    the part of it that waits for `take`. `usage[at]` counts."""

    __slots__ = (
        "at", "held", "is_ended", "pipe", "rest", "sink", "source", "streams", "take", "total", "unpaid", "usage",
    )  # fmt: skip

    def __init__(self, streams: "Streams", source: "Any", sink: "Any", rest: bytes) -> None:
        self.streams, self.source, self.sink = streams, source, sink
        self.rest: bytes | memoryview = rest
        self.held = self.unpaid = len(rest)
        self.total = 0
        self.is_ended = False
        self.pipe: tuple[int, int] | None = None
        self.take: Any = None
        self.usage, self.at = [0], 0

    def move(self) -> None:
        """What goes now. OSError: one of the two is broken."""
        until = self.total + TURN_BYTES
        while (self.held or (self.total < until and self._fill())) and self._pay() and self._drain():
            pass
        self.rest = bytes(self.rest)  # the memory of all is for who comes next

    def _fill(self) -> bool:
        if self.is_ended:
            return False
        size = self.streams.chunk_bytes
        try:
            if self.pipe is not None:
                self.held = os.splice(self.source.fileno(), self.pipe[1], min(size, PIPE_BYTES), flags=MOVE)
            else:
                self.held = self.source.recv_into(self.streams.memory[:size])
                self.rest = self.streams.memory[: self.held]
        except BlockingIOError:
            return False
        self.unpaid = self.held
        if not self.held:
            self.is_ended = True
            self.sink.shutdown(socket.SHUT_WR)
        return self.held > 0

    def _pay(self) -> bool:
        while self.unpaid:  # more than a chunk, which no bucket holds, is what came with the request
            count = min(self.unpaid, self.streams.chunk_bytes)
            if self.take is not None and not self.take(count + (count // SEGMENT_BYTES + 1) * HEADERS_BYTES):
                self.streams.pause()
                return False
            self.unpaid -= count
        return True

    def _drain(self) -> bool:
        try:
            if self.rest:
                gone = self.sink.send(self.rest)
                self.rest = self.rest[gone:]
            else:
                assert self.pipe is not None
                gone = os.splice(self.pipe[0], self.sink.fileno(), self.held, flags=MOVE)
        except BlockingIOError:
            return False
        self.held -= gone
        self.total += gone
        self.usage[self.at] += gone
        if not self.held and self.pipe is None and self.total >= LAZY_BYTES:
            self.pipe = self.streams.pipes.open(self.source, self.sink)
        return not self.held

    def wanted(self) -> tuple[int, int]:
        """What to wait for at the source, at the sink."""
        if self.held:
            return 0, 0 if self.unpaid else select.EPOLLOUT
        return 0 if self.is_ended else select.EPOLLIN, 0


class Splice:
    """A client and a peer that are joined. `ends`: their sockets, or what looks like one."""

    def __init__(self, streams: "Streams", number: int, client: "Any", peer: "Any") -> None:
        self.streams = streams
        self.number = number
        self.ends = (client, peer)
        self.up = Flow(streams, client, peer, b"")
        self.down = Flow(streams, peer, client, b"")
        self.moved_at = clock.now_ms()
        self._masks = [0, 0]

    def begin(self, came: bytes, greeting: bytes) -> None:
        for flow, data in ((self.up, came), (self.down, greeting)):
            flow.rest, flow.held, flow.unpaid = data, len(data), len(data)
        for end in self.ends:
            self.streams.hold(end, self.step)
        self.step()

    def shape(self, takes: "Any", user: str, usage: list[int]) -> None:
        """`takes`: of both directions, None without a ceiling. `usage`: row of the user."""
        self.up.usage = self.down.usage = usage
        self.up.at, self.down.at = 2, 4
        if takes is not None:
            up, down = takes
            self.up.take = lambda count: up(user, count, clock.now_ms())
            self.down.take = lambda count: down(user, count, clock.now_ms())

    def is_waiting(self) -> bool:
        """For the ceiling."""
        return self.up.unpaid + self.down.unpaid > 0

    def step(self) -> int:
        self.moved_at = clock.now_ms()
        try:
            self.up.move()
            self.down.move()
        except OSError:
            self.abort()
            self.streams.control.ended(self.number, clock.now_ms())
            return 0
        up, down = self.up, self.down
        if up.is_ended and down.is_ended:
            self.end()
            return 0
        (client_in, peer_out), (peer_in, client_out) = up.wanted(), down.wanted()
        self._watch(0, client_in | client_out)
        self._watch(1, peer_in | peer_out)
        return 0

    def _watch(self, at: int, mask: int) -> None:
        """Who waits for nothing is not in the epoll at all: it would hear of a hang-up for ever."""
        epoll, before = self.streams.pump.loop.epoll, self._masks[at]
        if mask != before:
            self._masks[at] = mask
            if not mask:
                epoll.unregister(self.ends[at])
            elif before:
                epoll.modify(self.ends[at], mask)
            else:
                epoll.register(self.ends[at], mask)

    def end(self) -> None:
        self.close()
        self.streams.control.ended(self.number, clock.now_ms())

    def abort(self) -> None:
        """No end that looks as if everything had come."""
        for end in self.ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self) -> None:
        if self.streams.joined.pop(self.number, None) is None:
            return
        for flow in (self.up, self.down):
            if flow.pipe is not None:
                self.streams.pipes.close(flow.pipe)
        for end in self.ends:
            self.streams.pump.loop.unwatch(end)
