"""How safe each object is now, why not more, and what is being done about it: numbers, and sentences for people.

It reads and explains; repair.py and recoding.py act.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tools.gateway.command.screen import age
from tools.gateway.objects.absences import Absences
from tools.gateway.objects.coding import profile_for
from tools.gateway.objects.recoding import Recoding
from tools.gateway.objects.shards import Target
from tools.gateway.registry.margins import Margin
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Object

NAMES_MAX = 3  # in a sentence
NOTHING = Margin(0, 0, 0, 0, 0)


class Health(NamedTuple):
    """Of one object. `survives`: device losses that its worst stripe survives now, below 0 = not readable; `of`: that
    its coding allows; `repairing`: shards that are to be made again; `reasons`: why not more, a sentence each."""

    object: Object
    survives: int
    of: int
    margin: Margin
    repairing: int
    reasons: list[str]


class Doctor:
    """`summary`: of the last `look()`, for status; {} before the first."""

    def __init__(
        self,
        registry: Registry,
        targets: Callable[[], Mapping[str, Target]],
        absences: Absences,
        recoding: Recoding,
    ) -> None:
        self._registry = registry
        self._targets = targets
        self._absences = absences
        self._recoding = recoding
        self.summary: dict[str, Any] = {}

    async def look(self) -> list[Health]:
        """Every object, the weakest first."""
        targets = self._targets()
        up = [device for device, target in targets.items() if target.is_up]
        margins, holders = await asyncio.to_thread(self._ask, up)
        found = [
            self._about(each, margins.get(each.id, NOTHING), holders.get(each.id, []), targets)
            for each in self._registry.objects()
        ]
        found.sort(key=lambda each: (each.survives, each.object.created, each.object.id))
        self.summary = {
            "objects": len(found),
            "survive": found[0].survives if found else None,
            "unreadable": sum(each.survives < 0 for each in found),
            "below": sum(each.survives < each.of for each in found),
            "repairing": sum(each.repairing for each in found),
            "recoding": self._recoding.busy_with,
        }
        return found

    def _ask(self, up: list[str]) -> tuple[dict[str, Margin], dict[str, list[str]]]:
        return self._registry.margins(up), self._registry.absent_holders(up)

    def _about(self, found: Object, margin: Margin, away: list[str], targets: Mapping[str, Target]) -> Health:
        up = sum(target.is_host for target in targets.values())
        reasons = []
        if margin.away:
            absent = sorted(away, key=self._absences.seconds, reverse=True)
            names = [targets[each].name if each in targets else each[:8] for each in absent]
            since = f" (since {age(self._absences.seconds(absent[0]))})" if absent else ""
            are = "is" if len(names) == 1 else "are"
            reasons.append(f"{_listed(names)} {are} away{since}")
        if margin.survives < 0:
            reasons.append("it cannot be read until one of these is back" if away else "too few of its shards are left")
        if margin.missing:
            shards = "1 shard is" if margin.missing == 1 else f"{margin.missing} shards are"
            where = "to be made again" if up >= found.n else f"missing, and all need {_devices(found.n)} with room"
            reasons.append(f"{shards} {where}")
        reasons += self._coding(found, margin, up)
        return Health(found, margin.survives, found.n - found.k, margin, margin.missing, reasons)

    def _coding(self, found: Object, margin: Margin, up: int) -> list[str]:
        """Whether another coding would do better."""
        if up == 1 and found.n == found.k:
            return ["only one device is up; it is coded anew, to survive a loss, when there is a second one"]
        if found.id == self._recoding.busy_with:
            return ["it is being coded anew for more safety"]
        best = profile_for(up) if up else None
        if best is None or best.n - best.k <= min(found.n - found.k, max(margin.survives, 0)):
            return []
        if self._recoding.better(found):
            return [f"it will be coded anew for the {up} devices that are up"]
        if best.n - best.k > found.n - found.k:
            return [f"the devices lack room to code it anew for all {up} of them"]
        return []


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


def _listed(names: list[str]) -> str:
    if len(names) > NAMES_MAX:
        names = [*names[: NAMES_MAX - 1], f"{len(names) - NAMES_MAX + 1} others"]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
