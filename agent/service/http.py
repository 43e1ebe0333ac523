"""HTTP/1.1 server on top of agent/wire/http.py; the one module that handlers and clients import.

Not here: TLS, chunked bodies, routing by anything but a prefix, files. Bounds per connection: one head of 4 KiB and
pieces of `piece_bytes`; deadlines as in exchange.py. When all places are taken, one whose peer is waited for outside
of an authorised request makes room: the one that has been longest without one. Otherwise the new one gets 503.
"""

import asyncio
from collections import namedtuple

from agent.errors import CoreletError, LimitError, PeerError, PortError, UsageError
from agent.port import clock, net
from agent.service.exchange import PIECE_BYTES_MAX, READ_BYTES, Pace, Wire
from agent.service.messages import Body, Request, Response, Router, error_response, text_response
from agent.wire import http

if False:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from agent.port import contract

__all__ = ["LIMITS", "Body", "HttpServer", "Limits", "Request", "Response", "Router", "error_response", "text_response"]
DRAIN_BYTES_MAX = 65536
DRAIN_PIECE_BYTES = 512  # of a heap that is full there may be no more
STRANGER_BYTES_MAX = 4096  # of a body that is not wanted, from a peer that is not known
STRANGER_MS_MAX = 1000
ACCEPT_PAUSE_S = 1

Limits = namedtuple("Limits", ("connections_max", "head_ms", "stall_ms", "piece_bytes"))
LIMITS = Limits(16, 10000, 30000, PIECE_BYTES_MAX)


class HttpServer:
    """Serves `listener` with `handle(Request) -> Response` until cancelled or until the listener closes. `lane`: the
    port's, which answers some requests before `handle` would be asked; None without one. `bandwidth`: see Wire."""

    def __init__(
        self,
        listener: "contract.Listener",
        handle: "Callable[[Request], Awaitable[Response]]",
        limits: Limits = LIMITS,
        lane: "Any" = None,
        bandwidth: "Any" = None,
    ) -> None:
        self._listener = listener
        self._handle = handle
        self._limits = limits
        self._lane = lane
        self._bandwidth = bandwidth
        self._wires: list[Wire] = []
        self._tasks: list[Any] = []

    async def serve(self) -> None:
        try:
            while True:
                conn = None
                try:
                    conn = await self._listener.accept()
                    if len(self._tasks) > self._limits.connections_max * 3 // 2:
                        conn.close()  # so many are being told 503 that this one is not even told
                        continue
                    self._tasks.append(net.spawn(self.admit(conn)))
                except PortError as error:
                    if error.code != "busy":
                        raise
                    await asyncio.sleep(ACCEPT_PAUSE_S)  # out of descriptors: some will be closed
                except MemoryError:  # a full heap costs the newcomer its connection, never the listener its life
                    if conn is not None:
                        conn.close()
                await asyncio.sleep(0)
        finally:
            self._listener.close()
            for wire in list(self._wires):
                wire.conn.close()
            for task in self._tasks:
                task.cancel()

    async def admit(self, conn: "contract.Conn") -> None:
        """Serve this connection until it ends."""
        wire = None
        try:
            wire = Wire(conn, self._limits.stall_ms, self._bandwidth)
            if len(self._wires) >= self._limits.connections_max and not self._make_room():
                await self._answer(wire, text_response(503, "busy: All connections are in use; try again soon."), "")
                return
            self._wires.append(wire)
            await self._serve_connection(wire)
        except PortError:  # the peer went away or stalled: its connection ends, nothing else
            return
        finally:
            conn.close()
            if wire in self._wires:
                self._wires.remove(wire)
            # Now, not at the next accept: a task that has ended keeps its frames and buffers. In place: there may be
            # no room for another list.
            if asyncio.current_task() in self._tasks:
                self._tasks.remove(asyncio.current_task())

    def _make_room(self) -> bool:
        strangers = [wire for wire in self._wires if wire.is_waiting and not wire.is_trusted]
        if not strangers:
            return False
        oldest = min(strangers, key=lambda wire: wire.trusted_ms)
        self._wires.remove(oldest)
        oldest.conn.close()
        return True

    async def _serve_connection(self, wire: Wire) -> None:
        while True:
            if self._lane is not None:
                wire.is_waiting = True
                await self._lane.serve(wire)
                wire.is_waiting = False
                if wire.is_broken:
                    return
            if not await self._serve_request(wire):
                return

    async def _serve_request(self, wire: Wire) -> bool:
        """Whether another may follow. A call for each, so that an idle connection keeps nothing of its last one."""
        wire.is_trusted = False
        try:
            head = await wire.read_head(http.parse_head, self._limits.head_ms)
        except PeerError as error:
            return await self._answer(wire, error_response(error), "")
        except PortError as error:
            if error.code == "timeout" and wire.buffer:
                await self._answer(wire, text_response(408, "timeout: The request head did not come in time."), "")
            return False
        if head is None:
            return False
        request = Request(head, wire)
        response = await self._respond(request)
        if wire.is_broken:
            _close_body(response)
            return False
        return await self._answer(wire, response, request)

    async def _respond(self, request: Request) -> Response:
        if request.headers.get("expect", "100-continue").lower() != "100-continue":
            return text_response(417, "http: Only 100-continue can be expected.")
        try:
            return await self._handle(request)
        except CoreletError as error:
            return error_response(error)
        except MemoryError:  # what a small heap holds for a moment, as a pairing, it gives back
            return error_response(LimitError("busy", "There is no room in the heap now; ask again.", 3))

    async def _answer(self, wire: Wire, response: Response, request: "Request | str") -> bool:
        """Write `response`; whether the connection can be used again. `request` is "" when there is none."""
        pace = Pace(self._limits.stall_ms)
        is_last = isinstance(request, str) or not _can_go_on(wire, request)
        headers = response.headers + [("Connection", "close")] if is_last else response.headers
        is_bytes = isinstance(response.body, bytes)
        length = len(response.body) if is_bytes else response.body.length
        try:
            head = http.encode_response(response.status, headers, length)
            has_body = http.has_body(response.status) and (isinstance(request, str) or request.method != "HEAD")
            if has_body and is_bytes and length <= READ_BYTES:
                await wire.write(head + response.body, pace)
            else:
                await wire.write(head, pace)
                if has_body:
                    await _write_body(wire, response.body, pace, self._limits.piece_bytes)
        finally:
            _close_body(response)
        if wire.is_trusted and response.status < 400:
            wire.trusted_ms = clock.now_ms()
        await _drain(wire, request)
        return not is_last


