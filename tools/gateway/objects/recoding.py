"""Objects that today's fleet could keep more safely are coded anew, in the background, one at a time.

A fleet that has grown codes for more devices (design section 7); one that has lost so many that a stripe no longer
finds a device for each shard codes for those that are left, at once when one says that it leaves. An object coded anew
is another object until it is complete: fresh id, fresh key (so that no nonce meets another plaintext), its SHA-256
compared, every shard of it with a receipt. Then one durable commit puts it in the old one's place, and only then the
old shards are deleted. Killed at any moment, the old one is there, or the new one.

Bounds: one object at a time, the windows of a get and a put, the care's brake; one that failed waits PAUSE_S, twice as
long each time, at most PAUSE_S_MAX.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing

from agent.errors import CoreletError
from tools.gateway.objects.absences import Absences
from tools.gateway.objects.care import Brake, Care
from tools.gateway.objects.coding import Profile, profile_for
from tools.gateway.objects.shards import Target
from tools.gateway.objects.stripes import SLOTS
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Object

PAUSE_S = 60.0
PAUSE_S_MAX = 6 * 3600.0

LOG = logging.getLogger("corelet.recoding")
Store = Callable[[AsyncIterator[bytes], Object, Mapping[str, Target]], Awaitable[object]]


def share_bytes(size: int, k: int) -> int:
    """What each device must have room for, at least: one shard of every stripe, in slots."""
    return size // k + size // (k * 64) + SLOTS[0]


class Recoding:
    """`read(object)`: its plaintext; `store(source, object, targets)`: keeps it in the place of that object."""

    def __init__(
        self,
        registry: Registry,
        targets: Callable[[], Mapping[str, Target]],
        absences: Absences,
        care: tuple[Care, Brake],
        work: tuple[Callable[[Object], AsyncGenerator[bytes, None]], Store],
    ) -> None:
        self._registry = registry
        self._targets = targets
        self._absences = absences
        self._care, self._brake = care
        self._read, self._store = work
        self._failed: dict[str, tuple[float, float]] = {}  # object -> (not before, pause)
        self._settled: tuple[Profile | None, float] = (None, 0.0)
        self.busy_with = ""  # the object's id

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(min(self._care.scan_s, 5.0))
            if self.is_settled():
                await self.step()

    def is_settled(self) -> bool:
        """Whether the fleet has had its size for long enough. To be asked again and again."""
        targets = self._targets().values()
        count = sum(target.is_host for target in targets)
        profile = profile_for(count) if count else None
        now = time.monotonic()
        if profile != self._settled[0]:
            self._settled = (profile, now)
        is_waited_for = any(target.is_leaving and target.is_up for target in targets)
        return profile is not None and (is_waited_for or now - self._settled[1] >= self._care.settled_s)

    def better(self, found: Object) -> dict[str, Target]:
        """The devices to code it for; {} when that would not let it survive more losses than where it is."""
        targets = self._targets()
        gone = self._absences.gone(self._care.away_s)
        here = sum(not target.is_emptied and device not in gone for device, target in targets.items())
        in_place = min(found.n, here) - found.k
        able = sorted((target for target in targets.values() if target.is_host), key=lambda target: -target.free_bytes)
        while able:
            wanted = profile_for(len(able))
            if wanted.n - wanted.k <= in_place:
                return {}
            if all(share_bytes(found.size, wanted.k) <= target.free_bytes for target in able):
                return {target.device: target for target in able}
            able.pop()  # the one with the least room
        return {}

    def may_help(self, found: Object) -> bool:
        """Whether it will be tried soon."""
        return time.monotonic() >= self._failed.get(found.id, (0.0, 0.0))[0] and bool(self.better(found))

    async def step(self) -> int:
        """Code anew what can be better. Returns how many objects were."""
        survival = self._registry.survival([device for device, each in self._targets().items() if each.is_up])
        now, done = time.monotonic(), 0
        objects = self._registry.objects()
        self._failed = {each.id: self._failed[each.id] for each in objects if each.id in self._failed}
        for found in sorted(objects, key=lambda each: survival.get(each.id, (0, 0))[1]):  # the weakest first
            if now < self._failed.get(found.id, (0.0, 0.0))[0] or survival.get(found.id, (0, -1))[1] < 0:
                continue
            targets = self.better(found)
            if targets:
                done += await self._try(found, targets)
        return done

    async def _try(self, found: Object, targets: Mapping[str, Target]) -> bool:
        self.busy_with = found.id
        try:
            async with aclosing(self._braked(found)) as source:
                await self._store(source, found, targets)
        except CoreletError as error:  # it is tried again later; the others must not wait for this one
            pause = min(PAUSE_S_MAX, 2 * self._failed.get(found.id, (0.0, PAUSE_S / 2))[1])
            self._failed[found.id] = (time.monotonic() + pause, pause)
            LOG.warning("%s could not be coded anew: %s", found.id[:8], error.text)
            return False
        finally:
            self.busy_with = ""
        LOG.info("%s was coded anew for %d devices", found.id[:8], len(targets))
        return True

    async def _braked(self, found: Object) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._read(found)) as pieces:
            async for piece in pieces:
                await self._brake.pass_by(len(piece))
                yield piece
