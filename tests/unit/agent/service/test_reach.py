"""The driver against a router on loopback: bytes over UDP and TCP, bounds, and the end."""

import asyncio

from agent.core.relay.reach import CALL_MS  # the largest first: a small heap has no room to compile it later

from agent.core.relay import router as asking  # isort: skip
from agent import port  # isort: skip

port.crypto()  # as a device has it already

from agent.port import clock, net  # noqa: E402
from agent.service import reach as module  # noqa: E402
from agent.service.reach import ReachService  # noqa: E402
from agent.wire import igd, portmap  # noqa: E402

OWN, GATEWAY = b"\x7f\0\0\1", "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\n\r\n"
ANSWERS = (
    (b"#GetExternalIPAddress", OK + b"<NewExternalIPAddress>11.22.33.1</NewExternalIPAddress>"),
    (b"#AddPortMapping", OK),
    (b"#DeletePortMapping", OK),
    (b"GET /d", OK + b"urn:schemas-upnp-org:service:WANIPConnection:1<controlURL>/c</controlURL></service>"),
)


class Pump:
    """All that is asked of it; the whole one has no room here."""

    @staticmethod
    def packed(_):
        return OWN


class Routes:
    @staticmethod
    def gateways(_):
        return [("lo", GATEWAY)]


async def serve(listener, asked):
    while True:
        conn = await listener.accept()
        data = await conn.read(2048)
        for mark, answer in ANSWERS:
            if mark in data:
                asked.append(mark)
                await conn.write(answer)
        conn.close()


def service(told, number):
    made = ReachService("127.0.0.1", [(portmap.UDP, 3478)], lambda: told.append(made.machine.state), b"n" * 12)
    machine = made.machine
    machine.set_network(OWN, GATEWAY, clock.now_ms())
    machine._meet(asking.UPNP)
    machine._router._service = "urn:schemas-upnp-org:service:WANIPConnection:1"
    machine._router._place = (GATEWAY, number, "/c")
    module.routes = Routes
    port.pump = lambda: Pump
    return made


def test_calls_over_tcp_and_the_end():
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)
        asked, told = [], []
        serving = net.spawn(serve(listener, asked))
        reach = service(told, listener.port)
        running = net.spawn(reach.run())
        for _ in range(200):
            if reach.machine.state == "mapped":
                break
            await asyncio.sleep(0.01)
        assert reach.machine.external(portmap.UDP, 3478) == (b"\x0b\x16\x21\x01", 3478)
        assert asked == [b"#GetExternalIPAddress", b"#AddPortMapping"] and told[-1] == "mapped"
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            told.append("ended")
        assert asked[-1] == b"#DeletePortMapping" and reach.machine.external(portmap.UDP, 3478) is None
        serving.cancel()
        listener.close()

    asyncio.run(main())


def test_an_answer_without_end_is_none():
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)

        async def pour():
            conn = await listener.accept()
            try:
                while True:
                    await conn.write(bytes(512))
            except module.PortError:
                conn.close()

        pouring = net.spawn(pour())
        most, igd.BODY_BYTES_MAX = igd.BODY_BYTES_MAX, 1024  # a small heap has no room for more
        before = clock.now_ms()
        assert await module._exchange(b"x", "127.0.0.1", listener.port) == b""
        assert clock.now_ms() - before < CALL_MS
        igd.BODY_BYTES_MAX = most
        await pouring
        listener.close()

    asyncio.run(main())


def test_nobody_there():
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)
        number = listener.port
        listener.close()
        told = []
        reach = service(told, number)
        assert await reach._call(b"x", "127.0.0.1", number) == b""
        reach.machine.wake(clock.now_ms())
        await reach._carry()
        assert told[-1] == "blocked" and reach.machine.sentence.startswith("no router answers")

    asyncio.run(main())


def test_nonsense_is_counted():
    async def main():
        reach = service([], 1)
        reach._hear(b"junk", (portmap.UDP, "127.0.0.1", 5))
        assert reach.odd == 1

    asyncio.run(main())
