"""HTTP/1.1 heads, as a server reads and writes them: a strict subset of RFC 9112 and 9110.

Not here: bodies (only Content-Length ones exist), connections, time. Whoever disagrees with another parser
about where a message ends can smuggle requests, so everything doubtful is refused: Transfer-Encoding, line
folding, bare LF, two Content-Length or Host fields, absolute-form and any version but 1.1.
Bounds: HEAD_BYTES_MAX per head, HEADERS_MAX fields. Every fault is PeerError("http").
"""

from collections import namedtuple

from agent.errors import PeerError, UsageError

HEAD_BYTES_MAX = 4096
HEADERS_MAX = 32
METHOD_CHARS_MAX = 16
LENGTH_DIGITS_MAX = 15

# `headers`: dict of lower-case name to value; `length`: bytes of the head itself, with its empty line.
Head = namedtuple("Head", ("method", "target", "headers", "length"))

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # RFC 9110 5.6.2
TARGET = b"-._~!$&'()*+,;=:@/?%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # RFC 3986
PRINTABLE = b"\t !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
DIGITS = b"0123456789"
HEX = b"0123456789abcdefABCDEF"
# Fields that say how to read the message or who asks: twice is a contradiction, not a list.
SINGLE = ("authorization", "content-length", "content-range", "content-type", "expect", "host", "origin", "range")


def _fault(text: str) -> PeerError:
    return PeerError("http", text)


def _only(data: bytes, allowed: bytes) -> bool:
    """strip() stops at the first byte that is not allowed: nothing is left only when there is none."""
    return not data.strip(allowed)


def _head_lines(data: bytes) -> "tuple[list[bytes], int] | None":
    """Lines of a complete head and its length; None when more bytes are needed."""
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    if end < 0:
        if len(data) >= HEAD_BYTES_MAX:
            raise _fault(f"A message head of at most {HEAD_BYTES_MAX} bytes was expected; this one is longer.")
        return None
    lines = bytes(data[:end]).split(b"\r\n")
    if len(lines) - 1 > HEADERS_MAX:
        raise _fault(f"At most {HEADERS_MAX} header fields were expected; {len(lines) - 1} came.")
    for line in lines:
        if not _only(line, PRINTABLE):
            raise _fault("Printable ASCII in lines that end with CR LF was expected; another byte came.")
    return lines, end + 4


def _headers(lines: "list[bytes]") -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, rest = line.partition(b":")
        if not colon or not name or not _only(name, TOKEN):  # a space before the colon and obs-fold end here
            raise _fault("A header field as `name: value` was expected.")
        key, value = name.decode().lower(), rest.strip(b" \t").decode()
        if key in headers:
            if key in SINGLE:
                raise _fault(f"The field {key} came twice; once was expected.")
            value = headers[key] + ", " + value
        headers[key] = value
    if "transfer-encoding" in headers:
        raise _fault("A body with Content-Length was expected; Transfer-Encoding is not supported.")
    _length(headers)
    return headers


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not text or len(text) > LENGTH_DIGITS_MAX or not _only(text.encode(), DIGITS):
        raise _fault(f"Content-Length must be 1 to {LENGTH_DIGITS_MAX} digits.")
    return int(text)


def content_length(head: Head) -> int:
    """Bytes of the body; 0 when the field is absent (look in `headers` where that matters)."""
    return _length(head.headers)


def _check_target(target: bytes) -> None:
    if target[:1] != b"/" or not _only(target, TARGET):
        raise _fault("A path that starts with / and holds only URI characters was expected as the target.")
    position = target.find(b"%")
    while position >= 0:
        pair = target[position + 1 : position + 3]
        if len(pair) != 2 or not _only(pair, HEX):
            raise _fault("Two hexadecimal digits were expected after % in the target.")
        position = target.find(b"%", position + 3)


def parse_head(data: bytes) -> "Head | None":
    """The request head at the start of `data` (bytes or bytearray), or None while it is incomplete."""
    found = _head_lines(data)
    if found is None:
        return None
    lines, length = found
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1":
        raise _fault("A request line `METHOD /path HTTP/1.1` was expected.")
    method, target = parts[0], parts[1]
    if not 0 < len(method) <= METHOD_CHARS_MAX or not _only(method, UPPER):
        raise _fault(f"A method of 1 to {METHOD_CHARS_MAX} capital letters was expected.")
    _check_target(target)
    headers = _headers(lines[1:])
    if not headers.get("host"):
        raise _fault("A Host field was expected (RFC 9112 section 3.2).")
    return Head(method.decode(), target.decode(), headers, length)


def _encode(first: str, headers: "list[tuple[str, str]]") -> bytes:
    lines = [first]
    for name, value in headers:
        line = f"{name}: {value}"
        if not name or not _only(name.encode(), TOKEN) or not _only(value.encode(), PRINTABLE):
            raise UsageError("http", f"The header field {name} has a value that cannot be sent.")
        lines.append(line)
    data = ("\r\n".join(lines) + "\r\n\r\n").encode()
    if len(data) > HEAD_BYTES_MAX:
        raise UsageError("http", f"A head of {len(data)} bytes is too long to send ({HEAD_BYTES_MAX}).")
    return data


def has_body(status: int) -> bool:
    """RFC 9112 section 6.3: these never have one."""
    return status >= 200 and status not in (204, 304)


def encode_response(status: int, headers: "list[tuple[str, str]]", length: int) -> bytes:
    """A head for a body of `length` bytes (for HEAD, of the body that GET would give)."""
    fields = headers + [("Content-Length", str(length))] if has_body(status) else headers
    # RFC 9112 section 4: a client ignores the words after the number.
    return _encode(f"HTTP/1.1 {status} " + ("OK" if status < 400 else "Refused"), fields)
