"""Which shards are to be made again, and when: before the margin is gone, not for every short absence.

It looks for stripes with shards that nobody has, and for those whose margin has fallen to its bound because of devices
that are gone (margins.py); the worst come first, and upkeep does the work. A device that comes back before its shard
was made again keeps it; one that comes back later deletes what has moved. What a device keeps that leaves, or is not
trusted any more, moves to others that can take it. It decides; it moves no bytes.

Bounds: JOBS_MAX repairs queued at a time; a look costs at most 1/REST of the core's time.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from tools.gateway.objects.absences import Absences
from tools.gateway.objects.care import Care
from tools.gateway.objects.shards import Target
from tools.gateway.objects.stripes import SLOTS
from tools.gateway.registry.margins import Frail, Presence
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import PROMISED, Placed

JOBS_MAX = 256
REST = 20
AGAIN_S = 600.0  # when nothing seems to have changed


def able_by_slot(targets: Mapping[str, Target]) -> dict[int, list[str]]:
    """Slot size -> devices that would take a shard."""
    return {slot: [device for device, each in targets.items() if each.is_host and each.takes(slot)] for slot in SLOTS}


class Repair:
    """`plan()` often; it looks when something has changed."""

    def __init__(
        self, registry: Registry, targets: Callable[[], Mapping[str, Target]], absences: Absences, care: Care
    ) -> None:
        self._registry = registry
        self._targets = targets
        self._absences = absences
        self._care = care
        self._seen: tuple[frozenset[str], ...] = ()
        self._is_due = True
        self._not_before = self._rested = 0.0
        self._looked = 0.0

    def wake(self) -> None:
        """A device has left: look as soon as the last look is paid for."""
        self._is_due = True
        self._not_before = min(self._not_before, self._rested)

    async def plan(self) -> int:
        """Queue the worst. Returns how many shards."""
        now = time.monotonic()
        if now < self._not_before or self._registry.waiting_for_any() >= JOBS_MAX // 2:
            return 0
        targets = self._targets()
        up = frozenset(device for device, target in targets.items() if target.is_up)
        gone = [self._absences.gone(least_s) & set(targets) for least_s in (self._care.away_s, self._care.urgent_s)]
        emptied = frozenset(device for device, target in targets.items() if target.is_emptied)
        seen = (up, emptied, *gone)
        if seen == self._seen and not self._is_due and now - self._looked < AGAIN_S:
            return 0
        self._seen, self._is_due, self._looked = seen, False, now
        able = able_by_slot(targets)
        room = {slot: len(devices) for slot, devices in able.items()}
        planned = 0
        for is_urgent, absent in ((True, gone[1]), (False, gone[0])):
            waited = frozenset(targets) - up - absent
            presence = Presence(up, absent, waited, room, is_urgent)
            frail = await asyncio.to_thread(self._registry.frail, presence, JOBS_MAX - planned)
            planned += self._queue(frail, presence)
        for device in sorted(emptied):
            moving = await asyncio.to_thread(self._registry.movable, device, able, max(0, JOBS_MAX - planned))
            self._registry.queue_moves(moving)
            planned += len(moving)
        self._is_due = planned > 0  # there may be more
        ended = time.monotonic()
        self._rested = ended + REST * (ended - now)
        # While there is more to do the queue's length is the only bound.
        self._not_before = self._rested if planned else max(ended + self._care.scan_s, self._rested)
        return planned

    def _queue(self, frail: list[Frail], presence: Presence) -> int:
        """All lost shards of a stripe together: whoever reads k for one has what the others need."""
        here = presence.up | presence.waited
        lost: list[Placed] = []
        for each in frail:
            for place in self._registry.shards(each.object, each.stripe, 1).get(each.stripe, []):
                is_gone = place.device in presence.gone and place.state in PROMISED
                if is_gone or (place.state == "missing" and place.device not in here):
                    lost.append(place)
        self._registry.queue_repairs(lost)
        return len(lost)
