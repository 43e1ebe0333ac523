"""Updates of the fleet: the releases here, the roll-out that goes on, beacons and the source that devices fetch from.
The driver of rollout.py.

    updates = Updates(Parts(...)); updates.listen(port); run() and serve() until cancelled; await updates.close()

Every TICK_S the machine hears each device's link and says who is to be ordered. What it decided is written down before
an order goes out, so that a core that is started anew goes on where it was.

Bounds: ORDERS_AT_ONCE commands in flight; those of releases.py, delta_cache.py, rollout.py and of relays/web.py.
"""

import asyncio
import contextlib
import logging
import math
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agent.core.known import Presence
from agent.errors import CoreletError, PortError, UsageError
from boards import loader
from tools.gateway.addresses import parsed
from tools.gateway.ca import CA
from tools.gateway.links import broker
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import RolloutRow
from tools.gateway.relays import web
from tools.gateway.state import UPDATE_PORT, State
from tools.gateway.updates import source
from tools.gateway.updates.beacons import Beacons
from tools.gateway.updates.delta_cache import DeltaCache
from tools.gateway.updates.places import Place, Seen
from tools.gateway.updates.plan import decoded, planned
from tools.gateway.updates.releases import Kept, Offer, Releases
from tools.gateway.updates.report import told
from tools.gateway.updates.rollout import ABORTED, DONE, PAUSED, RUNNING, Rollout, Standing

DEFAULT_PORT = 8885
TICK_S = 1.0
TICK_S_MAX = 5.0  # a machine that slept did not listen
IDLE_S = TICK_S_MAX  # where only latecomers are waited for; longer, and its clock would fall behind
NOTE_EVERY_S = 10.0
ORDER_S = 20.0
ORDERS_AT_ONCE = 32

LOG = logging.getLogger("corelet.updates")
Command = Callable[[str, str, dict[str, Any], float], Awaitable[dict[str, Any]]]


class Parts(NamedTuple):
    """`hears()`: whether the core's own link works; `addresses()`: its own, for a device whose way is not known."""

    state: State
    registry: Registry
    ca: CA
    presence: Callable[[str], Presence | None]
    command: Command
    hears: Callable[[], bool]
    addresses: Callable[[], list[str]]


