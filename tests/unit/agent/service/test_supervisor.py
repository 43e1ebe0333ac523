"""The supervisor: restarts, back-off, stop."""

import asyncio

from agent.errors import PortError
from agent.port import net
from agent.service import supervisor


class Log:
    def __init__(self):
        self.errors_seen = []

    def error(self, source, text):
        self.errors_seen.append((source, text))


def _run(body):
    """With seconds as milliseconds."""
    real = asyncio.sleep
    waits = []

    async def sleep(seconds):
        if seconds >= 1:
            waits.append(seconds)
        await real(seconds / 1000 if seconds >= 1 else seconds)

    async def main():
        log = Log()
        await body(supervisor.Supervisor(log), log, waits)

    asyncio.sleep = sleep
    try:
        net.run(main())
    finally:
        asyncio.sleep = real


def test_failures_are_logged_and_started_again_with_back_off():
    async def body(keeper, log, waits):
        count = [0]

        async def bad():
            count[0] += 1
            if count[0] == 9:
                return
            if count[0] == 1:
                raise PortError("closed", "It closed.")
            raise ValueError("the secret is 1234")

        keeper.spawn("bad", bad)
        for _ in range(500):
            await asyncio.sleep(0.002)
            if count[0] == 9:
                break
        assert count[0] == 9 and keeper.failed == 8
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60], waits
        assert log.errors_seen[0] == ("bad", "closed: It closed. (starts again in 1 s)")
        text = log.errors_seen[1][1]
        assert text.startswith("unexpected ValueError at ") and "test_supervisor.py:" in text and "1234" not in text

    _run(body)


def test_stop_runs_every_finally():
    async def body(keeper, log, waits):
        seen = []

        async def long():
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("end")

        async def done():
            seen.append("done")

        keeper.spawn("a", long)
        keeper.spawn("b", long)
        keeper.spawn("c", done)
        await asyncio.sleep(0.01)
        assert seen == ["done"]
        await keeper.stop()
        assert seen == ["done", "end", "end"] and log.errors_seen == []

    _run(body)


def test_a_task_may_stop_the_others():
    async def body(keeper, log, waits):
        seen = []

        async def stopper():
            await keeper.stop()
            seen.append("stopped")

        keeper.spawn("stopper", stopper)
        await asyncio.sleep(0.01)
        assert seen == ["stopped"]

    _run(body)


def test_lost_tasks_are_logged():
    async def body(keeper, log, waits):
        async def bad():
            raise PortError("io", "Bad.")

        net.spawn(bad())
        await asyncio.sleep(0.01)
        assert log.errors_seen == [("task", "io: Bad.")]

    _run(body)
