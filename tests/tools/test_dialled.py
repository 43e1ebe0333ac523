"""Who dials in is a device of this core, proven by its certificate, and uses no more than its share."""

import asyncio
import contextlib
import os
import ssl
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.errors import PeerError, PortError
from agent.port.cpython import dial
from agent.port.options import LinkOptions
from agent.service import dials
from tools.gateway.ca import CA, id_of, point_of
from tools.gateway.links import dialled, door, reaching

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Caller:
    """A device's certificate, and what it dials with."""

    def __init__(self, ca, port):
        key = ec.generate_private_key(ec.SECP256R1())
        public = point_of(key.public_key())
        self.id = id_of(public)
        self.cert, self.serial = ca.issue_device(public, self.id)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        key_der = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
        self.options = LinkOptions(
            "127.0.0.1", port, ca.server_name, ca.ca_der, self.cert, key_der, "", 0, "", b"", 0
        )  # fmt: skip

    async def serve(self):
        """One request at a time, until the core hangs up. How many there were."""
        conn = await dial.connect(self.options)
        count = 0
        while True:
            try:
                if not await conn.read(4096):
                    return count
            except PortError:
                return count
            await conn.write(ANSWER)
            count += 1


def run(folder, scenario):
    async def main():
        known = set()
        ca = CA(folder)
        place = dialled.Dialled(ca, known.__contains__)
        await place.start("127.0.0.1", 0)
        try:
            await scenario(ca, place, known)
        finally:
            await place.close()

    asyncio.run(asyncio.wait_for(main(), 30))


async def became(check):
    while not check():  # noqa: ASYNC110 (nothing tells of it)
        await asyncio.sleep(0.01)


def test_requests_go_over_what_was_dialled(tmp_path):
    async def scenario(ca, place, known):
        caller = Caller(ca, place.port)
        known.add(caller.id)
        serving = [asyncio.create_task(caller.serve()) for _ in range(2)]
        await became(lambda: place.has(caller.id))
        client, url = place.client(caller.id), f"http://{caller.id}.dialled/shards/x"
        answers = await asyncio.gather(*[client.get(url) for _ in range(6)])
        assert {answer.text for answer in answers} == {"hello"}
        await place.drop(caller.id)
        assert sum(await asyncio.gather(*serving)) == 6 and not place.has(caller.id)

    run(tmp_path, scenario)


def test_strangers_forgotten_ones_and_a_third_connection_are_hung_up_on(tmp_path):
    async def scenario(ca, place, known):
        stranger = Caller(ca, place.port)
        assert await stranger.serve() == 0 and not place.has(stranger.id)
        known.add(stranger.id)
        many = [asyncio.create_task(stranger.serve()) for _ in range(6)]
        done, waiting = await asyncio.wait(many, timeout=1)
        assert len(done) >= 3 and len(waiting) <= dialled.WAITING_MAX + 1
        await place.drop(stranger.id)
        await asyncio.gather(*waiting)
        ca.revoke(stranger.serial)
        assert await stranger.serve() == 0 and not place.has(stranger.id)
        other = CA(tmp_path / "other")
        with pytest.raises(PortError):
            await Caller(other, place.port).serve()
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"200" not in await reader.read(100)
        writer.close()
        context = ssl._create_unverified_context()  # noqa: S323 (a client without a certificate of its own)
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=context)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert not await reader.read(10)
        writer.close()

    run(tmp_path, scenario)


def test_silence_holds_few_descriptors_and_shuts_nobody_out(tmp_path):
    async def scenario(ca, place, known):
        def held():
            return len(os.listdir("/proc/self/fd"))

        caller = Caller(ca, place.port)
        known.add(caller.id)
        await asyncio.sleep(0)
        before = held()
        silent = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(4 * door.STRANGERS_MAX)]
        for _, writer in silent[::2]:
            writer.write(b"\x16\x03\x01\x02")  # the beginning of a hello
        await asyncio.sleep(0.5)
        assert held() - before - len(silent) <= door.STRANGERS_MAX
        serving = asyncio.create_task(caller.serve())
        await became(lambda: place.has(caller.id))
        answer = await place.client(caller.id).get(f"http://{caller.id}.dialled/x")
        assert answer.text == "hello"
        for _, writer in silent:
            writer.close()
        await became(lambda: held() - before <= 4)  # the caller's two ends
        await place.drop(caller.id)
        await serving

    run(tmp_path, scenario)


