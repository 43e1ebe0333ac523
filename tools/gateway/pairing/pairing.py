"""Pairs one device: drives the prover machine over HTTP (POST /pair on the device's control listener).

    paired = await pair(("192.0.2.9", 7411), code, ca, Offer(brokers, "Home", broker.allow), progress)
    await settle(paired, ca, links.wait_up(paired.device_id, 60))

What it is not: the protocol (agent/core/pairing/prover.py) or the list of devices (registry.py).
Errors are CoreletErrors whose text is for the user; no text from the network is shown unless it is
plain and short. HTTP by hand and not by httpx, which is at home here: that would tell the device our own scope id
(fe80::1%eth0) in Host, and the bounds of head, body and time would have to be kept by hand all the same.
Bounds: ANSWER_BYTES_MAX for an answer, HEAD_BYTES_MAX for its head, STEP_MS a step.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agent import port
from agent.core.pairing import prover as machine
from agent.core.pairing.verifier import FAIL_SAFE_MS
from agent.errors import CoreletError, LimitError, PeerError, PortError, TrustError
from agent.wire import full_core, pairing, pairing_frames, shape
from tools.gateway.ca import CA, id_of

ANSWER_BYTES_MAX = 4096
HEAD_BYTES_MAX = 4096
CONNECT_S = 5
ANSWER_S = 25
CONNECT_TRIES = 3

Progress = Callable[[str, str], None]


class Offer(NamedTuple):
    """What the core offers. `admit(device id, serial)`: the broker's door is open when it returns; called before the
    device gets its certificate, or the device would knock too early and wait."""

    brokers: list[tuple[str, int]]
    core_name: str
    admit: Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True)
class Paired:
    """`is_sure`: False when the device's last answer was lost and only the link can tell."""

    device_id: str
    public: bytes
    serial: int
    link_secret: bytes = field(repr=False)
    board: str
    name: str
    fw: str
    profile: bytes
    is_sure: bool


class _Unanswered(Exception):  # noqa: N818 (not an error of ours: the machine decides what it means)
    """No answer came; `text` says how."""


async def pair(address: tuple[str, int], code: str, ca: CA, offer: Offer, progress: Progress) -> Paired:
    """Ends when the device has accepted its certificate; `settle` then waits for its link.

    PeerError("code") for a mistyped code, TrustError("code") for another device's code, PortError("unreachable",
    "timeout"), LimitError("busy", "wait", "attempts"), PeerError for a device that does not follow the protocol.
    """
    password = pairing.password(*full_core.decode_code(code))
    prover = machine.Prover(port.crypto(), port.codec(), ca.core_id, password, address)
    attempt = _Attempt(address, prover, ca, progress)
    attempt.offer = {"core": ca.core_id, "name": offer.core_name, "brokers": [list(each) for each in offer.brokers]}
    attempt.admit = offer.admit
    try:
        return await attempt.run()
    except BaseException:
        prover.abort()
        await attempt.say_goodbye()
        if attempt.serial:
            ca.revoke(attempt.serial)
        raise


async def settle(paired: Paired, ca: CA, link_up: Awaitable[Any]) -> None:
    """Wait for the device's link; the device forgets the pairing after the same time, so we do too."""
    try:
        await asyncio.wait_for(link_up, FAIL_SAFE_MS / 1000)
    except (TimeoutError, CoreletError) as error:
        ca.revoke(paired.serial)
        text = (
            f"{paired.name} took its certificate but did not connect to this core's broker within a minute, and has "
            "forgotten it again: check that it can reach the broker's address and port, then pair once more"
        )
        raise PortError("link", text) from error


