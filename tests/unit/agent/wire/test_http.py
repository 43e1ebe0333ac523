"""HTTP heads: each message is tried whole, byte by byte, and with bytes after it (h11's habit)."""

from agent.errors import PeerError, UsageError
from agent.wire import http
from tests.expect import raises
from tests.http_client import encode_request, parse_status

GET = b"GET /shards/ab?x=1%20 HTTP/1.1\r\nHost: a\r\nAccept:  text/html \t\r\naccept: */*\r\n\r\n"


def _ways(parse, data):
    whole = parse(data)
    assert whole is not None and whole.length == len(data)
    for count in range(len(data)):
        assert parse(data[:count]) is None, data[:count]
    assert parse(data + b"GET / HT") == whole
    assert parse(bytearray(data)) == whole
    return whole


def _refused(data, parse=http.parse_head):
    error = raises(PeerError, parse, data)
    assert error.code == "http" and error.text.endswith(".")


def test_request():
    head = _ways(http.parse_head, GET)
    assert (head.method, head.target) == ("GET", "/shards/ab?x=1%20")
    assert head.headers == {"host": "a", "accept": "text/html, */*"}
    assert http.content_length(head) == 0


def test_request_with_body():
    head = _ways(http.parse_head, b"PUT / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0017\r\n\r\n")
    assert http.content_length(head) == 17 and head.headers["host"] == "[::1]:80"


def test_status():
    status = _ways(parse_status, b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\n")
    assert status.status == 206 and http.content_length(status) == 5
    assert _ways(parse_status, b"HTTP/1.1 200 \r\n\r\n").status == 200
    for line in (b"HTTP/1.0 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 abc", b""):
        _refused(line + b"\r\nA: b\r\n\r\n", parse_status)


def test_bad_request_lines():
    for line in (
        b"GET / HTTP/1.0",
        b"GET / HTTP/2.0",
        b"GET / http/1.1",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"get / HTTP/1.1",
        b"G\x00T / HTTP/1.1",
        b"A" * 17 + b" / HTTP/1.1",
        b"GET http://a/ HTTP/1.1",
        b"GET * HTTP/1.1",
        b"CONNECT a:80 HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b'GET /" HTTP/1.1',
        b"GET /% HTTP/1.1",
        b"GET /%4 HTTP/1.1",
        b"GET /%4g HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"",
    ):
        _refused(line + b"\r\nHost: a\r\n\r\n")


def test_bad_fields():
    for lines in (
        b"Host: a\r\nHost: a",
        b"Accept: b",
        b"Host:",
        b"Host: a\r\nTransfer-Encoding: chunked",
        b"Host: a\r\nTransfer-Encoding: identity\r\nContent-Length: 3",
        b"Host: a\r\n folded: b",
        b"Host: a\r\nB: c\r\n d",
        b"Host: a\r\nName : b",
        b"Host: a\r\n: b",
        b"Host: a\r\nno colon",
        b"Host: a\r\nB: c\nD: e",
        b"Host: a\r\nB: c\rD: e",
        b"Host: a\r\nB: \x1b[0m",
        b"Host: a\r\nB: \x7f",
        b"Host: a\r\nB: \xff",
        b"Host: a\r\nContent-Length: 1\r\nContent-Length: 1",
        b"Host: a\r\nContent-Length: 1, 1",
        b"Host: a\r\nContent-Length: +1",
        b"Host: a\r\nContent-Length: -1",
        b"Host: a\r\nContent-Length: 0x10",
        b"Host: a\r\nContent-Length:",
        b"Host: a\r\nContent-Length: 1 2",
        b"Host: a\r\nContent-Length: " + b"1" * 16,
        b"Host: a\r\nAuthorization: a\r\nAuthorization: b",
    ):
        _refused(b"GET / HTTP/1.1\r\n" + lines + b"\r\n\r\n")


def test_bare_line_feeds_never_end_a_head():
    assert http.parse_head(b"GET / HTTP/1.1\nHost: a\n\n") is None
    _refused(b"GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")


def test_bounds():
    base = b"GET / HTTP/1.1\r\nHost: a\r\n"
    _ways(http.parse_head, base + b"A: b\r\n" * (http.HEADERS_MAX - 1) + b"\r\n")
    _refused(base + b"A: b\r\n" * http.HEADERS_MAX + b"\r\n")
    room = http.HEAD_BYTES_MAX - len(base) - len(b"A: \r\n\r\n")
    assert http.parse_head(base + b"A: " + b"x" * room + b"\r\n\r\n").length == http.HEAD_BYTES_MAX
    _refused(base + b"A: " + b"x" * (room + 1) + b"\r\n\r\n")
    assert http.parse_head(b"\xff" * 64) is None
    _refused(b"\xff" * http.HEAD_BYTES_MAX)
    assert http.parse_head(b"A" * (http.HEAD_BYTES_MAX - 1)) is None


def test_encode_and_parse_back():
    data = encode_request("PUT", "/a?b", [("Host", "c"), ("X-Y", "z z")], 5)
    head = _ways(http.parse_head, data)
    assert (head.method, head.target, http.content_length(head)) == ("PUT", "/a?b", 5)
    assert b"Content-Length" not in encode_request("GET", "/", [("Host", "c")], 0)
    assert b"Content-Length: 0" in encode_request("POST", "/", [("Host", "c")], 0)
    data = http.encode_response(200, [("A", "b")], 3)
    assert data == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\n"
    assert _ways(parse_status, data).status == 200
    assert http.encode_response(204, [], 0) == b"HTTP/1.1 204 OK\r\n\r\n"
    assert not http.has_body(304) and not http.has_body(100) and http.has_body(404)


def test_nothing_can_be_smuggled_into_a_head():
    for value in ("a\r\nB: c", "a\n", "\0", "\x7f", "\xe9"):
        raises(UsageError, http.encode_response, 200, [("A", value)], 0)
    for name in ("", "A B", "A:", "A\r\n"):
        raises(UsageError, http.encode_response, 200, [(name, "a")], 0)
    raises(UsageError, http.encode_response, 200, [("A", "x" * http.HEAD_BYTES_MAX)], 0)
    for method, target in (("GET", "a"), ("GET", "/a b"), ("GET", "/\r\n"), ("G T", "/"), ("GET", "")):
        raises(UsageError, encode_request, method, target, [("Host", "a")], 0)
