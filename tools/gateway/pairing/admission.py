"""How a device joins and leaves: find it, prove the code, issue its identity, let it in, wait for its link; forget.

It owns the order of these steps and what is undone when one fails; the proof itself is pairing.py.
Nothing of a failed pairing stays: the certificate is revoked and the broker's door is closed again. A device that was
paired before is paired by the old row until it has said that it is bound by the new one. After `bound` was sent only
the device knows what holds: whatever was cut off there is kept and asked again when the device is back (`finish`).

Bounds: CANDIDATES_MAX devices tried for one code (a wrong one costs one of its attempts), one of each address before
the second of any:  invented ones shut nobody out; TURN_S for one of several to prove the code; FIND_S to find it.
"""

import asyncio
import contextlib
import itertools
import logging
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from agent.errors import CoreletError, PeerError, PortError, TrustError, UsageError
from agent.wire import full_core
from tools.gateway.addresses import DEFAULT_PORT, parse_address
from tools.gateway.ca import CA
from tools.gateway.fleet import Fleet
from tools.gateway.links.reach import Candidate, in_turn, reachable
from tools.gateway.pairing import holding
from tools.gateway.pairing.pairing import Offer, Paired, settle
from tools.gateway.pairing.pairing import pair as prove
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device, Pairing

FIND_S = 10.0
LINK_S = 60.0
COMMAND_S = 10.0
LEAVE_S = 3.0
CANDIDATES_MAX = 16
TURN_S = 10.0
TURNS_MAX = 2
KEPT_S = 24 * 3600
AGAIN_S = 5.0
REFUSED = "pairing"  # the device's word for: no pairing waits for this core
LIKE_ID = re.compile("[0-9A-Fa-f]{16}")

LOG = logging.getLogger("corelet.admission")

Progress = Callable[[str, str], None]
STEPS = {"proven": "code proven", "issued": "identity issued", "accepted": "time set"}


class Wanted(NamedTuple):
    """What the operator typed: exactly one of `code` and `qr`; `address` and `name` may be ""."""

    code: str
    qr: str
    address: str
    name: str


class Parts(NamedTuple):
    """What admission works with."""

    ca: CA
    broker: Any
    links: Any
    browser: Callable[[], Any]  # None where the network has no multicast
    registry: Registry
    fleet: Fleet
    core_name: str
    client: Any  # of the shards