class _Attempt:
    def __init__(self, address: tuple[str, int], prover: machine.Prover, ca: CA, progress: Progress) -> None:
        self.offer: dict[str, Any] = {}
        self.admit: Callable[[str, int], Awaitable[None]]
        self.serial = 0
        self._address = address
        self._prover = prover
        self._ca = ca
        self._progress = progress
        self._info: pairing_frames.Info | None = None
        self._was_reached = False

    async def run(self) -> Paired:
        host, tcp_port = self._address
        self._progress("found", f"asking the device at {host} port {tcp_port} to pair")
        self._prover.start(_now_ms())
        failures = 0
        while True:
            for event in self._prover.drain_events():
                paired = await self._act(event)
                if paired is not None:
                    return paired
            outgoing = self._prover.drain_outgoing()
            if not outgoing:
                await self._sleep()
                continue
            try:
                answer = await _post(self._address, outgoing[-1][0])
            except _Unanswered as error:
                failures += 1
                if not self._was_reached and failures >= CONNECT_TRIES:
                    text = f"no device answers at {host} port {tcp_port} ({error}): check its address and that it is on"
                    raise PortError("unreachable", text) from error
                await self._sleep()
                continue
            self._was_reached = True
            # PBKDF2 with a factory's 100,000 rounds takes its time: not on the loop.
            await asyncio.to_thread(self._prover.receive, answer, self._address, _now_ms())

    async def say_goodbye(self) -> None:
        """Tell the device that the attempt is over, so that the next one need not wait. Best effort."""
        for frame, _ in self._prover.drain_outgoing():
            with contextlib.suppress(_Unanswered, PeerError, TimeoutError):
                await asyncio.wait_for(_post(self._address, frame), 2)

    async def _sleep(self) -> None:
        wake_at = self._prover.wake_at
        if wake_at is None:
            raise PeerError("pairing", "the pairing stopped without a reason: try again")
        await asyncio.sleep(max(0, wake_at - _now_ms()) / 1000)
        self._prover.wake(_now_ms())

    async def _act(self, event: Any) -> Paired | None:
        if isinstance(event, machine.Failed):
            raise _error(event.code, event.text)
        if isinstance(event, machine.Waiting):
            self._progress("waiting", event.text)
        elif isinstance(event, machine.Proven):
            self._progress("proven", "the device knows the setup code")
        elif isinstance(event, machine.Described):
            await self._describe(event.info)
        elif isinstance(event, machine.Delivered):
            return self._delivered(event.link_secret, event.is_sure)
        return None

    async def _describe(self, info: pairing_frames.Info) -> None:
        self._info = info
        certificate, self.serial = self._ca.issue_device(info.key, id_of(info.key))
        await self.admit(id_of(info.key), self.serial)
        self._progress("issued", f"{info.name} ({info.board}, firmware {info.fw}) gets its certificate")
        own = {
            "ca": self._ca.ca_der,
            "cert": certificate,
            "time": int(time.time()),
            "signing_key": self._ca.signing_public,
            "ceilings": {},
        }
        self._prover.deliver(self.offer | own, _now_ms())

    def _delivered(self, link_secret: bytes, is_sure: bool) -> Paired:
        info = self._info
        assert info is not None
        self._progress("accepted", "the device keeps its certificate and connects")
        device_id = id_of(info.key)
        return Paired(
            device_id, info.key, self.serial, link_secret, info.board, info.name, info.fw, info.profile, is_sure
        )


def _error(code: str, text: str) -> CoreletError:
    if code in ("code", "aead", "certificate", "proof"):
        return TrustError(code, text)
    if code in ("busy", "wait", "attempts", "cores"):
        return LimitError(code, text)
    if code == "timeout":
        return PortError(code, text)
    return PeerError(code, text)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _post(address: tuple[str, int], frame: bytes) -> bytes:
    """The body of a 200 answer; _Unanswered when none came; PeerError for another status or no HTTP."""
    writer = None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*address, limit=HEAD_BYTES_MAX), CONNECT_S)
        writer.write(_head(address, len(frame)) + frame)
        await writer.drain()
        return await asyncio.wait_for(_read_answer(reader), ANSWER_S)
    except TimeoutError as error:
        raise _Unanswered("no answer in time") from error
    except (OSError, EOFError) as error:
        raise _Unanswered(_reason(error)) from error
    finally:
        if writer is not None:
            writer.close()


def _reason(error: Exception) -> str:
    return error.strerror or "connection failed" if isinstance(error, OSError) else "connection closed"


def _head(address: tuple[str, int], length: int) -> bytes:
    host, tcp_port = address[0].partition("%")[0], address[1]  # a scope id is our own business (RFC 6874)
    host = f"[{host}]" if ":" in host else host
    lines = (
        "POST /pair HTTP/1.1",
        f"Host: {host}:{tcp_port}",
        "Content-Type: application/cbor",
        f"Content-Length: {length}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode()


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        status = int(head[0].split(" ")[1])
        lengths = [line.partition(":")[2] for line in head[1:] if line.lower().startswith("content-length:")]
        length = int(lengths[0])
    except (asyncio.LimitOverrunError, ValueError, IndexError) as error:
        text = "what answers there is no device: another program uses this address and port"
        raise PeerError("http", text) from error
    if not 0 <= length <= ANSWER_BYTES_MAX:
        raise PeerError("http", f"expected an answer of at most {ANSWER_BYTES_MAX} bytes: this is no device of ours")
    body = await reader.readexactly(length)
    if status == 503:
        raise _Unanswered("the device is busy")
    if status != 200:
        raise _refusal(status, body)
    return body


def _refusal(status: int, body: bytes) -> PeerError:
    """The device's own sentence when it can be shown safely, else the status."""
    text = body.decode("utf-8", "replace").strip()
    if not 0 < len(text) <= 300 or not shape.is_plain(text):
        text = "it gave no reason that can be shown"
    return PeerError("device", f"the device refused with HTTP status {status}: {text}")
