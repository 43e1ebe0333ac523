"""The core's driver against the device's real service over HTTP on loopback, and against things that are no device."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent import port
from agent.core.pairing.verifier import Own, Verifier
from agent.errors import CoreletError, LimitError, PeerError, PortError, TrustError
from agent.port import net
from agent.service import pairing as service
from agent.service.http import HttpServer, Router
from agent.wire import full_core, pairing_frames, shape
from agent.wire.pairing import encode_code
from tools.gateway.ca import CA, id_of
from tools.gateway.pairing import pairing

SCALAR = 0x1D7F3C5A9B2E4F6081A3C5E7092B4D6F8193A5B7C9DBEDFF1032547698BADCFE
ADMITTED: list[str] = []


async def admit(device_id: str, serial: int) -> None:
    ADMITTED.append(device_id)


OFFER = pairing.Offer([("127.0.0.1", 8883)], "Home", admit)


class State:
    def __init__(self) -> None:
        self.counters: dict[str, Any] = {}
        self.pending: tuple[dict[str, Any], bytes] | None = None
        self.cores: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.error: CoreletError | None = None

    def write_counters(self, counters: dict[str, Any]) -> None:
        self.counters = counters

    def save_pending(self, bundle: dict[str, Any], link_secret: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.pending = (bundle, link_secret)

    def commit_pending(self) -> None:
        assert self.pending is not None
        self.cores[self.pending[0]["core"]] = self.pending

    def drop_pending(self) -> None:
        self.pending = None


class Journal:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, source: str, text: str) -> None:
        self.lines.append(text)

    warning = error = info


class Device:
    """One device in its window."""

    def __init__(self) -> None:
        crypto = port.crypto()
        self.public = crypto.p256_public(SCALAR)
        info = pairing_frames.Info(self.public, b"p" * 32, "generic-linux", "0.1.0", "Attic Pi")
        self.state, self.journal = State(), Journal()
        own = Own("a1b2c3d4", info, lambda message: crypto.ecdsa_sign(SCALAR, message))
        self.machine = Verifier(crypto, port.codec(), own, {})
        self.service = service.PairingService(self.machine, self.state, self.journal)
        self.listener = net.listen_tcp("127.0.0.1", 0)
        self.address = ("127.0.0.1", self.listener.port)

    async def serve(self) -> None:
        router = Router([("/pair", self.service.handle)])
        await asyncio.gather(HttpServer(self.listener, router.handle).serve(), self.service.run())


def with_device(test: Callable[[Device, CA], Awaitable[None]], folder: Path) -> None:
    async def main() -> None:
        device = Device()
        task = asyncio.create_task(device.serve())
        try:
            await asyncio.wait_for(test(device, CA(folder)), 30)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def quiet(step: str, detail: str) -> None:
    """A progress that nobody watches."""


def test_pair_then_commit_then_pair_a_second_core(tmp_path: Path) -> None:
    async def test(device: Device, ca: CA) -> None:
        for core in (ca, CA(tmp_path / "second")):
            steps: list[str] = []
            code = device.service.open_window()
            paired = await pairing.pair(
                device.address, code.lower(), core, OFFER, lambda step, _, steps=steps: steps.append(step)
            )
            assert steps == ["found", "proven", "issued", "accepted"] and paired.is_sure
            assert device.state.pending is not None
            bundle, link_secret = device.state.pending
            assert paired.link_secret == link_secret and paired.link_secret.hex() not in repr(paired)
            assert (paired.device_id, paired.public) == (id_of(device.public), device.public)
            assert (paired.name, paired.board, paired.fw) == ("Attic Pi", "generic-linux", "0.1.0")
            assert core.check(bundle["cert"]) == paired.device_id
            assert bundle["brokers"] == [["127.0.0.1", 8883]] and bundle["signing_key"] == core.signing_public
            assert device.service.commit(core.core_id)
            with pytest.raises(PeerError, match="no pairing window is open"):
                await pairing.pair(device.address, code, core, OFFER, quiet)
        assert len(device.state.cores) == 2
        assert not any(code in line for line in device.journal.lines)

    with_device(test, tmp_path / "ca")


def test_wrong_code_then_right_code_at_once(tmp_path: Path) -> None:
    async def test(device: Device, ca: CA) -> None:
        code = device.service.open_window()
        discriminator, secret = full_core.decode_code(code)
        wrong = encode_code(discriminator, secret ^ 1)
        with pytest.raises(TrustError, match=r"compare it with the device's screen \(19 more tries\)"):
            await pairing.pair(device.address, wrong, ca, OFFER, quiet)
        assert device.state.counters["attempts"] == 1
        waits: list[str] = []
        await pairing.pair(device.address, code, ca, OFFER, lambda step, _: waits.append(step))
        assert "waiting" not in waits, "the wrong attempt still blocks the device"

    with_device(test, tmp_path)


def test_mistyped_code_never_reaches_the_device(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="these are 3"):
        asyncio.run(pairing.pair(("127.0.0.1", 1), "abc", CA(tmp_path), OFFER, quiet))


def test_device_that_cannot_keep_it_says_why_and_the_certificate_is_revoked(tmp_path: Path) -> None:
    async def test(device: Device, ca: CA) -> None:
        device.state.error = LimitError("cores", "this device already belongs to 4 cores")
        with pytest.raises(LimitError, match="already belongs to 4 cores"):
            await pairing.pair(device.address, device.service.open_window(), ca, OFFER, quiet)
        assert device.state.pending is None and device.machine.pending_core is None
        assert len(ca._revoked) == 1

    with_device(test, tmp_path)


def test_a_device_that_names_another_devices_key_gets_no_certificate(tmp_path: Path) -> None:
    async def test(device: Device, ca: CA) -> None:
        crypto, admitted = port.crypto(), len(ADMITTED)
        device.machine.info = device.machine.info._replace(key=crypto.p256_public(SCALAR + 1))
        with pytest.raises(TrustError, match="did not prove that the key it names is its own") as caught:
            await pairing.pair(device.address, device.service.open_window(), ca, OFFER, quiet)
        assert caught.value.code == "proof" and len(ADMITTED) == admitted and not ca._revoked
        assert device.state.pending is None and device.machine._session is None

    with_device(test, tmp_path)


def test_waits_for_a_busy_device(tmp_path: Path) -> None:
    async def test(device: Device, ca: CA) -> None:
        code = device.service.open_window()
        hello = pairing_frames.encode_frame(port.codec(), 1, b"", [[1], "0" * 16, b"n" * 16])
        answer = await pairing._post(device.address, hello)
        session = pairing_frames.decode_frame(port.codec(), answer, pairing_frames.ANSWERS).session
        share = pairing_frames.encode_frame(port.codec(), 2, session, [port.crypto().p256_public(5)])
        await pairing._post(device.address, share)  # only a share takes the place
        waited = asyncio.Event()

        def progress(step: str, detail: str) -> None:
            if step == "waiting":
                assert "another pairing attempt is running" in detail
                waited.set()

        task = asyncio.create_task(pairing.pair(device.address, code, ca, OFFER, progress))
        await waited.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pairing._post(device.address, pairing_frames.encode_frame(port.codec(), 5, session, [b""]))
        await pairing.pair(device.address, code, ca, OFFER, quiet)

    with_device(test, tmp_path)


def test_a_stranger_who_floods_hello_blocks_nobody(tmp_path: Path) -> None:
    taken: list[bytes] = []

    async def flood(device: Device) -> None:
        while True:
            hello = [[1], "0" * 16, port.crypto().entropy(16)]
            answer = await pairing._post(device.address, pairing_frames.encode_frame(port.codec(), 1, b"", hello))
            taken.append(answer)
            await asyncio.sleep(0.05)

    async def test(device: Device, ca: CA) -> None:
        code = device.service.open_window()
        task = asyncio.create_task(flood(device))
        await asyncio.sleep(0.3)
        waits: list[str] = []
        paired = await pairing.pair(device.address, code, ca, OFFER, lambda step, _: waits.append(step))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert paired.is_sure and device.state.counters["attempts"] == 0 and "waiting" not in waits
        assert len([answer for answer in taken if answer[1] == 1]) > 3, "nothing was flooded"

    with_device(test, tmp_path)


def test_cancelled_pairing_frees_the_device(tmp_path: Path) -> None:
    async def test(device: Device, ca: CA) -> None:
        code = device.service.open_window()
        task: asyncio.Task[Any]

        def progress(step: str, detail: str) -> None:
            if step == "proven":
                task.cancel()

        task = asyncio.create_task(pairing.pair(device.address, code, ca, OFFER, progress))
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled() and device.machine._session is None

    with_device(test, tmp_path)


def test_lost_answers_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is lost once after the device has acted on it; nothing is counted twice."""
    monkeypatch.setattr("agent.core.pairing.prover.RESEND_MS", 20)

    async def test(device: Device, ca: CA) -> None:
        post, seen = pairing._post, set[bytes]()

        async def lossy(address: tuple[str, int], frame: bytes) -> bytes:
            answer = await post(address, frame)
            if frame not in seen:
                seen.add(frame)
                raise pairing._Unanswered("lost")
            return answer

        monkeypatch.setattr(pairing, "_post", lossy)
        paired = await pairing.pair(device.address, device.service.open_window(), ca, OFFER, quiet)
        assert paired.is_sure and len(seen) == 4 and device.state.counters["attempts"] == 0

    with_device(test, tmp_path)


