"""Programs as real processes, for all tests and benches: started, waited for, watched from outside, ended.

with Program("fleet", [*interpreter("cpython"), "-m", "tests.tools.fake_fleet"], folder) as fleet:
    fleet.says("PORT")

Not here: a whole network of them (tests/e2e/network.py), what a machine must have (tests/e2e/needs.py).
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e import needs
from tools.demonstration import HEAP, Process

ROOT = Path(__file__).parents[1]
RUNTIMES = ("cpython", "micropython")
ENVIRONMENT = dict(os.environ, PYTHONUNBUFFERED="1", MICROPYPATH=f"{ROOT}:.frozen")
WAIT_S = 20.0


def interpreter(runtime: str) -> list[str]:
    """The words before a script; MicroPython with the heap of a whole device."""
    if runtime == "cpython":
        return [sys.executable, "-u"]
    beside = Path(sys.executable).with_name("micropython")
    return [str(beside) if beside.exists() else needs.program("micropython"), "-X", f"heapsize={HEAP}"]


def until(what: str, check: Callable[[], Any], seconds: float = WAIT_S) -> Any:
    """What `check` returns soon after it is true. Each look may be a process of its own: long waits look less often."""
    began = time.monotonic()
    while not (found := check()):
        waited = time.monotonic() - began
        assert waited < seconds, f"{what} did not happen in {seconds} s"
        time.sleep(min(0.5, 0.05 + waited / 10))
    return found


def switches(pid: int, kinds: tuple[str, ...] = ("voluntary_ctxt_switches",)) -> int:
    """Context switches of all threads so far; each voluntary one is a wake-up."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith(tuple(f"{kind}:" for kind in kinds)):
                total += int(line.split()[1])
    return total


def memory_kib(pid: int, what: str = "VmRSS") -> int:
    """VmRSS now, VmHWM at its highest."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1])
    raise AssertionError("the process is gone")


class Program(Process):
    """One program and what it prints, in a file. `text` and `says` are about the latest start."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        super().__init__(name, command, folder, ENVIRONMENT | (environment or {}))
        self._before = 0

    def __enter__(self) -> "Program":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)

    def start(self, cwd: Path = ROOT) -> None:
        self._before = len(self.output())
        super().start(cwd)

    @property
    def text(self) -> str:
        return self.output()[self._before :]

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def says(self, words: str, seconds: float = WAIT_S) -> str:
        """The first whole line with `words`."""

        def found() -> str:
            was_running = self.is_running()
            said = [line for line in self.text.splitlines(keepends=True) if words in line and line.endswith("\n")]
            assert said or was_running, f"{self.name} ended without {words!r}: {self.text}"
            return said[0].rstrip() if said else ""

        try:
            return str(until(f"{self.name}: {words!r}", found, seconds))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def send(self, number: int) -> None:
        """A signal; not waited for."""
        os.kill(self.pid, number)

    def switches(self) -> int:
        """All of them, also those the kernel forced."""
        return switches(self.pid, ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"))

    def rss_kib(self) -> int:
        return memory_kib(self.pid)
