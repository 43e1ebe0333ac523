"""Invariant: any bytes give None, a head, or PeerError("http"), however they are split; what we accept, h11 accepts
with the same method, target, fields and body length; a server fed with garbage answers or drops it, and serves on."""

import asyncio
import os
import random

import h11
import pytest

from agent.errors import PeerError
from agent.port import net
from agent.service import http as service
from agent.wire import http
from tests.http_client import encode_request, fetch, parse_status

ROUNDS = 200_000 if os.environ.get("CORELET_FULL") == "1" else 6_000
SEEDS = (
    b"GET /shards/ab?x=1%20 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"PUT /s HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 17\r\nExpect: 100-continue\r\n\r\n0123",
    b"POST /pair HTTP/1.1\r\nhost:b\r\ncontent-length:  0 \r\nX: \t y \t\r\n\r\nGET / HTTP/1.1\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer a-_\r\n\r\n",
)
PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\xff",
        b"\r\n\r\n",
        b"\r\n ",
        b"Transfer-Encoding: chunked\r\n",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length : 1\r\n",
        b"HTTP/1.0",
        b"%zz",
        b"%41",
        b"\x0b",
    ),
    *(b"Host: c\r\n", b"http://a/", b"\x1b[2J", b"\xc3\xa9", b"A" * 300, b"-1", b"+1", b"0x1", b"1_0", b"\xc2\xb2"),
)


def _mutate(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(4)):
        start = rng.randrange(len(data) + 1)
        end = start + rng.choice((0, 0, 1, 2, 8))
        piece = rng.choice(PIECES) if rng.random() < 0.8 else bytes([rng.randrange(256)])
        data[start:end] = piece if rng.random() < 0.8 else b""
    return bytes(data)


def _parse(data: bytes):
    try:
        return http.parse_head(data)
    except PeerError as error:
        assert error.code == "http" and error.text
        return "refused"


def _by_h11(data: bytes):
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=http.HEAD_BYTES_MAX * 2)
    conn.receive_data(data)
    event = conn.next_event()
    assert isinstance(event, h11.Request)
    return event


def test_any_bytes():
    rng = random.Random(7411)
    accepted = refused = 0
    for _ in range(ROUNDS):
        data = _mutate(rng)
        whole = _parse(data)
        accepted += isinstance(whole, http.Head)
        refused += whole == "refused"
        split = rng.randrange(len(data) + 1)
        first = _parse(data[:split])
        assert first is None or first == whole, data  # an early answer is the final one
        if isinstance(whole, http.Head):
            _compare(data, whole)
    assert accepted > ROUNDS // 10 and refused > ROUNDS // 10  # else this test sees nothing


def _compare(data: bytes, head: http.Head) -> None:
    event = _by_h11(data)
    assert event.method.decode() == head.method and event.target.decode() == head.target, data
    assert event.http_version == b"1.1"
    names = {name.decode() for name, _ in event.headers}
    assert names == set(head.headers), data
    for name in names:
        values = [value.decode() for key, value in event.headers if key.decode() == name]
        assert ", ".join(values) == head.headers[name], data
    lengths = [int(value) for name, value in event.headers if name == b"content-length"]
    assert http.content_length(head) == (lengths[0] if lengths else 0), data
    assert b"transfer-encoding" not in dict(event.headers)
    headers = [(name, head.headers[name]) for name in head.headers if name != "content-length"]
    again = http.parse_head(encode_request(head.method, head.target, headers, http.content_length(head)))
    assert (again.method, again.target) == (head.method, head.target)


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\xff" * 64, b"\xff" * 5000, b"GET / HTTP/1.1\r\n" * 400, bytes(4096)])
def test_edges(data: bytes):
    assert _parse(data) in (None, "refused")
    assert len(data) < http.HEAD_BYTES_MAX or _parse(data) == "refused"


def test_random_status_lines():
    rng = random.Random(1)
    for _ in range(ROUNDS // 4):
        data = bytearray(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for _ in range(rng.randrange(4)):
            start = rng.randrange(len(data))
            data[start : start + rng.randrange(3)] = rng.choice(PIECES)
        try:
            status = parse_status(data)
        except PeerError as error:
            assert error.code == "http"
            continue
        assert status is None or 100 <= status.status <= 599 and http.content_length(status) >= 0


def test_server_survives_garbage():
    rng = random.Random(2)

    async def handle(request: service.Request) -> service.Response:
        return service.Response(200, [], await request.body(1000))

    async def main() -> None:
        listener = net.listen_tcp("127.0.0.1", 0)
        server = net.spawn(service.HttpServer(listener, handle, service.Limits(4, 25, 25, 512)).serve())
        for _ in range(ROUNDS // 60):
            conn = await net.connect_tcp("127.0.0.1", listener.port, 1000)
            data = _mutate(rng)
            await conn.write(data)
            await _until_end(conn, data)
        conn = await net.connect_tcp("127.0.0.1", listener.port, 1000)
        assert (await fetch(conn, "POST", "/", [], b"still here"))[2] == b"still here"
        conn.close()
        server.cancel()
        await asyncio.sleep(0)

    async def _until_end(conn, data: bytes) -> None:
        answer = b""
        try:
            while piece := await net.wait_for(conn.read(4096), 5000):
                answer += piece
        except net.PortError as error:
            assert error.code == "closed", (data, error.code)
        conn.close()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 "), data
        assert b"HTTP/1.1 500" not in answer, data

    net.run(main())
