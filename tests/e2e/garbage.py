"""What a hostile or broken peer sends to a listener: each attack is a function of the address and a random source.

None waits for an answer that a device may refuse to give; all end by themselves."""

import contextlib
import random
import socket
import time
from collections.abc import Callable

Address = tuple[str, int]
Attack = Callable[[Address, random.Random], None]
PLACES = 16
PARALLEL = 200
ENDLESS_BYTES = 1 << 20
SLOW_S = 0.5


def connect(address: Address) -> socket.socket:
    return socket.create_connection(address, 5)


def send(connection: socket.socket, data: bytes) -> bytes:
    """Everything, or as much as is taken; then what comes back until the other side ends it or is silent."""
    answer = b""
    with contextlib.suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    connection.settimeout(2)
    with contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            answer = (answer + piece)[-65536:]
    return answer


def exchange(address: Address, data: bytes) -> bytes:
    with connect(address) as connection:
        return send(connection, data)


def request(method: str, path: str, body: bytes = b"", *more: str, length: int | None = None) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join([*lines, *more, "", ""]).encode() + body


def random_bytes(address: Address, source: random.Random) -> None:
    for size in (1, 100, 5000, 65536):
        exchange(address, source.randbytes(size))
    exchange(address, b"\r\n" * 5000)
    exchange(address, bytes(70_000))


def endless_head(address: Address, source: random.Random) -> None:
    exchange(address, b"GET /" + b"a" * ENDLESS_BYTES)
    exchange(address, b"GET / HTTP/1.1\r\n" + b"X-More: and more\r\n" * (ENDLESS_BYTES // 18))


def huge_bodies(address: Address, source: random.Random) -> None:
    for length in (1 << 20, 1 << 33, 10**30):
        for method, path in (("POST", "/pair"), ("PUT", "/shards/" + "ab" * 32), ("DELETE", "/shards/" + "ab" * 32)):
            exchange(address, request(method, path, source.randbytes(100_000), length=length))
    both = "Transfer-Encoding: chunked"
    exchange(address, request("POST", "/pair", b"ffffffff\r\n" + bytes(1000), both))
    exchange(address, request("POST", "/pair", b"x", "Content-Length: 7"))


def pipelined_junk(address: Address, source: random.Random) -> None:
    media = "Content-Type: application/cbor"
    frames = [request("POST", "/pair", source.randbytes(source.randrange(1, 300)), media) for _ in range(300)]
    exchange(address, b"".join(frames))
    token = "Authorization: Bearer " + "A" * 200
    puts = [request("PUT", "/shards/" + "cd" * 32, source.randbytes(200), token) for _ in range(300)]
    exchange(address, b"".join(puts))
    paths = ("/shards/", "/shards/../../etc/passwd", "/pair?x=" + "y" * 900, "//", "*", "/shards/" + "AB" * 32)
    exchange(address, b"".join([request(source.choice(("GET", "HEAD", "TRACE")), path) for path in paths * 20]))


def many_connections(address: Address, source: random.Random) -> None:
    """At once; half of them say nothing, half begin a request."""
    opened = []
    try:
        for number in range(PARALLEL):
            with contextlib.suppress(OSError):  # those that find the queue full
                connection = socket.create_connection(address, 0.1)
                opened.append(connection)
                if number % 2:
                    connection.sendall(b"GET / HT")
    finally:
        for connection in opened:
            connection.close()


def slow_senders(address: Address, source: random.Random) -> None:
    """A byte now and then on as many connections as there are places."""
    opened = [connect(address) for _ in range(PLACES)]
    data = request("POST", "/pair", bytes(100))
    end = time.monotonic() + SLOW_S
    position = 0
    while time.monotonic() < end:
        for connection in opened:
            with contextlib.suppress(OSError):
                connection.sendall(data[position : position + 1])
        position += 1
        time.sleep(0.05)
    for connection in opened:
        connection.close()


LONG: tuple[Attack, ...] = (many_connections, slow_senders)
ATTACKS: tuple[Attack, ...] = (random_bytes, endless_head, huge_bodies, pipelined_junk, *LONG)
