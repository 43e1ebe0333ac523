"""The fast lane beside the server that lends it connections, over real sockets, on both interpreters."""

import asyncio

from agent import port
from agent.errors import PortError
from agent.port import net

port.terminal.begin()
from agent.service import http  # noqa: E402

BODY = bytes(range(256)) * 4
LIMITS = http.Limits(4, 300, 400, 512)
QUICK = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
OTHER = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\nslow /other\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Kept:
    """For a lane that sends blocks, and for one that fills its buffer."""

    pins = 0

    def __init__(self, times):
        self.length = len(BODY) * times
        make = port.lane().Block
        self.block = make(bytearray(BODY * times)) if make is not None else None

    def fill(self, at, view):
        for place in range(len(view) if self.length == len(BODY) else 0):
            view[place] = BODY[at + place]
        return True


class World:
    def __init__(self, times=1):
        self.kept = Kept(times)
        self.head = HEAD % self.kept.length
        self.quick = 0

    def answer(self, data):
        if data[: len(QUICK)] != QUICK:
            return None
        self.quick += 1
        self.kept.pins += 1
        return len(QUICK), self.head, self.kept, 0, self.kept.length

    async def handle(self, request):
        return http.text_response(200, "slow " + request.path)

    def run(self, body):
        async def main():
            listener = net.listen_tcp("127.0.0.1", 0)
            lane = port.lane().Lane(self.answer, LIMITS.head_ms)
            running = net.spawn(lane.run())
            self.server = net.spawn(http.HttpServer(listener, self.handle, LIMITS, lane).serve())
            await asyncio.sleep(0.05)
            conn = await net.connect_tcp("127.0.0.1", listener.port, 2000)
            await body(conn)
            self.server.cancel()
            await asyncio.sleep(0.05)
            running.cancel()
            await asyncio.sleep(0.05)

        net.run(main())


async def take(conn, count):
    data = b""
    while len(data) < count:
        piece = await net.wait_for(conn.read(min(2000, count - len(data))), 3000)
        if not piece:
            break
        data += piece
    return data


async def is_ended(conn):
    try:
        while await net.wait_for(conn.read(2000), 5000):
            continue
    except PortError as error:
        return error.code == "closed"
    return True


def test_quick_and_other_requests_on_one_connection():
    world = World()

    async def body(conn):
        whole = world.head + BODY
        await conn.write(QUICK + OTHER + QUICK + OTHER[:9])
        assert await take(conn, len(whole)) == whole
        text = await take(conn, len(SLOW))
        assert text == SLOW, text
        assert await take(conn, len(whole)) == whole
        await asyncio.sleep(0.02)
        await conn.write(OTHER[9:] + QUICK)
        assert await take(conn, len(SLOW) + len(whole)) == SLOW + whole

    world.run(body)
    assert world.quick == 3


def test_an_empty_answer_waits_for_nothing():
    """Its head alone: the kernel would hold back for 200 ms what it is told that more will follow."""
    world, passed = World(0), []

    async def body(conn):
        for _ in range(5):
            began = port.clock.now_ms()
            await conn.write(QUICK)
            assert await take(conn, len(world.head)) == world.head
            passed.append(port.clock.now_ms() - began)

    world.run(body)
    assert min(passed) < 150


def test_who_does_not_ask_and_who_does_not_read_is_let_go():
    for times, said in ((1, b""), (1, QUICK[:5]), (8000, QUICK * 5)):  # 40 MB fill every buffer
        world = World(times)

        async def body(conn, said=said):
            if said:
                await conn.write(said)
            await asyncio.sleep(1.9)
            assert await is_ended(conn)

        world.run(body)
        assert not world.kept.block or world.kept.pins == 0


def test_a_server_that_stops_ends_what_it_has_lent():
    world = World()

    async def body(conn):
        await conn.write(QUICK)
        await take(conn, len(world.head) + len(BODY))
        world.server.cancel()
        assert await is_ended(conn)

    world.run(body)
