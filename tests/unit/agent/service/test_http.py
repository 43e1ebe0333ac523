"""The HTTP server over real sockets on loopback, on both interpreters."""

import asyncio

from agent.errors import LimitError, PeerError, PortError, TrustError, UsageError
from agent.port import net
from agent.service import http
from tests.http_client import fetch

QUICK = http.Limits(3, 150, 200, 512)
ERRORS = {
    "/peer": (PeerError("x", "X."), 400),
    "/big": (PeerError("too_big", "X."), 413),
    "/trust": (TrustError("x", "X."), 401),
    "/limit": (LimitError("x", "X.", 7), 503),
    "/port": (PortError("x", "X."), 500),
    "/usage": (UsageError("x", "X."), 400),
}
closed = []


class Count(http.Body):
    def __init__(self, length):
        self.length = length

    async def read(self, bytes_max):
        return b"x" * min(bytes_max, 300)

    def close(self):
        closed.append(self.length)


async def _handle(request):
    if request.path in ERRORS:
        raise ERRORS[request.path][0]
    if request.path == "/echo":
        return http.Response(200, [], await request.body(1500))
    if request.path == "/count":
        total = 0
        while True:
            piece = await request.read(400)
            if not piece:
                return http.text_response(200, str(total))
            assert len(piece) <= 400
            total += len(piece)
    if request.path == "/stream":
        return http.Response(200, [("X", request.query)], Count(int(request.query)))
    return http.text_response(200, request.method + " " + request.path)


def _with_server(body, limits=QUICK):
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)
        server = net.spawn(http.HttpServer(listener, _handle, limits).serve())

        async def connect():
            return await net.connect_tcp("127.0.0.1", listener.port, 2000)

        await body(connect)
        server.cancel()
        await asyncio.sleep(0.01)

    net.run(main())


async def _until_end(conn):
    data = b""
    while True:
        try:
            piece = await net.wait_for(conn.read(1000), 3000)
        except PortError as error:
            assert error.code == "closed", error.code
            break
        if not piece:
            break
        data += piece
    conn.close()
    return data


async def _raw(connect, data):
    conn = await connect()
    await conn.write(data)
    return await _until_end(conn)


def test_keep_alive_and_errors():
    async def body(connect):
        conn = await connect()
        for path in ERRORS:
            status, headers, text = await fetch(conn, "GET", path, [], b"")
            assert status == ERRORS[path][1], path
            assert text == ERRORS[path][0].code.encode() + b": X.\n"
            assert headers.get("retry-after", "7") == "7"
        assert (await fetch(conn, "GET", "/a?b", [], b""))[2] == b"GET /a\n"
        assert (await fetch(conn, "POST", "/echo", [], b"z" * 1500))[2] == b"z" * 1500
        assert (await fetch(conn, "POST", "/echo", [], b"z" * 1501))[0] == 413
        assert (await fetch(conn, "PUT", "/count", [], b"z" * 1700))[2] == b"1700\n"
        assert (await fetch(conn, "POST", "/unread", [], b"z" * 1700))[2] == b"POST /unread\n"
        assert (await fetch(conn, "GET", "/after", [], b""))[2] == b"GET /after\n"
        conn.close()

    _with_server(body)


def test_streams_and_head_has_no_body():
    async def body(connect):
        del closed[:]
        conn = await connect()
        status, headers, data = await fetch(conn, "GET", "/stream?1000", [], b"")
        assert (status, headers["x"], data) == (200, "1000", b"x" * 1000)
        status, headers, data = await fetch(conn, "HEAD", "/stream?1001", [], b"")
        assert (status, headers["content-length"], data) == (200, "1001", b"")
        assert (await fetch(conn, "GET", "/a", [], b""))[0] == 200
        assert closed == [1000, 1001]
        conn.close()

    _with_server(body)


def test_pipelining_and_empty_lines():
    async def body(connect):
        data = b"\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        data += b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = await _raw(connect, data)
        assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.endswith(b"GET /b\n"), answer
        assert b"Connection: close" in answer

    _with_server(body)


def test_router():
    async def one(request):
        return 1

    async def two(request):
        return 2

    class Fake:
        def __init__(self, path):
            self.path = path

    router = http.Router([("/a", one), ("/a/b", two)])
    assert asyncio.run(router.handle(Fake("/a/c"))) == 1
    assert asyncio.run(router.handle(Fake("/a/b/c"))) == 2
    assert asyncio.run(router.handle(Fake("/c"))).status == 404
