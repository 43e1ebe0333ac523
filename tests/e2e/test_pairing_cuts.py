"""A kill in the middle of pairing leaves neither half a pairing nor a lost file: real processes, SIGKILL."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.network import Network
from tests.programs import until

WITHIN_S = 40


class Lab:
    """One core and one device that keep their ports when they are started again."""

    def __init__(self, network: Network) -> None:
        self.folder = network.folder
        self.core = network.core("core")
        self.device = network.device("cpython")
        self.device.start()
        status = self.device.status()
        self.ports = ["--port", str(status["control_port"]), "--data-port", str(status["data_port"])]
        self.address = self.device.address
        self.code = self.device.code
        self.record = self.device.state / "cores" / self.core.id / "core.cbor"

    def kill(self, *programs: object) -> None:
        for program in programs:
            (self.core.process if program is self.core else self.device.process).stop(signal.SIGKILL)

    def start_again(self, *programs: object) -> None:
        for program in programs:
            if program is self.core:
                self.core.start()
            else:
                self.device.start(*self.ports, ready="address")

    def pair(self) -> "subprocess.Popen[str]":
        return self.core.begin("pair", self.code, "--address", self.address)

    def pair_again(self) -> "subprocess.Popen[str]":
        self.code = self.device.say("pair-window")["code"]
        return self.pair()

    def put(self) -> None:
        (self.folder / "file").write_bytes(os.urandom(100_000))
        self.core.say("put", str(self.folder / "file"))

    def can_get(self) -> bool:
        back = self.folder / "back"
        back.unlink(missing_ok=True)
        self.core.run("get", "file", "-o", str(back))
        return back.exists() and back.read_bytes() == (self.folder / "file").read_bytes()

    def is_paired(self) -> bool:
        listed = self.core.ask("/devices")["devices"]
        unfinished = [text for text in self.core.ask("/status")["warnings"] if "was told" in text]
        return [(each["state"], each["up"]) for each in listed] == [("paired", True)] and not unfinished


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    needs.program("mosquitto")
    with Network(tmp_path) as network:
        yield Lab(network)


def said(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the pairing ended before {words!r}")


@pytest.mark.parametrize("victim", ["core", "device"])
def test_killed_when_the_device_has_committed(lab: Lab, victim: str) -> None:
    process = lab.pair()
    until("the commit", lab.record.exists, WITHIN_S)
    killed = lab.core if victim == "core" else lab.device
    lab.kill(killed)
    process.communicate(timeout=80)
    lab.start_again(killed)
    until("a whole pairing", lab.is_paired, WITHIN_S)
    lab.put()


@pytest.mark.parametrize("words", ["identity issued", "time set"])
def test_power_cut_of_both_while_pairing_again(lab: Lab, words: str) -> None:
    assert lab.pair().wait(60) == 0
    lab.put()
    for pause_s in (0.0, 0.3):
        process = lab.pair_again()
        said(process, words)
        time.sleep(pause_s)
        lab.kill(lab.core, lab.device)
        process.communicate(timeout=80)
        lab.start_again(lab.core, lab.device)
        until("a whole pairing", lab.is_paired, WITHIN_S)
        until("the return of what it keeps", lab.can_get, WITHIN_S)
