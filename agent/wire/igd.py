"""UPnP Internet Gateway Device, as much of it as a port mapping needs: SSDP search and answer, description of a device,
SOAP calls of WANIPConnection:1/2 and WANPPPConnection:1 (UPnP Device Architecture 1.1; IGD:1 and IGD:2).

No XML parser: a bounded search for one element at a time, and what it finds must have the form that is expected.
A place is (host, port, path); every URL must lead to the host that answered, so that no router can send us elsewhere.
Bounds: BODY_BYTES_MAX of an answer over TCP, VALUE_BYTES_MAX of a value.
"""

from agent.errors import PeerError

if False:
    Place = tuple[str, int, str]
    Arguments = tuple[tuple[str, object], ...]

GROUP, PORT = "239.255.255.250", 1900
BODY_BYTES_MAX = 8192  # a small heap seldom has a larger piece
VALUE_BYTES_MAX = 256
_FAULTS = {"718": "conflict", "725": "permanent"}

_SERVICES = ("WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1")
_URN = "urn:schemas-upnp-org:service:"
_SEARCH = """M-SEARCH * HTTP/1.1\r
HOST: 239.255.255.250:1900\r
MAN: "ssdp:discover"\r
MX: 1\r
ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r
\r
"""
_SOAP = (
    '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>{0}</s:Body></s:Envelope>\r\n'
)


def search() -> bytes:
    """Sent to GROUP and PORT; every gateway device answers, whatever its version."""
    return _SEARCH.encode()


def location(data: bytes, host: str) -> "Place":
    """Of the description, from an answer to search() that came from `host`. PeerError("igd")."""
    check(data)
    at = data.lower().find(b"\r\nlocation:")
    if at < 0:
        raise PeerError("igd", "expected an answer to a search with a location")
    return _place(_plain(data[at + 11 : data.find(b"\r", at + 11)].strip()), host, 0)


def control(data: bytes, place: "Place") -> "tuple[str, Place]":
    """(service, where its calls go) from a description that came from `place`. PeerError("igd")."""
    check(data)
    for name in _SERVICES:
        at = data.find((_URN + name).encode())
        if at >= 0:
            return _URN + name, _place(field(data[at : data.find(b"</service>", at)], "controlURL"), place[0], place[1])
    raise PeerError("igd", "the router describes no service that maps ports")


def request(method: str, place: "Place", more: str = "", body: str = "") -> bytes:
    host, port, path = place
    head = f"{method} {path} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n"
    return f"{head}{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def call(service: str, place: "Place", action: str, arguments: "Arguments") -> bytes:
    """A SOAP request; the arguments in the order of the specification, text without signs that XML reserves."""
    inner = "".join([f"<New{name}>{value}</New{name}>" for name, value in arguments])
    body = _SOAP.format(f'<u:{action} xmlns:u="{service}">{inner}</u:{action}>')
    more = f'Content-Type: text/xml; charset="utf-8"\r\nSOAPAction: "{service}#{action}"\r\n'
    return request("POST", place, more, body)


def check(data: bytes) -> None:
    """PeerError when the answer is none or a fault: "igd", "conflict" (somebody else has that external port) or
    "permanent" (mappings without an end only)."""
    if data[:7] != b"HTTP/1." or data[8:9] != b" ":
        raise PeerError("igd", f"expected an answer of HTTP, got {len(data)} other bytes")
    if data[9:12] != b"200":
        code = field(data, "errorCode") if b"<errorCode" in data else _plain(data[9:12])
        raise PeerError(_FAULTS.get(code, "igd"), f"error {code}")


def field(data: bytes, name: str) -> str:
    """The text of the first such element. PeerError("igd")."""
    at = data.find(b"<" + name.encode())
    start = data.find(b">", at) + 1
    if at < 0 or not start:
        raise PeerError("igd", f"expected the element {name} in the router's answer")
    return _plain(data[start : data.find(b"<", start)].strip())


def ipv4(text: str) -> bytes:
    """PeerError("igd")."""
    parts = text.split(".")
    if len(parts) != 4 or not all(_number(part) < 256 for part in parts):
        raise PeerError("igd", "expected an IPv4 address from the router")
    return bytes([_number(part) for part in parts])


def _plain(value: bytes) -> str:
    """Without anything that would end a line of a request."""
    if len(value) > VALUE_BYTES_MAX or [sign for sign in value if not 32 < sign < 127]:
        raise PeerError("igd", f"expected at most {VALUE_BYTES_MAX} plain signs from the router")
    return value.decode()


def _number(text: str) -> int:
    """65536 for what is no smaller number."""
    return min(int(text), 65536) if text.isdigit() and len(text) < 6 else 65536


def _place(url: str, host: str, port: int) -> "Place":
    """An absolute URL must be of this host; others are of this host and port."""
    if url.startswith("http://"):
        name, _, url = url[7:].partition("/")
        name, _, number = name.partition(":")
        port = _number(number or "80") if name == host else 0
    if not 0 < port < 65536:
        raise PeerError("igd", f"the router {host} names a place that is not its own")
    return host, port, url if url.startswith("/") else "/" + url
