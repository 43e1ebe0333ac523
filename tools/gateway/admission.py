"""How a device joins and leaves: find it, prove the code, issue its identity, let it in, wait for its link; forget.

It owns the order of these steps and what is undone when one fails; the proof itself is tools/gateway/pairing.py.
Nothing of a failed pairing stays: the certificate is revoked and the broker's door is closed again.

Bounds: CANDIDATES_MAX devices tried for one code (a wrong device costs one of its attempts), FIND_S to find it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from agent.errors import CoreletError, PeerError, PortError, TrustError, UsageError
from agent.wire import pairing as wire
from tools.gateway import pairing
from tools.gateway.ca import CA
from tools.gateway.fleet import Fleet
from tools.gateway.registry import Registry
from tools.gateway.tables import Device

FIND_S = 10.0
PROBE_S = 3.0
LINK_S = 60.0
COMMAND_S = 10.0
LEAVE_S = 3.0
CANDIDATES_MAX = 4
DEFAULT_PORT = 7411

Progress = Callable[[str, str], None]
STEPS = {"proven": "code proven", "issued": "identity issued", "accepted": "time set"}


class Wanted(NamedTuple):
    """What the operator typed: exactly one of `code` and `qr`; `address` and `name` may be ""."""

    code: str
    qr: str
    address: str
    name: str


class Candidate(NamedTuple):
    """Where a device may be: `addresses` are tried side by side."""

    label: str
    addresses: list[str]
    port: int


class Parts(NamedTuple):
    """What admission works with."""

    ca: CA
    broker: Any
    links: Any
    browser: Callable[[], Any]  # None where the network has no multicast
    registry: Registry
    fleet: Fleet
    core_name: str


def parse_address(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT, [IPv6]:PORT. UsageError("address")."""
    host, port = text.strip(), str(DEFAULT_PORT)
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        text = f"{text!r} is no address: write HOST:PORT, for example 192.168.1.20:{DEFAULT_PORT}"
        raise UsageError("address", text)
    return host, int(port)