class Admission:
    """One pairing at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._gate = asyncio.Lock()
        self._is_pairing = False
        self._since: dict[int, float] = {}  # serial -> when this process first saw the pairing
        self._tries: dict[str, float] = {}  # device -> when it may be asked again

    async def pair(self, wanted: Wanted, progress: Progress) -> Device:
        """The device, connected. Raises a CoreletError whose text says what to try; progress named the last step."""
        if self._is_pairing:
            raise UsageError("pairing_busy", "another pairing is running on this core: wait until it has ended")
        if LIKE_ID.fullmatch(wanted.name):
            raise UsageError("name", f"{wanted.name!r} could be mistaken for a device's id: choose another --name")
        self._is_pairing = True
        try:
            return await self._pair(wanted, progress)
        finally:
            self._is_pairing = False

    async def _pair(self, wanted: Wanted, progress: Progress) -> Device:
        async with self._gate:
            code, candidates = await self._candidates(wanted)
            if len(candidates) == 1:
                return await self._admit(candidates[0], code, wanted.name, progress)
            return await self._try_each(candidates, code, wanted.name, progress)

    async def _try_each(self, candidates: list[Candidate], code: str, name: str, progress: Progress) -> Device:
        """The first that proves the code. Another device's code differs, an invented one does not answer or stalls:
        ours may be the next one. What fails after the proof is about the right device."""
        failed: CoreletError | None = None
        for _ in range(TURNS_MAX):
            for candidate in list(candidates):
                is_proven = False
                try:
                    async with asyncio.timeout(TURN_S) as limit:

                        def step(kind: str, detail: str, limit: asyncio.Timeout = limit) -> None:
                            nonlocal is_proven
                            if kind == STEPS["proven"]:
                                is_proven = True
                                limit.reschedule(None)
                            progress(kind, detail)

                        return await self._admit(candidate, code, name, step)
                except TimeoutError:
                    error: CoreletError = PortError("timeout", f"{candidate.label} did not prove the code in time")
                except CoreletError as fault:
                    error = fault
                if is_proven or isinstance(error, UsageError):
                    raise error
                if isinstance(error, TrustError):
                    candidates.remove(candidate)  # it has answered: asking again would cost it another attempt
                if not isinstance(failed, TrustError):
                    failed = error
                why = "has another code" if isinstance(error, TrustError) else "cannot be paired now"
                progress("waiting", f"{candidate.label} {why}")
        assert failed is not None
        raise failed

    async def _candidates(self, wanted: Wanted) -> tuple[str, list[Candidate]]:
        code, host, port = full_core.decode_qr(wanted.qr) if wanted.qr else (wanted.code, "", 0)
        discriminator, _ = full_core.decode_code(code)
        if wanted.address:
            host, port = parse_address(wanted.address)
        if host:
            return code, [Candidate(host, [host], port or DEFAULT_PORT)]
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
        return code, [
            Candidate(each.txt.get("nm") or each.instance, list(each.addresses), each.port)
            for each in in_turn(found)[:CANDIDATES_MAX]
        ]

    async def _admit(self, candidate: Candidate, code: str, name: str, progress: Progress) -> Device:
        parts = self._parts
        host = await reachable(candidate)
        label = "" if candidate.label == host else f"{candidate.label} at "
        progress("found", f"{label}{host} port {candidate.port}")

        def step(kind: str, detail: str) -> None:
            if kind in STEPS:
                progress(STEPS[kind], detail)
            elif kind == "waiting":
                progress(kind, detail)

        sessions = parts.links.sessions()  # one that is paired again may still be connected by its old certificate
        paired = await self._prove(Offered((host, candidate.port), code, name), step)
        pairing = Pairing(
            paired.serial, paired.device_id, self._free_name(name or paired.name, paired.device_id), paired.board,
            paired.fw, paired.public, paired.link_secret, host, "given", int(time.time()),
        )  # fmt: skip
        try:
            parts.registry.add_pairing(pairing)
            await settle(paired, parts.ca, self._linked(pairing.id, sessions.get(pairing.id)))
        except BaseException:
            await self._undo(pairing.id, pairing.serial)
            raise
        device = await self._bind(pairing)
        progress("connected", f"{device.name} is ready for work")
        return device

    async def _prove(self, offered: "Offered", step: Progress) -> Paired:
        """The device that knows the code, let in. When it fails the broker's door is closed to a stranger again."""
        parts = self._parts
        issued: list[tuple[str, int]] = []

        async def admit(device_id: str, serial: int) -> None:
            issued.append((device_id, serial))
            if offered.name and self._free_name(offered.name, device_id) != offered.name:
                text = f"another device is called {offered.name!r}: choose another --name, or forget that one first"
                raise UsageError("name_taken", text)
            row = Pairing(serial, device_id, offered.name, "", "", b"", b"", "", "issued", int(time.time()))
            parts.registry.add_pairing(row)
            await parts.broker.allow(device_id)

        offer = Offer(parts.broker.endpoints(), parts.core_name, admit)
        try:
            return await prove(offered.address, offered.code, parts.ca, offer, step)
        except BaseException:
            for device_id, serial in issued:
                await self._undo(device_id, serial)
            raise

    async def _linked(self, device_id: str, old: tuple[int, int] | None) -> None:
        """Until the device is connected by the certificate of this pairing: its birth says that a pairing is pending.
        One that merely comes back has not proven that it got anything from us."""
        links = self._parts.links
        while True:
            presence = await links.wait_up(device_id, LINK_S, old)
            if presence.birth.get("pending") is True:
                return
            old = links.sessions().get(device_id)

    async def _bind(self, pairing: Pairing) -> Device:
        """Once `bound` is sent only the device knows whether it kept it: what is not refused is asked again later."""
        links = self._parts.links
        session = links.sessions().get(pairing.id)
        try:
            await links.command(pairing.id, "bound", {}, COMMAND_S)
        except PeerError as error:
            if error.code == REFUSED:
                await self._undo(pairing.id, pairing.serial)
            raise
        except CoreletError as error:
            raise _unfinished(pairing) from error
        if links.sessions().get(pairing.id) != session:
            raise _unfinished(pairing)  # perhaps an answer for an earlier pairing: the device may have taken ours back
        return await self._keep(pairing)

    async def _keep(self, pairing: Pairing) -> Device:
        parts = self._parts
        device = parts.registry.bind_pairing(pairing, int(time.time()))
        parts.fleet.reload()
        await self._revoke_void(pairing.id)
        return device

    async def _revoke_void(self, device_id: str) -> None:
        parts = self._parts
        void = [row.serial for row in parts.registry.pairings() if row.id == device_id and row.state == "void"]
        if void:
            await parts.broker.revoke(*void)
        for serial in void:
            parts.registry.drop_pairing(serial)

    async def _undo(self, device_id: str, serial: int) -> None:
        """This pairing is worth nothing any more; an earlier one holds. Revoked first: repair() finds one that is."""
        parts = self._parts
        is_ours = device_id in [device.id for device in parts.registry.paired()]
        others = [row for row in parts.registry.pairings() if row.id == device_id and row.serial != serial]
        with contextlib.suppress(CoreletError):
            if is_ours or [row for row in others if row.state != "void"]:
                await parts.broker.revoke(serial)
            else:
                await parts.broker.forbid(device_id, serial)
            parts.registry.drop_pairing(serial)

    async def repair(self) -> None:
        """At the start, when the broker runs: end what a stop interrupted."""
        parts = self._parts
        for device in parts.registry.forgotten():
            await self._forbid(device)
        for device in parts.registry.devices():
            if device.state == "left" and not parts.ca.is_revoked(device.serial):
                await self.part(device)
        for row in parts.registry.pairings():
            if row.state != "given" or parts.ca.is_revoked(row.serial):
                await self._undo(row.id, row.serial)

    async def finish(self) -> None:
        """Every second: pairings whose device may have kept them are finished when it is back, or end after a day. One
        that the operator begins waits for one device at most."""
        if self._gate.locked():
            return
        async with self._gate:
            waiting: dict[str, list[Pairing]] = {}
            for row in self._parts.registry.pairings():
                waiting.setdefault(row.id, []).append(row)
            self._tries = {key: value for key, value in self._tries.items() if key in waiting}
            now = time.monotonic()
            for device_id, rows in waiting.items():
                for row in rows:
                    # Counted from the start of this core: a clock that was set forward must not end a pairing.
                    if now - self._since.setdefault(row.serial, now) > KEPT_S:
                        await self._undo(device_id, row.serial)
                presence = self._parts.links.presence(device_id)
                if presence is None or not presence.is_up:
                    self._tries.pop(device_id, None)
                elif now >= self._tries.get(device_id, 0.0) and not self._is_pairing:
                    self._tries[device_id] = now + AGAIN_S
                    await self._ask(device_id, [row for row in rows if row.state == "given"])
            self._since = {row.serial: self._since[row.serial] for rows in waiting.values() for row in rows}

    async def _ask(self, device_id: str, rows: list[Pairing]) -> None:
        """The device is connected by one of its certificates. Which one tells the secret that it holds: it says yes to
        `bound` also for a pairing of old."""
        parts = self._parts
        await self._revoke_void(device_id)
        if not rows:
            return
        secrets = [row.link_secret for row in rows]
        secrets += [device.link_secret for device in parts.registry.paired() if device.id == device_id]
        birth = parts.links.presence(device_id).birth
        held = secrets[0] if len(secrets) == 1 else await holding.held(parts.client, birth, rows, secrets)
        if held is None:
            return
        for row in rows:
            if row.link_secret == held:
                try:
                    await parts.links.command(device_id, "bound", {}, COMMAND_S)
                except PeerError as error:
                    if error.code == REFUSED:
                        await self._undo(device_id, row.serial)
                except CoreletError as error:
                    LOG.info("device %s is asked again later: %s", device_id, error.text)
                else:
                    device = await self._keep(row)
                    LOG.info("the pairing of %s (%s) that was interrupted is finished", device.name, device_id)
                return
        for row in rows:  # the device has taken them back and holds what it had before
            await self._undo(device_id, row.serial)

    def _free_name(self, name: str, device_id: str) -> str:
        """`name`, or with a number when another device has it or it could be mistaken for an id."""
        registry = self._parts.registry
        taken = {each.name for each in registry.devices() if each.id != device_id}
        taken |= {each.name for each in registry.pairings() if each.id != device_id}
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        free = itertools.chain([name], numbered)
        return next(each for each in free if each not in taken and not LIKE_ID.fullmatch(each))

    def unfinished(self) -> list[str]:
        """For the operator, a sentence each."""
        rows = [row for row in self._parts.registry.pairings() if row.state == "given"]
        return [_unfinished(row).text for row in rows] if not self._is_pairing else []

    async def forget(self, device: Device) -> int:
        """At once: its link falls silent, its certificate is worth nothing. Returns how many shards it kept."""
        parts = self._parts
        with contextlib.suppress(CoreletError, TimeoutError):
            # Courtesy: a device that hears it leaves the core and frees the space. One that is away finds out later.
            async with asyncio.timeout(LEAVE_S):
                await parts.links.command(device.id, "leave", {}, LEAVE_S)
        parts.registry.set_device(device.id, state="forgotten")
        parts.fleet.reload()
        return await self._forbid(device)

    async def part(self, device: Device) -> int:
        """As `forget` when its owner took it away; it stays listed. A pairing of it that runs keeps its door."""
        parts = self._parts
        shards = parts.registry.part_device(device.id)
        parts.fleet.reload()
        if parts.registry.is_pairing(device.id):
            await parts.broker.revoke(device.serial)
        else:
            await parts.broker.forbid(device.id, device.serial)
        return shards

    async def _forbid(self, device: Device) -> int:
        """Its row goes last: until then the next start knows what there is to revoke."""
        parts = self._parts
        serials = [row.serial for row in parts.registry.pairings() if row.id == device.id]
        await parts.broker.forbid(device.id, device.serial, *serials)
        return parts.registry.remove_device(device.id)


class Offered(NamedTuple):
    """Where one device is, and what the operator typed for it."""

    address: tuple[str, int]
    code: str
    name: str


def _unfinished(pairing: Pairing) -> PortError:
    text = (
        f"{pairing.name} was told that it is paired but has not answered: "
        "this core finishes the pairing by itself when the device is back"
    )
    return PortError("unfinished", text)
