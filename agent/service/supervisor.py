"""Keeps the device's long-running tasks alive: each has a name, and one that fails is logged and started again.

The only place that may catch everything: an unforeseen error in one service must not end the others. The text of such
an error may hold anything, also a secret, so only its type and place are logged. (MicroPython's garbage collection
policy is in agent/port.)
"""

import asyncio

from agent.errors import CoreletError
from agent.port import clock, net

if False:
    from typing import Any, Callable, Coroutine

    from agent.service.journal import Journal

DELAY_S_MIN, DELAY_S_MAX = 1, 60
STABLE_MS = 60000  # one that ran so long starts again after DELAY_S_MIN


def describe(error: BaseException) -> str:
    if isinstance(error, CoreletError):
        return f"{error.code}: {error.text}"
    return f"unexpected {type(error).__name__} at {net.place_of(error)}"


class Supervisor:
    """`failed`: how often one of them did, since the start."""

    def __init__(self, journal: "Journal") -> None:
        self.failed = 0
        self._journal = journal
        self._tasks: list[tuple[str, Any]] = []
        net.report_lost(self._lost)

    def spawn(self, name: str, factory: "Callable[[], Coroutine[Any, Any, Any]]") -> None:
        """Run `factory()` now and again whenever it fails; one that returns has done its work."""
        self._tasks = [pair for pair in self._tasks if not pair[1].done()]
        self._tasks.append((name, net.spawn(self._keep(name, factory))))

    async def stop(self) -> None:
        """Cancel all and wait until their `finally` has run, newest first. The caller's own task is left alone."""
        while self._tasks:
            _, task = self._tasks.pop()
            if task is asyncio.current_task() or task.done():
                continue
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                continue

    async def _keep(self, name: str, factory: "Callable[[], Coroutine[Any, Any, Any]]") -> None:
        delay_s = DELAY_S_MIN
        while True:
            started = clock.now_ms()
            try:
                await factory()
                return
            except Exception as error:
                failed = error
            if clock.now_ms() - started >= STABLE_MS:
                delay_s = DELAY_S_MIN
            self._tell(name, failed, delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(DELAY_S_MAX, delay_s * 2)

    def _tell(self, name: str, error: Exception, delay_s: int) -> None:
        self.failed += 1
        try:
            self._journal.error(name, f"{describe(error)} (starts again in {delay_s} s)")
        except MemoryError:  # no room to say so: what was started must start again all the same
            return

    def _lost(self, error: BaseException) -> None:
        self._journal.error("task", describe(error))
