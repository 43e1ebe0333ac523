"""Who keeps a place at the HTTP server when there are too many, and what a connection costs; over real sockets."""

import asyncio
import gc

from agent import port
from agent.errors import PortError, TrustError
from agent.port import clock, net

port.terminal.begin()  # as every program does before it loads more
from agent.service import http  # noqa: E402
from tests.http_client import fetch  # noqa: E402

PLACES = 3
LIMITS = http.Limits(PLACES, 10000, 30000, 512)
BIG = 6000
seen = []


class Big(http.Body):
    length = BIG

    def __init__(self):
        self.data = bytes(BIG)

    async def read(self, bytes_max):
        return self.data[:bytes_max]


async def _handle(request):
    if request.path == "/refused":
        raise TrustError("token", "No.")
    if request.path != "/stranger":
        request.trust()
    if request.path == "/big":
        body = Big()
        if not port.MICROPYTHON:
            import weakref

            seen[:] = [weakref.ref(request), weakref.ref(body)]
        return http.Response(200, [], body)
    while await request.read(400):
        continue
    return http.text_response(200, "done")


def _with_server(body):
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0, 64)
        server = http.HttpServer(listener, _handle, LIMITS)
        task = net.spawn(server.serve())

        async def connect(path="", length=0):
            conn = await net.connect_tcp("127.0.0.1", listener.port, 2000)
            if path:
                await conn.write(f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
            return conn

        await body(connect, server)
        task.cancel()
        await asyncio.sleep(0.01)

    net.run(main())


async def _all_places(connect, path="", length=0):
    conns = []
    for _ in range(PLACES):
        conns.append(await connect(path, length))
    return conns


async def _until_end(conn, timeout_ms=4000):
    """All that comes; PortError("timeout") when the connection stays."""
    data = b""
    while True:
        try:
            piece = await net.wait_for(conn.read(500), timeout_ms)
        except PortError as error:
            if error.code != "closed":
                raise
            piece = b""
        if not piece:
            conn.close()
            return data
        data += piece


async def _serves(connect):
    conn = await connect("/a", 3)
    await conn.write(b"abc")
    answer = await net.wait_for(conn.read(500), 2000)
    conn.close()
    return answer.startswith(b"HTTP/1.1 200 ")


def test_a_refused_body_is_not_waited_for():
    """However evenly it comes: the red team's strangers sent 600 bytes a second and stayed for minutes."""

    async def body(connect, server):
        for length in (65000, 4000):
            conn = await connect("/refused", length)
            start = clock.now_ms()
            try:
                while clock.now_ms() - start < 4000:
                    await conn.write(b"x" * 60)
                    await asyncio.sleep(0.1)
            except PortError:
                pass
            assert clock.now_ms() - start < 2500, length
            conn.close()
        conn = await connect("/refused", 65000)
        answer = await _until_end(conn)
        assert answer.startswith(b"HTTP/1.1 401 ") and b"Connection: close" in answer, answer

    _with_server(body)


def test_strangers_make_room():
    """Silent, within a head, within a body that the handler reads: none keeps a place from one who is authorised."""

    async def body(connect, server):
        for path, length in (("", 0), ("/refused", 65000), ("/stranger", 65000)):
            conns = await _all_places(connect, path, length)
            await asyncio.sleep(0.05)
            assert await _serves(connect), path
            assert await _serves(connect), path
            for conn in conns:
                conn.close()
            await asyncio.sleep(0.05)

    _with_server(body)


def test_the_one_longest_without_an_authorised_request_goes_first():
    async def body(connect, server):
        old, known = await connect(), await connect()
        await asyncio.sleep(0.05)
        stranger = await connect()
        await asyncio.sleep(0.01)
        assert (await fetch(known, "PUT", "/a", [], b"abc"))[0] == 200
        assert (await fetch(stranger, "PUT", "/stranger", [], b"abc"))[0] == 200
        for gone in (old, stranger):
            new = await connect()
            assert await _until_end(gone) == b""
            assert (await fetch(new, "PUT", "/a", [], b"abc"))[0] == 200
        assert (await fetch(known, "PUT", "/a", [], b"abc"))[0] == 200

    _with_server(body)


def test_an_authorised_request_keeps_its_place():
    async def body(connect, server):
        busy = await _all_places(connect, "/a", 9)
        await asyncio.sleep(0.05)
        assert (await _until_end(await connect("/a", 0))).startswith(b"HTTP/1.1 503 ")
        for conn in busy:
            await conn.write(b"123456789")
            assert b"200 OK" in await net.wait_for(conn.read(500), 1000)
            conn.close()

    _with_server(body)


def test_a_flood_costs_a_bounded_number_of_tasks():
    """More than thirty at once ended a device of 512 KiB: each that is told 503 is a task with buffers."""

    async def body(connect, server):
        busy = await _all_places(connect, "/a", 9)
        await asyncio.sleep(0.05)
        flood = []
        for _ in range(36):
            flood.append(await connect("/a", 9))
            await asyncio.sleep(0)
            assert len(server._tasks) <= PLACES * 3 // 2 + 1
        for conn in flood:
            conn.close()
        for conn in busy:
            await conn.write(b"123456789")
            assert b"200 OK" in await net.wait_for(conn.read(500), 1000)
            conn.close()
        await asyncio.sleep(0.1)
        assert await _serves(connect)

    _with_server(body)


def test_an_ended_connection_is_dropped_at_once():
    """Not at the next accept: its task keeps its frames and buffers."""

    async def body(connect, server):
        conns = await _all_places(connect)
        await asyncio.sleep(0.05)
        assert len(server._tasks) == PLACES
        for conn in conns:
            conn.close()
        await asyncio.sleep(0.05)
        assert server._tasks == [] and server._wires == []

    _with_server(body)


def test_an_idle_connection_keeps_nothing_of_its_last_request():
    async def body(connect, server):
        conns = await _all_places(connect)
        await asyncio.sleep(0.05)
        gc.collect()
        before = gc.mem_alloc() if port.MICROPYTHON else 0
        for conn in conns:
            status, _, data = await fetch(conn, "GET", "/big", [], b"")
            assert (status, len(data)) == (200, BIG)
            data = None
        await asyncio.sleep(0.05)
        gc.collect()
        if port.MICROPYTHON:
            assert gc.mem_alloc() - before < BIG * (PLACES - 1), gc.mem_alloc() - before
        else:
            assert [reference() for reference in seen] == [None, None]
        for conn in conns:
            conn.close()

    _with_server(body)