class Updates:
    """`port`: of the source; 0 until it listens."""

    def __init__(self, parts: Parts) -> None:
        self.port = 0
        self.rollout: Rollout | None = None
        self.releases = Releases(parts.state.folder / "updates")
        self._parts = parts
        self._registry = parts.registry
        self._beacons = Beacons(parts.ca, parts.registry)
        self._deltas = DeltaCache(parts.state.folder / "updates" / "deltas")
        self._row: RolloutRow | None = None
        self._aborted = parts.registry.aborted()
        self._known: dict[str, str] = {}  # paired device -> board
        self._sock: socket.socket | None = None
        self._host = ""  # "": every address
        self._adding = asyncio.Lock()
        self._orders: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(ORDERS_AT_ONCE)
        self._at = math.inf  # of the last turn; before the first nothing was listened to
        self._stir = asyncio.Event()  # something was begun
        self._noted: tuple[Any, ...] = ()
        self._load()

    def _load(self) -> None:
        rows = self._registry.rollouts()
        if rows:
            row = self._row = rows[0]
            standing = Standing(row.state, row.why, row.wave, row.clock, row.wave_at, row.quiet_at)
            self.rollout = Rollout(decoded(row.plan), standing, self._registry.rollout_places(row.id))
            self._noted = (row.clock, *self._state())

    def _state(self) -> tuple[Any, ...]:
        assert self.rollout is not None and self._row is not None
        standing = self.rollout.standing
        return self._row.id, standing.state, standing.why, standing.wave, standing.wave_at, standing.quiet_at

    # The source

    def listen(self, host: str, number: int | None) -> None:
        """`number`: None or 0: the one of before, at first DEFAULT_PORT or (0) any free one. One that nobody asked for
        and that is taken is exchanged: devices are told the port with each order. PortError as links/broker.py."""
        kept, self._host = self._parts.state.port(UPDATE_PORT), host
        wanted = [number] if number else [kept or (DEFAULT_PORT if number is None else 0), 0]
        for each in wanted:
            try:
                self._sock = broker.listen(host, each)
                break
            except PortError as error:
                if each == wanted[-1]:
                    if error.code != "port_busy":
                        raise  # such as an address that is not of this machine: no other port mends that
                    text = f"port {each} for updates is used by another program: choose another with --update-port"
                    raise PortError("port_busy", text) from error
                LOG.warning("port %d for updates is not to be had (%s): another one is tried", each, error.code)
        assert self._sock is not None
        self.port = self._sock.getsockname()[1]
        if self.port != kept:
            self._parts.state.keep_port(self.port, UPDATE_PORT)

    async def serve(self) -> None:
        """Until cancelled."""
        assert self._sock is not None
        await web.serve_app(source.app(self), self._sock)

    def is_known(self, device: str) -> bool:
        return device in self._known

    def beacon(self, device: str) -> bytes:
        is_allowed = self.rollout is not None and self.rollout.allows(device)
        allowed = [self.rollout.plan.digest] if self.rollout is not None and is_allowed else []
        return self._beacons.document(device, self.releases.newest(), allowed, self._aborted)

    def small(self, kind: str, name: str) -> bytes:
        return self.releases.small(kind, name) if kind in ("roots", "releases", "approvals") else b""

    def pack_path(self, name: str) -> Path | None:
        return self.releases.pack_path(name)

    async def delta(self, target: str, base: str) -> Path | None:
        to, of = self.releases.by_image(target), self.releases.by_image(base)
        if to is None or of is None:
            return None
        return await self._deltas.find(
            f"{target}-{base}", self.releases.folder / of.pack, self.releases.folder / to.pack
        )

    def url(self, device: str) -> str:
        """Of the source, from where this device is."""
        presence = self._parts.presence(device)
        named = list(presence.birth.get("addresses") or []) if presence is not None else []
        host = self._host or _own_address(named, self._parts.addresses())
        return f"http://{host}:{self.port}/u/{device}"

    # The roll-out

    async def run(self) -> None:
        """Listen, order, write down; until cancelled."""
        try:
            while True:
                self.turn()
                is_idle = self.rollout is None or self.rollout.is_over
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S if is_idle else TICK_S):
                        await self._stir.wait()
                self._stir.clear()
        finally:
            for task in self._orders:
                task.cancel()
            await asyncio.gather(*self._orders, return_exceptions=True)

    def turn(self) -> None:
        """One tick of the machine."""
        now = time.monotonic()
        seconds, self._at = min(TICK_S_MAX, max(0.0, now - self._at)), now
        self._known = {device.id: device.board for device in self._registry.paired()}
        self._beacons.keep(set(self._known))
        if self.rollout is None:
            return
        self.rollout.know(self._fits())
        for device in self._known:
            self.rollout.hear(device, _seen(self._parts.presence(device)))
        if self._parts.hears():
            self.rollout.wake(seconds)
        self._settle()

    def _settle(self) -> None:
        """Write down, then order."""
        assert self.rollout is not None
        orders, places = self.rollout.drain()
        self._note(places, bool(orders))
        for device in orders:
            task = asyncio.get_running_loop().create_task(self._order(self.rollout, device))
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)

    def _note(self, places: Sequence[Place | str], is_ordering: bool) -> None:
        assert self.rollout is not None and self._row is not None
        standing, state = self.rollout.standing, self._state()
        is_news = self._noted[1:] != state
        if not places and not is_news and standing.clock - self._noted[0] < NOTE_EVERY_S:
            return
        self._row = RolloutRow(
            self._row.id, self._row.digest, self._row.plan, standing.state, standing.why, standing.wave,
            standing.clock, standing.wave_at, standing.quiet_at, self._row.started,
        )  # fmt: skip
        self._registry.set_rollout(self._row, places, is_news or is_ordering)
        if is_news and standing.state == ABORTED:
            self._aborted = self._registry.aborted()
            LOG.warning("the roll-out of %s is aborted: %s", self._row.digest[:16], standing.why)
        self._noted = (standing.clock, *state)

    async def _order(self, rollout: Rollout, device: str) -> None:
        """`install` means refresh and install: of an aborted release it makes a device give it up."""
        code, text = "", ""
        try:
            async with self._places:
                body = {"order": "install", "source": self.url(device)}
                answer = await self._parts.command(device, "update", body, ORDER_S)
            if answer.get("accepted") is not True:
                code, text = "answer", "it answered something else than accepted"
        except CoreletError as error:
            code, text = error.code, error.text
        rollout.answered(device, code, text)

    def _fits(self) -> dict[str, bool]:
        """By the classes of the boards that we know; a class that is none of theirs may be any board's."""
        found = self.releases.kept.get(self.rollout.plan.digest) if self.rollout is not None else None
        if found is None or len(found.vendor) != 16:
            return dict.fromkeys(self._known, True)
        vendor = uuid.UUID(bytes=found.vendor)
        classes = {name: uuid.uuid5(vendor, name).bytes for name in loader.NAMES}
        if found.class_id not in classes.values():
            return dict.fromkeys(self._known, True)
        return {device: classes.get(board, found.class_id) == found.class_id for device, board in self._known.items()}

    # What the API asks

    async def add(self, offer: Offer) -> Kept:
        """For `corelet-core release add`: signatures take a while, and so does the disk."""
        async with self._adding:
            return await asyncio.to_thread(self.releases.add, offer)

    async def listed(self) -> list[dict[str, Any]]:
        """For `corelet-core release ls`, the newest first. Verifying takes milliseconds each: not in the loop."""
        found = sorted(self.releases.kept.values(), key=lambda one: (-one.sequence, one.digest))
        return [await asyncio.to_thread(self.about, one) for one in found]

    def about(self, found: Kept) -> dict[str, Any]:
        root = self.releases.root
        return {
            "digest": found.digest, "sequence": found.sequence, "bytes": found.size, "pack": found.pack,
            "signatures": found.signatures, "approvals": self.releases.approvals(found.digest),
            "root": root.version if root else 0, "trouble": self.releases.judge(found),
            "rollout": self._word_of(found.digest),
        }  # fmt: skip

    def _word_of(self, digest: str) -> str:
        return "aborted" if digest in self._aborted else self._row.state if self._is_of(digest) and self._row else ""

    def _is_of(self, digest: str) -> bool:
        return self._row is not None and self._row.digest == digest

    async def remove(self, reference: str) -> Kept:
        """UsageError("in_use") while devices fetch it."""
        async with self._adding:
            return self._remove(reference)

    def _remove(self, reference: str) -> Kept:
        found = self.releases.find(reference)
        if self._is_of(found.digest) and self.rollout is not None and self.rollout.standing.state in (RUNNING, PAUSED):
            text = f"release {found.sequence} is being rolled out: corelet-core rollout abort stops that"
            raise UsageError("in_use", text)
        self.releases.remove(found.digest)
        return found

    def start(self, reference: str, words: dict[str, Any]) -> None:
        """UsageError("rollout", "aborted", "refused") and those of plan.planned."""
        found = self.releases.find(reference)
        if self.rollout is not None and self.rollout.standing.state in (RUNNING, PAUSED):
            text = "a roll-out goes on: corelet-core rollout status shows it, corelet-core rollout abort ends it"
            raise UsageError("rollout", text)
        if found.digest in self._aborted:
            text = (
                f"release {found.sequence} was aborted, and devices that tried it take only a higher number: sign one"
            )
            raise UsageError("aborted", text)
        if trouble := self.releases.judge(found):
            raise UsageError("refused", f"devices would refuse release {found.sequence}: {trouble}")
        plan = planned(found.digest, found.sequence, words)
        row = RolloutRow(0, found.digest, plan.encoded(), RUNNING, "", 0, 0.0, 0.0, -1.0, int(time.time()))
        self._row = row._replace(id=self._registry.add_rollout(row))
        self.rollout = Rollout(plan)
        self._begin()

    def _begin(self) -> None:
        self.turn()
        self._stir.set()

    def pause(self) -> None:
        self._live((RUNNING,), "pause").pause()
        self._begin()

    def resume(self) -> None:
        self._live((PAUSED,), "resume").resume()
        self._begin()

    def abort(self) -> None:
        self._live((RUNNING, PAUSED, DONE), "abort").abort("aborted by the operator")
        self._begin()

    def _live(self, states: tuple[str, ...], verb: str) -> Rollout:
        if self.rollout is None:
            raise UsageError("rollout", "nothing is rolled out: corelet-core rollout start DIGEST begins")
        if self.rollout.standing.state not in states:
            text = f"the roll-out is {self.rollout.standing.state}: there is nothing to {verb}"
            raise UsageError("rollout", text)
        return self.rollout

    def status(self) -> dict[str, Any]:
        """For `corelet-core rollout status`; {} before the first one."""
        if self.rollout is None or self._row is None:
            return {}
        names = {device.id: device.name for device in self._registry.devices()}
        return told(self.rollout, names) | {"started": self._row.started, "port": self.port}

    def notes(self) -> list[str]:
        """For `corelet-core status`: where an operator should look, a sentence each."""
        if self.rollout is None or self.rollout.standing.state != ABORTED:
            return []
        return [f"the last roll-out was aborted ({self.rollout.standing.why}): corelet-core rollout status says more"]

    async def close(self) -> None:
        await self._deltas.close()
        if self._sock is not None:
            self._sock.close()


def _seen(presence: Presence | None) -> Seen:
    if presence is None:
        return Seen(False, {}, 0)
    return Seen(presence.is_up, presence.birth.get("update") or {}, presence.birth.get("boot", 0))


def _own_address(named: list[str], own: list[str]) -> str:
    """From which this machine would speak with the device; nothing is sent. IPv4: that is what ota/source.py reads."""
    for address in map(parsed, named):
        if address is not None and address.version == 4:
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((str(address), 9))
                return str(probe.getsockname()[0])
    return next((address for address in own if ":" not in address), "127.0.0.1")
