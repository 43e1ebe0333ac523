"""How the shard store speaks HTTP: paths, single ranges (RFC 9110 section 14), bodies, refusals ("code: sentence").

Several ranges in one request, and units other than bytes, are ignored, as section 14.2 allows.
"""

from agent.errors import CoreletError, PeerError
from agent.service.messages import Body, Response, error_response

if False:
    from agent.core.shards.ticket import Ticket
    from agent.service.shards import ShardService
    from agent.service.slabs import Slabs

PREFIX = "/shards/"
RANGE_CHARS_MAX = 40
DIGITS = "0123456789"


def refusal(error: CoreletError) -> Response:
    """What was raised, as a status and "code: sentence"."""
    response = error_response(error)
    if error.code != "method":
        return response
    return Response(405, response.headers + [("Allow", "PUT, GET, HEAD, DELETE")], response.body)


def headers_of(shard: bytes) -> list[tuple[str, str]]:
    """Of an answer with bytes of it."""
    octets = ("Content-Type", "application/octet-stream")
    return [octets, ("Accept-Ranges", "bytes"), ("ETag", '"' + shard.hex() + '"')]


def partial(shard: bytes, length: int, text: str) -> tuple[int, list[tuple[str, str]], int, int]:
    """(status, headers, first byte, count) for a Range header, "" without one. PeerError("range")."""
    first, count = select_range(text, length) if text else (0, length)
    if count == length:
        return 200, headers_of(shard), first, count
    return 206, headers_of(shard) + [("Content-Range", f"bytes {first}-{first + count - 1}/{length}")], first, count


def select_range(text: str, length: int) -> tuple[int, int]:
    """(first byte, count) that a Range header asks for; all of it when it is not one range of bytes. PeerError("range")
    when there is no such byte."""
    unit, _, spec = text.replace(" ", "").partition("=")
    first, dash, last = spec.partition("-")
    is_number = not [sign for sign in first + last if sign not in DIGITS] and len(spec) <= RANGE_CHARS_MAX
    if unit != "bytes" or dash != "-" or not is_number or not (first or last):
        return (0, length)
    if not first:
        count = min(int(last), length)
        start = length - count
    else:
        start = int(first)
        if last and int(last) < start:
            return (0, length)
        count = min(int(last) + 1 if last else length, length) - start
    if count <= 0:
        raise PeerError("range", f"The shard has {length} bytes; the range asks for none of them.")
    return (start, count)


def shard_of(path: str) -> bytes | None:
    """The 32 bytes that a path names; None for any other path."""
    name = path[len(PREFIX) :]
    if not path.startswith(PREFIX) or len(name) != 64 or [sign for sign in name if sign not in DIGITS + "abcdef"]:
        return None
    return bytes.fromhex(name)


class ShardBody(Body):
    """`length` bytes from `first` of a shard that was found; one piece of the slot in memory."""

    def __init__(self, service: "ShardService", source: "Slabs", ticket: "Ticket", first: int, length: int) -> None:
        self.length = length
        self._service = service
        self._slabs = source
        self._ticket = ticket
        self._at = first
        self._piece = b""
        self._number = -1

    async def read(self, bytes_max: int) -> bytes:
        """PortError when the shard is gone or its bytes changed since they were verified: nothing wrong is sent."""
        number, start = divmod(self._at, self._ticket.piece_bytes)
        if number != self._number:
            try:
                self._piece = self._slabs.read_piece(self._ticket, number)
            finally:
                self._service.take_reports()
            self._number = number
        data = self._piece[start : start + bytes_max]
        self._at += len(data)
        return data

    def close(self) -> None:
        self._piece = b""
