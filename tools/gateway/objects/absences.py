"""How long each device has been away, counted only while the core could see: its own link up and another device there.

No clock is trusted: seconds of the core's own running add up, over restarts too. So neither a core that was switched
off, nor a network that was down, nor a clock that jumps makes the whole fleet look lost. Bound: a row for each device.
"""

import time
from collections.abc import Callable, Mapping

from tools.gateway.objects.shards import Target
from tools.gateway.registry.registry import Registry

WRITE_S = 60.0  # how much of an absence a stop may forget
STEP_S_MAX = 5.0  # between two looks; more, and this machine was asleep


class Absences:
    """`look` is called about once a second."""

    def __init__(self, registry: Registry, now: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._now = now
        self._seconds: dict[str, float] = dict(registry.absences())
        self._looked = self._written = now()

    def look(self, targets: Mapping[str, Target], can_see: bool) -> None:
        """Who is there now. Writes it down when somebody came back, and every WRITE_S."""
        now = self._now()
        step, self._looked = min(STEP_S_MAX, now - self._looked), now
        away = [device for device, target in targets.items() if not target.is_up]
        if not can_see or len(away) == len(targets):
            step = 0
        before = set(self._seconds)
        self._seconds = {device: self._seconds.get(device, 0.0) + step for device in away}
        if before - set(self._seconds) or (now - self._written >= WRITE_S and self._seconds):
            self._written = now
            self._registry.note_absences({device: int(seconds) for device, seconds in self._seconds.items()})

    def gone(self, least_s: float) -> frozenset[str]:
        """Devices that have been away for at least so long."""
        return frozenset(device for device, seconds in self._seconds.items() if seconds >= least_s)

    def seconds(self, device: str) -> int:
        """0 for one that is there."""
        return int(self._seconds.get(device, 0))