def test_settle_waits_for_the_link_or_revokes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(device: Device, ca: CA) -> None:
        paired = await pairing.pair(device.address, device.service.open_window(), ca, OFFER, quiet)
        await pairing.settle(paired, ca, asyncio.sleep(0))
        assert not ca.is_revoked(paired.serial)
        monkeypatch.setattr(pairing, "FAIL_SAFE_MS", 50)
        with pytest.raises(PortError, match="did not connect to this core's broker") as caught:
            await pairing.settle(paired, ca, asyncio.sleep(60))
        assert caught.value.code == "link" and ca.is_revoked(paired.serial)

    with_device(test, tmp_path)


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.core.pairing.prover.RESEND_MS", 20)
    listener = net.listen_tcp("127.0.0.1", 0)
    address = ("127.0.0.1", listener.port)
    listener.close()
    with pytest.raises(PortError, match="no device answers") as caught:
        asyncio.run(pairing.pair(address, "0000-0000-0000", CA(tmp_path), OFFER, quiet))
    assert caught.value.code == "unreachable"


def answers(data: bytes) -> CoreletError:
    """What pair() raises when something on that port says `data` to everything."""

    async def main() -> CoreletError:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(data)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        try:
            await asyncio.wait_for(pairing._post(address, b"frame"), 20)
        except CoreletError as error:
            return error
        finally:
            server.close()
        raise AssertionError("it was taken for a device")

    return asyncio.run(main())


def test_other_servers_garbage_and_oversize() -> None:
    for data in (
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
    ):
        error = answers(data)
        assert isinstance(error, PeerError) and error.code == "http", data[:40]


def test_log_injection_by_an_answer_is_not_shown() -> None:
    for body, part in (
        (b"host: use the device's address", "use the device's address"),
        (b"\x1b[2Jowned", "no reason that can be shown"),
        (b"a\nb", "no reason that can be shown"),
        (b"x" * 400, "no reason that can be shown"),
        (b"", "no reason that can be shown"),
    ):
        error = answers(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert part in error.text and "400" in error.text and shape.is_plain(error.text)


def test_hello_from_a_web_page_is_refused(tmp_path: Path) -> None:
    async def test(device: Device, ca: CA) -> None:
        device.service.open_window()
        reader, writer = await asyncio.open_connection(*device.address)
        writer.write(
            b"POST /pair HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/cbor\r\n"
            b"Origin: http://evil.example\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\x80"
        )
        assert (await reader.read(2000)).startswith(b"HTTP/1.1 400 ")
        writer.close()

    with_device(test, tmp_path)
