"""What the benches measure: a full core with a device of each kind, as real processes on loopback.

Where root allows it, in a network namespace of its own (`alone`): every mDNS packet that somebody else sends on
loopback wakes every device, and would be counted as theirs.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.bench.report import Report
from tools.demonstration import CODE, Demonstration

ROOT = Path(__file__).resolve().parents[2]
MARK = "CORELET_BENCH_ALONE"
INSIDE = 'ip link set lo up && ip link set lo multicast on && exec "$@"'
KINDS = {"attic": "CPython", "router": "MicroPython"}


def _is_possible() -> bool:
    unshare = shutil.which("unshare")
    if os.geteuid() or not unshare or not shutil.which("ip"):
        return False
    return subprocess.run([unshare, "-n", "true"], capture_output=True, check=False).returncode == 0


def alone(module: str) -> bool:
    """Start this bench again in a network of its own; False where that is not possible."""
    is_alone = bool(os.environ.get(MARK))
    if not is_alone and _is_possible():
        words = ["unshare", "-n", "sh", "-c", INSIDE, "sh", sys.executable, "-m", module, *sys.argv[1:]]
        os.execvpe("unshare", words, dict(os.environ, **{MARK: "yes"}))
    return is_alone


class Bed(Demonstration):
    """Processes, paired devices, and the commands that a person would type."""

    def __init__(self, report: Report, broker: str = "auto") -> None:
        micropython = shutil.which("micropython", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        options = argparse.Namespace(root=str(ROOT), micropython=micropython or "", broker=broker)
        super().__init__(options, Console(quiet=True))
        self.report = report
        if not micropython:
            report.notes.append("No MicroPython was found: its figures are missing, and 'router' ran on CPython.")
        self.kinds = dict(KINDS) if micropython else {"attic": "CPython"}

    def __enter__(self) -> "Bed":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self) -> None:
        self.report.say("starting a full core and three devices ...")
        self.start_core()
        self.start_devices()
        self.discover()

    def pair_all(self) -> None:
        for name in self.devices:
            self.report.say(f"pairing {name} ...")
            self.pair(name)

    def restart(self) -> None:
        """As after a reboot of the board: what only pairing needs is not loaded again."""
        self.report.say("restarting the devices ...")
        for process in self.devices.values():
            process.stop(signal.SIGINT)
            process.start(self.root)
        self.wait("the return of the devices", 60, self.is_all_up)

    def is_all_up(self) -> bool:
        rows = self.say_core("devices")["devices"]
        return len(rows) == len(self.devices) and all(row["up"] for row in rows)

    def say_device(self, name: str, *words: str) -> None:
        """One command of the device's own program."""
        command = self.devices[name].command
        program = command[: command.index("up")]
        state = ["--state", str(self.folder / name)]
        environment = dict(os.environ, MICROPYPATH=f"{self.root}:.frozen")
        subprocess.run([*program, *words, *state], check=True, capture_output=True, cwd=self.root, env=environment)

    def fresh_code(self, name: str, before: int) -> str:
        """The setup code on the screen after the first `before` codes."""

        def newest() -> str:
            codes = CODE.findall(self.devices[name].output())
            return str(codes[-1]) if len(codes) > before else ""

        return str(self.wait(f"a fresh setup code of {name}", 20, newest))

    def codes(self, name: str) -> int:
        return len(CODE.findall(self.devices[name].output()))


def settle(report: Report, seconds: int) -> None:
    """So that the start of what was just started is not measured."""
    report.say(f"letting it settle for {seconds} s ...")
    time.sleep(seconds)
