"""Finds out which devices the core can reach, and asks the others to dial in.

For each device that came up, and every AGAIN_S, a connection to its data listener is tried. One that cannot be reached
is told over its link where to dial; one that can be reached again is told to stop. Bounds: one probe at a time for each
device, HOSTS_MAX addresses of ours.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.errors import CoreletError, PortError
from tools.gateway.links.dialled import Dialled
from tools.gateway.links.reach import Candidate, reachable
from tools.gateway.objects.shards import Target

AGAIN_S = 300.0
RETRY_S = 15.0
LOOK_S = 1.0
ANSWER_S = 10.0
HOSTS_MAX = 8

LOG = logging.getLogger("corelet.reaching")


class Reaching:
    """`hosts()`: our own addresses; `command(device, op, body, timeout_s)`: over the link."""

    def __init__(
        self,
        dialled: Dialled,
        targets: Callable[[], Mapping[str, Target]],
        hosts: Callable[[], list[str]],
        command: Callable[[str, str, dict[str, Any], float], Awaitable[dict[str, Any]]],
    ) -> None:
        self._dialled = dialled
        self._targets = targets
        self._hosts = hosts
        self._command = command
        self._next: dict[str, tuple[tuple[Any, ...], float]] = {}  # device -> (where it was, when to look again)
        self._told: dict[str, bool] = {}  # device -> whether it was told to dial

    async def run(self) -> None:
        """Until cancelled."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await self._dialled.sweep()
                tasks = {device: task for device, task in tasks.items() if not task.done()}
                now, targets = time.monotonic(), self._targets()
                self._next = {device: self._next[device] for device in self._next if device in targets}
                for device, target in targets.items():
                    where = (target.addresses, target.port, target.boot, target.is_up)
                    before, due = self._next.get(device, ((), 0.0))
                    if target.is_up and device not in tasks and (before != where or now >= due):
                        self._next[device] = (where, now + AGAIN_S)
                        tasks[device] = asyncio.create_task(self._look(target, before[2:] != where[2:]))
                    elif not target.is_up:
                        self._next.pop(device, None)
                await asyncio.sleep(LOOK_S)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _look(self, target: Target, is_new: bool) -> None:
        if is_new:  # it has forgotten what it was told before
            self._told.pop(target.device, None)
        try:
            await reachable(Candidate(target.name, list(target.addresses), target.port))
            is_reached = True
        except PortError:
            is_reached = False
        if is_reached != self._told.get(target.device, False):
            return
        body = (
            {"hosts": [], "port": 0} if is_reached else {"hosts": self._hosts()[:HOSTS_MAX], "port": self._dialled.port}
        )
        try:
            await self._command(target.device, "dial", body, ANSWER_S)
        except CoreletError as error:
            LOG.warning("%s cannot be reached, and does not dial in: %s", target.name, error.text)
            self._next[target.device] = (self._next[target.device][0], time.monotonic() + RETRY_S)
            return
        self._told[target.device] = not is_reached
        LOG.info("%s %s", target.name, "can be reached" if is_reached else "cannot be reached: it is asked to dial in")
