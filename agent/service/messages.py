"""What an HTTP handler takes and gives: Request, Response, Body, and an error as a response; Router chooses a handler.

Not here: connections (agent/service/http.py). Paths and queries are raw, not percent-decoded.
"""

from collections import namedtuple

from agent.errors import CoreletError, LimitError, PeerError, PortError, TrustError
from agent.service.exchange import PIECE_BYTES_MAX, Pace, Wire
from agent.wire import http

if False:
    from collections.abc import Awaitable, Callable

# The status of an error: by its code, else by its kind.
STATUSES = (
    (403, ("device", "operation", "shard", "size")),
    (404, ("not_found",)),
    (408, ("slow",)),
    (409, ("used",)),
    (410, ("corrupt",)),
    (411, ("length",)),
    (413, ("too_big",)),
    (416, ("range",)),
    (422, ("digest",)),
    (503, ("busy", "stopped")),
    (507, ("io", "read_only", "denied", "quota", "disk_full", "flash", "cores")),
)
KINDS = ((TrustError, 401), (LimitError, 503), (PortError, 500), (CoreletError, 400))

# `headers`: list of (name, value); `body`: bytes, or a Body. Content-Length is added.
Response = namedtuple("Response", ("status", "headers", "body"))


class Body:
    """A body that is read in pieces. `length` is exact; `close` is called once, also when the peer has gone."""

    length = 0

    async def read(self, bytes_max: int) -> bytes:
        """1..bytes_max bytes."""
        raise NotImplementedError

    def close(self) -> None:
        """Free what the body holds."""


class Request:
    """One request. `path` and `query` are raw (not percent-decoded); `length` is 0 when Content-Length is absent."""

    def __init__(self, head: "http.Head", wire: Wire) -> None:
        self.method: str = head.method
        self.path, _, self.query = head.target.partition("?")
        self.headers: dict[str, str] = head.headers
        self.source = wire.conn.source
        self.length = http.content_length(head)
        self.left = self.length  # bytes of the body not read yet
        self.expects_continue = self.headers.get("expect", "").lower() == "100-continue" and self.length > 0
        self._wire = wire
        self._pace: Pace | None = None

    def trust(self) -> None:
        """Who sent it was verified: it keeps its place until it is served, and more of a refused body is read."""
        self._wire.is_trusted = True

    async def read(self, bytes_max: int) -> bytes:
        """Up to bytes_max bytes of the body, b"" at its end. PortError("closed" or "timeout") when it does not come."""
        if not self.left:
            return b""
        if self._pace is None:
            self._pace = Pace(self._wire.stall_ms)
        if self.expects_continue:
            self.expects_continue = False
            await self._wire.write(http.encode_response(100, [], 0), self._pace)
        piece = await self._wire.read(min(bytes_max, self.left), self._pace)
        self.left -= len(piece)
        return piece

    async def body(self, bytes_max: int) -> bytes:
        """The whole body; PeerError("too_big")."""
        if self.length > bytes_max:
            raise PeerError(
                "too_big", f"A body of at most {bytes_max} bytes was expected; {self.length} were announced."
            )
        pieces = []
        while self.left:
            pieces.append(await self.read(min(self.left, PIECE_BYTES_MAX)))
        return b"".join(pieces)


def text_response(status: int, text: str) -> Response:
    return Response(status, [("Content-Type", "text/plain; charset=utf-8")], (text + "\n").encode())


def error_response(error: CoreletError) -> Response:
    """What a handler raised, as a status and `code: sentence`."""
    found = [status for status, codes in STATUSES if error.code in codes]
    status = (found + [status for kind, status in KINDS if isinstance(error, kind)])[0]
    plain = text_response(status, f"{error.code}: {error.text}")
    if status == 401:
        plain.headers.append(("WWW-Authenticate", "Bearer"))
    retry_s = error.retry_s if isinstance(error, LimitError) else 3 * (status == 503)  # not for long
    if retry_s:
        plain.headers.append(("Retry-After", str(retry_s)))
    return plain


class Router:
    """`routes`: list of (prefix, handle). The longest prefix of the path wins; none is 404."""

    def __init__(self, routes: "list[tuple[str, Callable[[Request], Awaitable[Response]]]]") -> None:
        self._routes = sorted(routes, key=lambda route: (-len(route[0]), route[0]))

    async def handle(self, request: Request) -> Response:
        for prefix, handle in self._routes:
            if request.path.startswith(prefix):
                return await handle(request)
        return text_response(404, "not_found: There is nothing here.")