def _can_go_on(wire: Wire, request: Request) -> bool:
    """A body that is neither read nor small, or that the client still holds back, ends the connection."""
    if "close" in request.headers.get("connection", "").lower():
        return False
    bytes_max = DRAIN_BYTES_MAX if wire.is_trusted else STRANGER_BYTES_MAX
    return request.left <= bytes_max and not (request.expects_continue and request.left)


async def _drain(wire: Wire, request: "Request | str") -> None:
    """Read what the client still sends: a close with unread bytes would reset the answer on its way. This is worth no
    place: the connection makes room meanwhile. PortError("timeout")."""
    if isinstance(request, Request) and request.expects_continue:
        return
    is_stranger, wire.is_trusted = not wire.is_trusted, False
    bytes_max = STRANGER_BYTES_MAX if is_stranger else DRAIN_BYTES_MAX
    left = bytes_max if isinstance(request, str) else min(request.left, bytes_max)
    pace = Pace(wire.stall_ms)
    until = clock.now_ms() + min(STRANGER_MS_MAX, wire.stall_ms)
    while left > 0:
        if is_stranger:  # all of it within a second, however evenly it comes
            pace = Pace(max(1, until - clock.now_ms()))
            if clock.now_ms() >= until:
                raise PortError("timeout", "The rest of a refused body did not come in time.")
        left -= len(await wire.read(min(left, DRAIN_PIECE_BYTES), pace))


async def _write_body(wire: Wire, body: "bytes | Body", pace: Pace, piece_bytes: int) -> None:
    if isinstance(body, bytes):
        view = memoryview(body)
        for start in range(0, len(body), piece_bytes):
            await wire.write(view[start : start + piece_bytes], pace)  # type: ignore[arg-type]
        return
    left = body.length
    while left:
        wire.is_broken = True  # until the announced length is written
        piece = await body.read(min(piece_bytes, left))
        if not piece or len(piece) > left:
            raise UsageError("http", f"A body ended {left} bytes away from the length it had announced.")
        left -= len(piece)
        await wire.write(piece, pace)


def _close_body(response: Response) -> None:
    if not isinstance(response.body, bytes):
        response.body.close()
