"""A paired device that means harm harms itself: what it sends reaches no other device and takes nobody's turn."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from agent.errors import PortError
from tests.tools.fake_network import run
from tools.gateway.objects import upkeep
from tools.gateway.relays import probes

COOKIES = b"".join(b"Set-Cookie: c%d=%s; Max-Age=99999999\r\n" % (number, b"x" * 3000) for number in range(4))


def test_what_a_device_sets_as_a_cookie_is_not_kept_and_not_told_to_another(tmp_path):
    async def scenario(net):
        await net.put(b"x" * 10)
        hostile, honest = net.devices[:2]  # at one address, as behind one router
        hostile.stranger = (404, COOKIES)
        name, data = next(iter(honest.shards.items()))
        told = []
        answer = honest._answer

        async def overheard(method, target, headers, body):
            told.append(headers)
            return await answer(method, target, headers, body)

        honest._answer = overheard
        await net.client.has(hostile.target(), name, len(data))
        assert await net.client.get(honest.target(), name, len(data)) == data
        assert "cookie" not in told[0] and not len(net.client._http.cookies.jar)

    run(tmp_path, 3, scenario)


def refuses(tmp_path, serve):
    """A read of a MiB that `serve(writer)` answers ends at once, and is an error."""

    async def scenario(net):
        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await serve(writer)

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        target = net.devices[0].target()._replace(port=server.sockets[0].getsockname()[1])
        async with asyncio.timeout(5):
            with pytest.raises(PortError):
                await net.client.get(target, bytes(32), 1 << 20)
        server.close()

    run(tmp_path, 1, scenario)


def test_an_answer_in_slices_is_refused_at_its_head(tmp_path):
    """A MiB in chunks of one byte each would take the loop for seconds."""

    async def serve(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")  # and then nothing for ever
        await writer.drain()

    refuses(tmp_path, serve)


def test_heads_without_end_end_the_request(tmp_path):
    """Each is short and none is the answer: they would take the loop until the request's time-out."""

    async def serve(writer):
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()

    refuses(tmp_path, serve)


def test_a_name_that_is_slow_to_look_up_keeps_no_other_work_waiting(monkeypatch):
    """A device chooses the name that its relay's certificate is for, and so whose name server is asked."""
    answered = threading.Event()

    def slow(*_arguments, **_options):
        answered.wait(20)
        raise socket.gaierror("no such name")

    async def scenario():
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        names = [f"name{number}.example" for number in range(64)]
        asking = [asyncio.create_task(probes.measure("127.0.0.1", 9, "tls", name)) for name in names]
        await asyncio.sleep(0.2)
        try:
            async with asyncio.timeout(5):  # shards are sealed and made again in the loop's own threads
                assert await asyncio.to_thread(bytes, 3) == bytes(3)
        finally:
            answered.set()
        assert await asyncio.gather(*asking) == [None] * len(names)

    asyncio.run(scenario())


def test_a_device_that_is_slow_on_purpose_keeps_no_others_work_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "ROUND_S_MAX", 1.0)

    async def scenario(net):
        slow, honest = sorted(net.devices, key=lambda device: device.id)  # the slow one's work comes first
        for number in range(12):
            await net.put(b"x" * 10, str(number))
        slow.delay_s = 1.0
        for number in range(12):
            await net.objects.remove(str(number), 0)
        began = time.monotonic()
        working = asyncio.create_task(net.objects.upkeep.round())
        while honest.shards:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.01)
        assert len(slow.shards) > 8, "what is slow took half of the places"
        await working
        assert time.monotonic() - began < 5 and len(slow.shards) > 4, "and did not make the round its own"
        slow.delay_s = 0.0
        await net.quiet()
        assert not net.held()

    run(tmp_path, 2, scenario)
