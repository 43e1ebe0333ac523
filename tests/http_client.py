"""The client end of HTTP, for tests of our server on both interpreters: one call. A device has no use for it."""

from agent.errors import PeerError, PortError
from agent.service.exchange import PIECE_BYTES_MAX, Pace, Wire
from agent.wire import http

FETCH_BYTES_MAX = 262144
FETCH_MS = 30000


async def fetch(conn, method: str, path: str, headers: list[tuple[str, str]], body: bytes):
    """One request on `conn`, which can be used again afterwards: (status, headers, body of at most 256 KiB)."""
    wire = Wire(conn, FETCH_MS)
    names = [name.lower() for name, _ in headers]
    fields = headers if "host" in names else [("Host", "localhost")] + headers
    await wire.write(http.encode_request(method, path, fields, len(body)) + body, Pace(FETCH_MS))
    status = await wire.read_head(http.parse_status, FETCH_MS)
    while status is not None and status.status < 200:
        status = await wire.read_head(http.parse_status, FETCH_MS)
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
