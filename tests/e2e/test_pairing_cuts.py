"""A kill in the middle of pairing leaves neither half a pairing nor a lost file: real processes, SIGKILL."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import needs

ROOT = Path(__file__).parents[2]
CORE = [sys.executable, "-m", "tools.gateway.cli"]
DEVICE = [sys.executable, "-m", "agent"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)


def told(*words: str) -> Any:
    done = run(*words, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else None


def eventually(check: Callable[[], Any], what: str, timeout_s: float = 40) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(what)


class Program:
    """One that is killed and started again on the same state folder and ports."""

    def __init__(self, command: list[str], folder: Path, *more: str) -> None:
        self.command, self.folder, self.more = command, folder, more
        self.process: subprocess.Popen[bytes]
        self.status: Any = None
        self.up()

    def up(self) -> None:
        words = [*self.command, "up", "--state", str(self.folder), "--listen", "127.0.0.1", *self.more]
        with self.folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.status = eventually(lambda: self.ask("status"), f"{self.folder.name} did not start")

    def ask(self, *words: str) -> Any:
        return told(*self.command, words[0], "--state", str(self.folder), *words[1:])

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)


class Lab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.core = Program(CORE, folder / "core", "--port", "0")
        port = self.core.status["endpoints"][0][1]
        self.core.more = ("--port", str(port))
        self.device = Program(DEVICE, folder / "device", "--port", "0", "--data-port", "0", "--name", "attic")
        status = self.device.status
        self.address = f"127.0.0.1:{status['control_port']}"
        self.device.more = (
            "--port", str(status["control_port"]), "--data-port", str(status["data_port"]), "--name", "attic",
        )  # fmt: skip
        self.code = status["window"]["code"]
        self.record = folder / "device/cores" / self.core.status["core"] / "core.cbor"

    def pair(self) -> "subprocess.Popen[str]":
        words = [*CORE, "pair", self.code, "--address", self.address, "--state", str(self.core.folder)]
        return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def pair_again(self) -> "subprocess.Popen[str]":
        self.code = self.device.ask("pair-window")["code"]
        return self.pair()

    def put(self) -> None:
        (self.folder / "file").write_bytes(os.urandom(100_000))
        done = run(*CORE, "put", str(self.folder / "file"), "--state", str(self.core.folder))
        assert done.returncode == 0, done.stderr

    def can_get(self) -> bool:
        back = self.folder / "back"
        back.unlink(missing_ok=True)
        run(*CORE, "get", "file", "-o", str(back), "--state", str(self.core.folder))
        return back.exists() and back.read_bytes() == (self.folder / "file").read_bytes()

    def is_paired(self) -> bool:
        listed = (self.core.ask("devices") or {"devices": []})["devices"]
        unfinished = [text for text in (self.core.ask("status") or {})["warnings"] if "was told" in text]
        return [(each["state"], each["up"]) for each in listed] == [("paired", True)] and not unfinished


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    needs.program("mosquitto")
    made = Lab(tmp_path)
    yield made
    for program in (made.device, made.core):
        program.kill()


def until(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the pairing ended before {words!r}")


@pytest.mark.parametrize("victim", ["core", "device"])
def test_killed_when_the_device_has_committed(lab: Lab, victim: str) -> None:
    process = lab.pair()
    eventually(lab.record.exists, "no commit")
    killed = lab.core if victim == "core" else lab.device
    killed.kill()
    said = process.communicate(timeout=80)[0]
    killed.up()
    eventually(lab.is_paired, f"half paired for ever; pair said: {said}")
    lab.put()


@pytest.mark.parametrize("words", ["identity issued", "time set"])
def test_power_cut_of_both_while_pairing_again(lab: Lab, words: str) -> None:
    assert lab.pair().wait(60) == 0
    lab.put()
    for pause_s in (0.0, 0.3):
        process = lab.pair_again()
        until(process, words)
        time.sleep(pause_s)
        lab.core.kill()
        lab.device.kill()
        process.communicate(timeout=80)
        lab.core.up()
        lab.device.up()
        eventually(lab.is_paired, "the device is lost")
        eventually(lab.can_get, "what it keeps is lost")
