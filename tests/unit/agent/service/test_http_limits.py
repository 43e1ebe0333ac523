"""Bad, slow and too many HTTP clients, over real sockets on loopback, on both interpreters."""

import asyncio

from agent import port
from agent.errors import PeerError, PortError
from agent.port import net

port.terminal.begin()  # as every program does before it loads more: a head of 4 KiB wants a block of 4 KiB
from agent.service import http  # noqa: E402

QUICK = http.Limits(3, 150, 200, 512)


async def _handle(request):
    if request.path == "/peer":
        raise PeerError("x", "X.")
    if request.path == "/count":
        request.trust()
        total = 0
        while total < request.length:
            total += len(await request.read(400))
    if request.path == "/echo":
        return http.Response(200, [], await request.body(1500))
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


async def _raw(connect, data, times=1):
    conn = await connect()
    for _ in range(times):
        await conn.write(data)
    return await _until_end(conn)


def test_expect_continue():
    async def body(connect):
        for path, first in (("/echo", b"HTTP/1.1 100 OK\r\n\r\n"), ("/peer", b"HTTP/1.1 400 ")):
            conn = await connect()
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            await conn.write(head.encode())
            answer = await net.wait_for(conn.read(1000), 1000)
            assert answer.startswith(first), answer
            if path == "/echo":
                await conn.write(b"abcGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer += await _until_end(conn)
            assert (b"\r\n\r\nabcHTTP/1.1 200" in answer) == (path == "/echo"), answer
            assert b"Connection: close" in answer
        assert b" 417 " in await _raw(connect, b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nConnection: close\r\n\r\n")

    _with_server(body)


def test_garbage_is_answered_and_dropped():
    async def body(connect):
        for data in (
            b"\xff" * 500,
            b"GET / HTTP/1.0\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0",
        ):
            answer = await _raw(connect, data, 9 if data[0] == 255 else 1)
            assert answer.startswith(b"HTTP/1.1 400 Refused\r\n") and b"\r\n\r\nhttp: " in answer, answer
        head = b"PUT /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n"
        answer = await _raw(connect, head + bytes(500))
        assert b"200 OK" in answer and b"Connection: close" in answer

    _with_server(body)


def test_slow_peers_are_dropped():
    async def body(connect):
        assert (await _raw(connect, b"GET / HT")).startswith(b"HTTP/1.1 408 ")
        assert await _raw(connect, b"") == b""
        assert await _raw(connect, b"PUT /count HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc") == b""
        conn = await connect()
        await conn.write(b"PUT /count HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
        count = 0
        try:
            while count < 99:  # each byte is in time, all of them together are not
                await conn.write(b"a")
                count += 1
                await asyncio.sleep(0.02)
        except PortError:
            assert count > 3
        assert count < 60, count
        conn.close()

    _with_server(body)


def test_a_full_house_drops_the_idle_one_and_refuses_the_rest():
    async def body(connect):
        idle = await connect()
        await asyncio.sleep(0.02)
        busy = []
        for _ in range(3):
            conn = await connect()
            await conn.write(b"PUT /count HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
            await asyncio.sleep(0.02)
            busy.append(conn)
        assert await _until_end(idle) == b""
        assert (await _raw(connect, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
        await busy[0].write(b"123456789")
        assert b"200 OK" in await net.wait_for(busy[0].read(500), 1000)
        for conn in busy:
            conn.close()

    _with_server(body, http.Limits(3, 2000, 2000, 512))
