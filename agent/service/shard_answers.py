"""How the shard store speaks HTTP: paths, single ranges (RFC 9110 section 14) and refusals, "code: sentence".

Several ranges in one request, and units other than bytes, are ignored, as section 14.2 allows.
"""

from agent.errors import CoreletError, LimitError, PeerError, PortError, TrustError
from agent.service.http import Response

PREFIX = "/shards/"
RANGE_CHARS_MAX = 40
DIGITS = "0123456789"

# code -> status; others by the kind of the error.
STATUS = {
    "device": 403,
    "operation": 403,
    "shard": 403,
    "size": 403,
    "not_found": 404,
    "method": 405,
    "slow": 408,
    "used": 409,
    "corrupt": 410,
    "length": 411,
    "too_big": 413,
    "range": 416,
    "digest": 422,
    "quota": 507,
    "disk_full": 507,
    "cores": 507,
}
_KINDS = ((TrustError, 401), (LimitError, 503), (PortError, 507))


def refusal(error: CoreletError) -> Response:
    """What was raised, as a status and "code: sentence"."""
    status = STATUS.get(error.code, 0)
    for kind, number in _KINDS:
        if not status and isinstance(error, kind):
            status = number
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    if status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    if isinstance(error, LimitError) and error.retry_s:
        headers.append(("Retry-After", str(error.retry_s)))
    if status == 405:
        headers.append(("Allow", "PUT, GET, HEAD, DELETE"))
    return Response(status or 400, headers, f"{error.code}: {error.text}\n".encode())


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
