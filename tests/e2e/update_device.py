"""A device as processes of one interpreter, which is updated by the commands of `-m ota`; for test_ota_install.py and
others, which take its fixtures: both interpreters, each with release 7 confirmed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from ota import client, source
from ota.report import write_json
from tests.e2e.evil_source import EvilSource
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES, interpreter
from tests.releases import INIT, Source, program

# The same commands with deadlines that a test can wait for, and a computer that never has too little memory.
SCRIPT = """
import sys
from ota import source
source.REQUEST_MS_MAX, source.SILENCE_S_MAX = 1500, 1
from ota.__main__ import main
sys.exit(main())
"""
BIG = {"agent/__main__.py": b"#" * 70000}
HEALTHY = ("--healthy-s", "120", "--core-reached")


class Device:
    """`is_here`: whether its commands run in this process."""

    def __init__(self, runtime: str, folder: Path, releases: Source) -> None:
        self.state, self.source, self.running = folder / "state", releases, ""
        self.is_here = runtime == "cpython"
        self._command = [*interpreter(runtime), str(folder / "impatient.py")]
        (folder / "impatient.py").write_text(SCRIPT)
        root, core = releases.folder / "roots" / "1", releases.folder / "core.key"
        assert self.run("init", "--root", str(root), "--core", str(core), *INIT)["result"] == "made"

    def run(self, verb: str, *words: str, status: int = 0) -> Any:
        """The JSON; as the release that `boot` chose."""
        words = (verb, str(self.state), *words)
        text, found = self._here(words) if self.is_here else self._process(words)
        assert found == status, text
        return json.loads(text)

    def _process(self, words: tuple[str, ...]) -> tuple[str, int]:
        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT), "CORELET_SLOT": self.running}
        command = [*self._command, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert not done.stderr, done.stderr
        return done.stdout, done.returncode

    def _here(self, words: tuple[str, ...]) -> tuple[str, int]:
        """The same in this process, which saves the start of an interpreter for each command."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CORELET_SLOT", self.running)
            patch.setattr(source, "REQUEST_MS_MAX", 1500)
            patch.setattr(source, "SILENCE_S_MAX", 1)
            found, status = client.run(list(words))
        pieces: list[str] = []
        write_json(found, pieces.append)
        return "".join(pieces), status

    def refused(self, verb: str, *words: str) -> str:
        return str(self.run(verb, *words, status=1)["reason"])

    def boot(self) -> Any:
        found = self.run("boot")
        self.running = found["run"]
        return found

    def update(self, place: str = "") -> Any:
        """From a fresh beacon to a confirmed release."""
        place = place or str(self.source.folder)
        self.run("refresh", place)
        assert self.run("install", place)["state"] == "trial"
        assert self.boot()["why"] == "trial"
        return self.run("confirm", *HEALTHY)


@pytest.fixture(scope="module", params=RUNTIMES)
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """With release 7 confirmed; made once, since each command is a process."""
    folder = tmp_path_factory.mktemp(request.param)
    releases = Source(folder / "source")
    releases.allow(releases.release(7, program("seven")))
    made = Device(request.param, folder, releases)
    assert made.update()["active"] == "a"
    return made


@pytest.fixture
def device(template: Device, tmp_path: Path) -> Device:
    """A copy of its own of that device and its source."""
    shutil.copytree(template.state.parent, tmp_path / "copy")
    made = copy(template)
    made.state, made.source = tmp_path / "copy" / "state", copy(template.source)
    made.source.folder = tmp_path / "copy" / "source"
    return made


@pytest.fixture
def evil(device: Device) -> Iterator[EvilSource]:
    with EvilSource(device.source.folder) as made:
        yield made


def offered(device: Device, sequence: int = 8, **changes: Any) -> str:
    """A release that the beacon allows, which the device has seen."""
    digest = device.source.release(sequence, changes.pop("files", BIG), **changes)
    device.source.allow(digest)
    device.run("refresh", str(device.source.folder))
    return digest


def stays(device: Device) -> None:
    """Still release 7, and its state has no harm."""
    found = device.boot()
    assert (found["run"], found["sequence"], found["why"]) == ("a", 7, "confirmed")


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))
