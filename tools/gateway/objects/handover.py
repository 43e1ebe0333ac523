"""A device whose owner wants it to leave goes when others have what it keeps: watched, told how far it is, let go.

The device says in its birth that it leaves; that is all there is to remember, so a restart of either side changes
nothing. Repair moves what other devices can take, recoding codes anew what too few are left for; here is judged when
that has ended. Then the device is let go ("leave"), or, where files would be lost, told so: it stays, and its owner
decides. What it hears of files is their number and ids, never their names.

Devices that are away could take it, too: they have ARRIVAL_S to come, as after a start of the core, which sees the
one that leaves before the others.

Bounds: PATIENCE_S without progress; IDS_MAX ids; one question to the registry for each such device in LOOK_S.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.errors import CoreletError
from tools.gateway.objects.recoding import Recoding
from tools.gateway.objects.repair import Repair, able_by_slot
from tools.gateway.objects.shards import Target
from tools.gateway.registry.margins import Remains
from tools.gateway.registry.registry import Registry

LOOK_S = 2.0
PATIENCE_S = 120.0
ARRIVAL_S = 30.0
AGAIN_S = 10.0  # after a verdict: a device that still leaves then has been told so anew
COMMAND_S = 5.0
IDS_MAX = 5
ID_CHARS = 8

LOG = logging.getLogger("corelet.handover")
Command = Callable[[str, str, dict[str, Any], float], Awaitable[dict[str, Any]]]


class _Going:
    """One device: when it was first seen to leave, how many shards it had at the last progress, and when that was."""

    def __init__(self, now: float) -> None:
        self.began, self.shards, self.since = now, -1, now
        self.ended = -AGAIN_S


class Handover:
    """Run `run()` as a task for as long as the core lives."""

    def __init__(
        self,
        registry: Registry,
        targets: Callable[[], Mapping[str, Target]],
        work: tuple[Repair, Recoding],
        command: Command,
    ) -> None:
        self._registry = registry
        self._targets = targets
        self._repair, self._recoding = work
        self._command = command
        self._going: dict[str, _Going] = {}
        self._words: dict[str, str] = {}

    def warnings(self) -> list[str]:
        """For the operator, a sentence for each device that leaves."""
        return list(self._words.values())

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Everybody that leaves and is there."""
        leaving = [target for target in self._targets().values() if target.is_leaving and target.is_up]
        known = {target.device for target in leaving}
        self._going = {device: each for device, each in self._going.items() if device in known}
        self._words = {device: text for device, text in self._words.items() if device in known}
        await asyncio.gather(*[self._attend(target) for target in leaving])

    async def _attend(self, target: Target) -> None:
        now = time.monotonic()
        if target.device not in self._going:
            LOG.info("%s wants to leave: what it keeps moves to others", target.name)
            self._going[target.device] = _Going(now)
            self._repair.wake()
        going = self._going[target.device]
        if now - going.ended < AGAIN_S:
            return
        leavers = [device for device, each in self._targets().items() if each.is_leaving]
        found = await asyncio.to_thread(self._registry.remains, target.device, leavers)
        if found.shards != going.shards or self._recoding.busy_with in found.objects:
            going.shards, going.since = found.shards, now
        is_over = found.shards == 0 or now - going.since > PATIENCE_S or not await self._is_busy(going, target, found)
        self._words[target.device] = self._said(target, found, is_over)
        with contextlib.suppress(CoreletError):  # one that does not hear is told again
            if is_over and not found.lost:
                await self._command(target.device, "leave", {}, COMMAND_S)
            else:
                await self._command(target.device, "leaving", _word(found, is_over), COMMAND_S)
            if is_over:
                LOG.warning("%s", self._words[target.device])
                going.ended, going.since = time.monotonic(), time.monotonic() + AGAIN_S

    async def _is_busy(self, going: _Going, target: Target, found: Remains) -> bool:
        """Whether anything that it keeps can still come to another place."""
        others = [each for each in self._targets().values() if not each.is_up and not each.is_leaving]
        if others and time.monotonic() - going.began < ARRIVAL_S:
            return True
        able = able_by_slot(self._targets())
        if await asyncio.to_thread(self._registry.movable, target.device, able, 1, True):
            return True
        objects = [self._registry.object_by_id(each) for each in found.objects]
        return any(each is not None and self._recoding.may_help(each) for each in objects)

    def _said(self, target: Target, found: Remains, is_over: bool) -> str:
        if not is_over:
            return f"{target.name} is leaving: {found.shards} shards that it keeps are still to be moved"
        if not found.lost:
            rest = f"; {found.shards} shards of it had no other place" if found.shards else ""
            return f"{target.name} has handed over what it kept and leaves{rest}"
        objects = [self._registry.object_by_id(each) for each in found.lost[:IDS_MAX]]
        names = ", ".join(each.name for each in objects if each is not None)
        more = f" and {len(found.lost) - IDS_MAX} more" if len(found.lost) > IDS_MAX else ""
        return (
            f"{target.name} wants to leave, and no other device can take what it keeps of {names}{more}: "
            "pair another device, or free some room"
        )


def _word(found: Remains, is_over: bool) -> dict[str, Any]:
    ids = " ".join(each[:ID_CHARS] for each in found.lost[:IDS_MAX])
    return {"left": found.shards, "lost": len(found.lost), "ids": ids, "end": int(is_over)}
