"""Who talks to the endpoint for applications without a key, or without an end, takes nobody's place for long."""

import asyncio
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from tools.gateway.relays import web

HALF = b"GET /ice-servers HTTP/1.1\r\nX: "
WHOLE = b"GET /ice-servers?user=alice HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ck_1\r\n\r\n"


class NoKeys:
    def find_key(self, _key):
        return None


def run(scenario, app=None):
    async def main():
        sock = web.listen(("127.0.0.1", 0))
        serving = asyncio.create_task(web.serve_app(app or web.app(NoKeys()), sock))
        try:
            await scenario(sock.getsockname())
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_who_does_not_take_the_answer_is_cut(monkeypatch):
    monkeypatch.setattr(web, "CONNECTIONS_MAX", 4)
    monkeypatch.setattr(web, "KEEP_S", 0.3)
    monkeypatch.setattr(web, "TAKE_S", 0.3)

    async def large(_request):
        return Response(bytes(32 << 20))

    async def scenario(address):
        deaf = []
        for number in range(4):
            sock = socket.create_connection(address)
            more = b"Connection: close\r\n" if number % 2 else b""
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
            deaf.append(sock)
        await asyncio.sleep(2)
        assert await said(address, b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n") == b"HTTP/1.1 404 Not Found\r\n"
        for sock in deaf:
            sock.close()

    run(scenario, Starlette(routes=[Route("/", large)]))


async def said(address, data):
    """What came back until the connection ended, or its first line was here."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    try:
        return await reader.readline()
    finally:
        writer.close()


def test_half_requests_shut_nobody_out(monkeypatch):
    monkeypatch.setattr(web, "CONNECTIONS_MAX", 8)
    monkeypatch.setattr(web, "KEEP_S", 1)

    async def scenario(address):
        idle = [await asyncio.open_connection(*address) for _ in range(8)]
        for _, writer in idle:
            writer.write(HALF)
        with pytest.raises(ConnectionError):  # the ninth has no place, and takes no descriptor
            assert not await said(address, WHOLE)
            raise ConnectionError
        for _, writer in idle[:4]:
            writer.write(b"more\r\nY: ")  # words without a request buy no time
        for reader, _ in idle:
            assert not await reader.read()
        assert (await said(address, WHOLE)).startswith(b"HTTP/1.1 401 ")

    run(scenario)


def test_who_asks_again_and_again_stays_connected(monkeypatch):
    monkeypatch.setattr(web, "KEEP_S", 1)

    async def scenario(address):
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(5):
            writer.write(WHOLE)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            await asyncio.sleep(0.3)
        writer.close()

    run(scenario)
