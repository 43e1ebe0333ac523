"""The client end of HTTP, for tests of our server on both interpreters: one call. A device has no use for it."""

from collections import namedtuple

from agent.errors import PeerError, PortError, UsageError
from agent.service.exchange import PIECE_BYTES_MAX, Pace, Wire
from agent.wire import http

FETCH_BYTES_MAX = 262144
FETCH_MS = 30000

Status = namedtuple("Status", ("status", "headers", "length"))


async def fetch(conn, method: str, path: str, headers: list[tuple[str, str]], body: bytes):
    """One request on `conn`, which can be used again afterwards: (status, headers, body of at most 256 KiB)."""
    wire = Wire(conn, FETCH_MS)
    names = [name.lower() for name, _ in headers]
    fields = headers if "host" in names else [("Host", "localhost")] + headers
    await wire.write(encode_request(method, path, fields, len(body)) + body, Pace(FETCH_MS))
    status = await wire.read_head(parse_status, FETCH_MS)
    while status is not None and status.status < 200:
        status = await wire.read_head(parse_status, FETCH_MS)
    if status is None:
        raise PortError("closed", "The server closed the connection without an answer.")
    left = http.content_length(status) if http.has_body(status.status) and method != "HEAD" else 0
    if left > FETCH_BYTES_MAX:
        raise PeerError("too_big", f"An answer of at most {FETCH_BYTES_MAX} bytes was expected; {left} were announced.")
    pieces, pace = [], Pace(FETCH_MS)
    while left:
        piece = await wire.read(min(left, PIECE_BYTES_MAX), pace)
        pieces.append(piece)
        left -= len(piece)
    if wire.buffer:
        raise PeerError("http", "The answer was longer than it had announced.")
    return status.status, status.headers, b"".join(pieces)


def parse_status(data: bytes) -> "Status | None":
    """The answer head at the start of `data`, or None while it is incomplete."""
    found = http._head_lines(data)
    if found is None:
        return None
    lines, length = found
    version, _, rest = lines[0].partition(b" ")
    status, _, _ = rest.partition(b" ")
    if (
        version != b"HTTP/1.1"
        or len(status) != 3
        or not http._only(status, http.DIGITS)
        or not 100 <= int(status) <= 599
    ):
        raise http._fault("A status line `HTTP/1.1 NNN reason` was expected.")
    return Status(int(status), http._headers(lines[1:]), length)


def encode_request(method: str, target: str, headers: "list[tuple[str, str]]", length: int) -> bytes:
    """`headers` with Host. Content-Length is left out of a GET or HEAD without a body."""
    if not http._only(method.encode(), http.UPPER) or target[:1] != "/" or not http._only(target.encode(), http.TARGET):
        raise UsageError("http", f"The request {method} {target} cannot be sent.")
    fields = headers if method in ("GET", "HEAD") and not length else headers + [("Content-Length", str(length))]
    return http._encode(f"{method} {target} HTTP/1.1", fields)