def test_a_handshake_that_is_slow_on_purpose_ends_in_time_and_delays_nobody(tmp_path, monkeypatch):
    """A hello of one byte after the other is never silent; the whole handshake has its time, not each byte."""
    monkeypatch.setattr(door, "HANDSHAKE_S", 1.0)

    async def drip(number):
        out = ssl.MemoryBIO()
        context = ssl._create_unverified_context()  # noqa: S323 (nothing is sent but its hello)
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        ended = asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            for byte in out.read():
                writer.write(bytes([byte]))
                done, _ = await asyncio.wait([ended], timeout=0.05)
                if done:
                    break
        assert ended.done(), "all of the hello was waited for"
        with contextlib.suppress(ConnectionError):
            assert await ended == b""
        writer.close()

    async def scenario(ca, place, known):
        caller = Caller(ca, place.port)
        known.add(caller.id)
        dripping = [asyncio.create_task(drip(place.port)) for _ in range(door.STRANGERS_MAX - 1)]
        await became(lambda: len(place._door._strangers) == len(dripping))
        serving = asyncio.create_task(caller.serve())
        await became(lambda: place.has(caller.id))
        assert len(place._door._strangers) == len(dripping), "they are still at it, and nobody waited for them"
        await asyncio.gather(*dripping)
        assert not place._door._strangers
        await place.drop(caller.id)
        await serving

    run(tmp_path, scenario)


def test_without_a_connection_a_request_ends_in_time(tmp_path):
    async def scenario(ca, place, known):
        import httpx

        with pytest.raises(httpx.ConnectTimeout):
            await place.client("0" * 16).get("http://x.dialled/", timeout=httpx.Timeout(1, connect=0.1))

    run(tmp_path, scenario)


def test_what_waits_too_long_is_ended(tmp_path, monkeypatch):
    async def scenario(ca, place, known):
        monkeypatch.setattr(dialled, "WAITING_S", 0.05)
        caller = Caller(ca, place.port)
        known.add(caller.id)
        serving = asyncio.create_task(caller.serve())
        await became(lambda: place.has(caller.id))
        await asyncio.sleep(0.1)
        await place.sweep()
        assert await serving == 0
        await became(lambda: not place.has(caller.id))

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "body",
    [{}, {"hosts": [], "port": 1}, {"hosts": ["a"] * 9, "port": 1}, {"hosts": ["a b"], "port": 1},
     {"hosts": [5], "port": 1}, {"hosts": "a", "port": 1}, {"hosts": ["a"], "port": True},
     {"hosts": ["a"], "port": 65536}, {"hosts": ["a"]}],
)  # fmt: skip
def test_what_a_core_says_of_where_to_dial_is_checked(body):
    with pytest.raises(PeerError):
        dials.start({"core": "c", "ca": b"", "cert": b""}, b"", body, None)


def test_who_cannot_be_reached_is_told_and_told_again_when_it_can(monkeypatch):
    told = []

    async def command(device, op, body, _):
        told.append((op, body["port"]))
        return {}

    async def main():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        number = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        target = SimpleNamespace(device="d", name="attic", addresses=("127.0.0.1",), port=number, boot=1, is_up=True)
        place = SimpleNamespace(port=99, sweep=lambda: asyncio.sleep(0))
        monkeypatch.setattr(reaching, "AGAIN_S", 0.2)
        monkeypatch.setattr(reaching, "LOOK_S", 0.05)
        work = asyncio.create_task(reaching.Reaching(place, lambda: {"d": target}, lambda: ["a"], command).run())
        await became(lambda: told == [("dial", 99)])
        await asyncio.sleep(0.5)
        assert len(told) == 1, "told once"
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", number)
        await became(lambda: told == [("dial", 99), ("dial", 0)])
        work.cancel()
        server.close()

    asyncio.run(asyncio.wait_for(main(), 20))