class Admission:
    """One pairing at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._gate = asyncio.Lock()

    async def pair(self, wanted: Wanted, progress: Progress) -> Device:
        """The device, connected. Raises a CoreletError whose text says what to try; progress named the last step."""
        if self._gate.locked():
            raise UsageError("pairing_busy", "another pairing is running on this core: wait until it has ended")
        async with self._gate:
            code, candidates = await self._candidates(wanted)
            for position, candidate in enumerate(candidates):
                try:
                    return await self._admit(candidate, code, wanted.name, progress)
                except TrustError as error:
                    # Another device with the same discriminator: its code differs, and ours may be the next one's.
                    if error.code != "code" or position + 1 == len(candidates):
                        raise
                    progress("waiting", f"{candidate.label} has another code; trying the next device")
            raise AssertionError("there is always a candidate or an error")

    async def _candidates(self, wanted: Wanted) -> tuple[str, list[Candidate]]:
        code, host, port = wire.decode_qr(wanted.qr) if wanted.qr else (wanted.code, "", 0)
        discriminator, _ = wire.decode_code(code)
        if wanted.address:
            host, port = parse_address(wanted.address)
        if host:
            return code, [Candidate(f"{host} port {port or DEFAULT_PORT}", [host], port or DEFAULT_PORT)]
        deadline = time.monotonic() + FIND_S
        while True:
            browser = self._parts.browser()
            found = browser.by_discriminator(discriminator) if browser is not None else []
            if found or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        if not found:
            text = (
                "no device with this code was found on the network within 10 seconds: check that its pairing window "
                "is open (it shows the code then), or give its address with --address HOST:PORT"
            )
            raise PortError("not_found", text)
        best = sorted(found, key=lambda each: each.txt.get("ps") != "1")[:CANDIDATES_MAX]
        return code, [Candidate(each.txt.get("nm") or each.instance, list(each.addresses), each.port) for each in best]

    async def _admit(self, candidate: Candidate, code: str, name: str, progress: Progress) -> Device:
        parts = self._parts
        host = await _reachable(candidate)
        progress("found", f"{candidate.label} at {host} port {candidate.port}")

        def step(kind: str, detail: str) -> None:
            if kind in STEPS:
                progress(STEPS[kind], detail)
            elif kind == "waiting":
                progress(kind, detail)

        sessions = parts.links.sessions()  # one that is paired again may still be connected by its old certificate
        paired = await self._prove((host, candidate.port), code, step)
        before = {device.id: device for device in parts.registry.devices()}.get(paired.device_id)
        device = Device(
            paired.device_id, name or paired.name, paired.board, paired.fw, paired.public, paired.serial,
            paired.link_secret, "pairing", host, int(time.time()),
        )  # fmt: skip
        parts.registry.add_device(device)
        parts.fleet.reload()
        try:
            link = parts.links.wait_up(device.id, LINK_S, sessions.get(device.id))
            await pairing.settle(paired, parts.ca, link)
            await parts.links.command(device.id, "bound", {}, COMMAND_S)
        except BaseException:
            await self._undo(device, before)
            raise
        parts.registry.set_device(device.id, state="paired")
        parts.fleet.reload()
        if before is not None and before.serial != device.serial:
            parts.ca.revoke(before.serial)
        progress("connected", f"{device.name} is ready for work")
        return device._replace(state="paired")

    async def _prove(self, address: tuple[str, int], code: str, step: Progress) -> pairing.Paired:
        """The device that knows the code, let in. When it fails the broker's door is closed to a stranger again."""
        parts = self._parts
        known = {device.id for device in parts.registry.devices()}
        strangers: list[tuple[str, int]] = []

        async def admit(device_id: str, serial: int) -> None:
            if device_id not in known:
                strangers.append((device_id, serial))
            await parts.broker.allow(device_id)

        offer = pairing.Offer(parts.broker.endpoints(), parts.core_name, admit)
        try:
            return await pairing.pair(address, code, parts.ca, offer, step)
        except BaseException:
            for device_id, serial in strangers:
                await parts.broker.forbid(device_id, serial)
            raise

    async def _undo(self, device: Device, before: Device | None) -> None:
        """The device forgets a pairing that did not end within a minute; so do we, and an earlier one holds again."""
        if before is not None:
            self._parts.registry.add_device(before)
            self._parts.ca.revoke(device.serial)
        else:
            self._parts.registry.remove_device(device.id)
            with contextlib.suppress(CoreletError):
                await self._parts.broker.forbid(device.id, device.serial)
        self._parts.fleet.reload()

    async def forget(self, device: Device) -> int:
        """At once: its link falls silent, its certificate is worth nothing. Returns how many shards it kept."""
        parts = self._parts
        with contextlib.suppress(CoreletError, TimeoutError):
            # Courtesy: a device that hears it leaves the core and frees the space. One that is away finds out later.
            async with asyncio.timeout(LEAVE_S):
                await parts.links.command(device.id, "leave", {}, LEAVE_S)
        shards = parts.registry.remove_device(device.id)
        parts.fleet.reload()
        await parts.broker.forbid(device.id, device.serial)
        return shards


async def _reachable(candidate: Candidate) -> str:
    """The address that answers first (RFC 8305 in spirit). PortError("unreachable")."""

    async def probe(host: str) -> str:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host, candidate.port)
        writer.close()
        return host

    if len(candidate.addresses) == 1:
        return candidate.addresses[0]
    tasks = [asyncio.create_task(probe(host)) for host in candidate.addresses]
    try:
        for first in asyncio.as_completed(tasks):
            with contextlib.suppress(OSError):
                return await first
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    text = (
        f"{candidate.label} announces itself at {', '.join(candidate.addresses)} but port {candidate.port} does not "
        "answer: check the firewall and that both are on the same network"
    )
    raise PortError("unreachable", text)


def kind_of(error: CoreletError) -> type[CoreletError]:
    """Which family an error is of, for the exit status: a mistyped code is the typist's."""
    is_typed = isinstance(error, PeerError) and error.code in ("code", "qr")
    return UsageError if is_typed else type(error)
