"""Devices as processes of both interpreters, updated from a folder and from a server that attacks them: one test for
each attack of the TUF and Uptane lists, by the commands of `-m ota`. What signatures alone decide is in unit/ota."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import cbor2
import pytest

from ota import client, source
from ota.report import write_json
from tests.e2e.evil_source import EvilSource
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES, interpreter
from tests.releases import INIT, Source, program
from tests.unit.ota.making import KEYS

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


def test_updates_one_after_the_other(device: Device, evil: EvilSource) -> None:
    device.is_here = False
    for sequence, slot in ((8, "b"), (9, "a"), (10, "b")):
        digest = device.source.release(sequence, program(f"number {sequence}") | BIG)
        device.source.allow(digest)
        found = device.update(evil.place)
        assert found["active"] == slot and found["slots"][slot] == {"digest": digest, "sequence": sequence}
    assert device.run("install", evil.place)["result"] == "current"
    assert max(evil.sizes) <= 32768


def test_a_release_that_fails(device: Device) -> None:
    place = str(device.source.folder)
    offered(device)
    device.run("install", place)
    for tries in (2, 1, 0):
        found = device.boot()
        assert (found["run"], found["tries"], found["why"]) == ("b", tries, "trial")
    found = device.boot()
    assert (found["run"], found["why"], found["bad"]) == ("a", "trial_failed", 8)
    assert device.refused("install", place) == "failed_before"
    device.source.allow(device.source.release(9, BIG))
    assert device.update()["active"] == "b"


def test_back_to_the_release_before_without_a_download(device: Device) -> None:
    seven = device.run("status")["slots"]["a"]["digest"]
    eight = offered(device)
    device.run("install", str(device.source.folder))
    assert device.refused("rollback", seven) == "not_here", "it runs"
    device.boot()
    device.run("confirm", *HEALTHY)
    assert device.refused("rollback", seven) == "not_allowed"
    device.source.allow(seven, eight)
    device.run("refresh", str(device.source.folder))
    shutil.rmtree(device.source.folder / "packs")
    assert device.run("rollback", seven)["state"] == "trial"
    assert device.boot()["sequence"] == 7
    assert device.run("confirm", *HEALTHY)["active"] == "a"


def test_no_way_below_the_floor(device: Device) -> None:
    seven = device.run("status")["slots"]["a"]["digest"]
    eight = offered(device, floor=8)
    device.run("install", str(device.source.folder))
    device.boot()
    assert device.run("confirm", *HEALTHY)["floor"] == 8
    device.source.allow(seven, eight)
    device.run("refresh", str(device.source.folder))
    assert device.refused("rollback", seven) == "security_floor"
    flip(device.state / "b", 40000)
    assert device.run("boot", status=1)["run"] == "none", "rather nothing than what is known to be unsafe"


@pytest.mark.parametrize(
    "mode, reason",
    [
        ("endless", "source"), ("slow", "slow"), ("short", "source"), ("liar", "head"), ("whole", "source"),
        ("chunked", "source"), ("silent", "source"), ("garbage", "source"), ("redirect", "source"),
    ],
)  # fmt: skip
def test_an_evil_server(device: Device, evil: EvilSource, mode: str, reason: str) -> None:
    """Endless data, slow retrieval, truncated, lying: typed, in time, and the device runs on."""
    offered(device)
    evil.mode = mode
    assert device.refused("install", evil.place) == reason
    stays(device)
    evil.mode = "good"
    assert device.run("install", evil.place)["state"] == "trial"


def test_mix_and_match(device: Device, evil: EvilSource) -> None:
    """The envelope of one release, the pack of another; then only its body of another."""
    offered(device)
    device.source.release(9, {"agent/__main__.py": b"%" * 70000})
    evil.mode, evil.other = "other", "9"
    assert device.refused("install", evil.place) == "head"
    packs = device.source.folder / "packs"
    right, wrong = (packs / "8").read_bytes(), (packs / "9").read_bytes()
    (packs / "8").write_bytes(right[:40000] + wrong[40000:])
    evil.mode = "good"
    assert device.refused("install", evil.place) == "segment"
    stays(device)
    sent = evil.sent
    (packs / "8").write_bytes(right)
    assert device.run("install", evil.place)["state"] == "trial"
    assert evil.sent - sent <= 40000, "the first segment was right already"


def test_replay_freeze_and_another_core(device: Device) -> None:
    place, folder = str(device.source.folder), device.source.folder
    old = (folder / "beacon").read_bytes()
    offered(device)
    assert device.run("refresh", place)["result"] == "same"
    (folder / "beacon").write_bytes(old)
    assert device.refused("refresh", place) == "beacon_time"
    device.source.write_beacon({1: 9999, 2: 99, 3: [], 4: [], 5: None}, 66)
    assert device.refused("refresh", place) == "signature"
    device.source.allow(device="another")
    assert device.refused("refresh", place) == "beacon_device"
    assert device.run("install", place)["state"] == "trial", "what was allowed last still is"


def test_a_beacon_that_is_too_old(tmp_path: Path) -> None:
    releases = Source(tmp_path / "source", beacon_age_max_s=0)
    releases.allow(releases.release(7, BIG))
    device = Device("cpython", tmp_path, releases)
    device.run("refresh", str(releases.folder))
    time.sleep(1.1)
    assert device.run("status")["beacon"]["is_stale"] is True
    assert device.refused("install", str(releases.folder)) == "beacon_stale"


def test_after_a_restart_nobody_knows_how_old_a_beacon_is(device: Device) -> None:
    offered(device)
    document = cbor2.loads((device.state / "beacon").read_bytes())
    document[0] = "another start"
    (device.state / "beacon").write_bytes(cbor2.dumps(document))
    assert device.run("status")["beacon"]["is_stale"] is True
    assert device.refused("install", str(device.source.folder)) == "beacon_stale"


def test_what_is_refused_before_a_byte_is_fetched(device: Device, evil: EvilSource) -> None:
    """Wrong board, wrong interpreter, missing package, no room, too few signatures, too old, called off."""
    for sequence, (changes, reason) in enumerate(
        (
            ({"class_id": b"x" * 16}, "class"), ({"vendor": b"x" * 16}, "class"), ({"size": 131072}, "space"),
            ({"needs": {"another": [[1], [2]]}}, "needs"), ({"signers": KEYS[:1]}, "threshold"),
            ({"needs": {"cpython": [[2], [3]], "micropython": [[2], [3]]}}, "needs"), ({"uri": "../8"}, "uri"),
            ({"uri": "/etc/passwd"}, "uri"), ({"uri": "#payload"}, "uri"),
        ),
        8,
    ):  # fmt: skip
        offered(device, sequence, **changes)
        assert device.refused("install", evil.place) == reason, changes
    offered(device, 6)
    assert device.refused("install", evil.place) == "rollback"
    device.source.allow(newest=99)
    device.run("refresh", evil.place)
    assert device.refused("install", evil.place) == "nothing"
    releases = device.source.folder / "releases"
    old, new = offered(device, 18), offered(device, 19)
    shutil.copy(releases / old, releases / new)
    assert device.refused("install", evil.place) == "digest", "another than the beacon names"
    twenty = device.source.release(20, BIG)
    device.source.allow(twenty, newest=19)
    device.run("refresh", evil.place)
    assert device.refused("install", evil.place) == "fast_forward"
    assert evil.sent == 0
    stays(device)


def test_the_core_calls_it_off(device: Device) -> None:
    place = str(device.source.folder)
    digest = offered(device)
    device.run("install", place)
    device.source.allow(aborted=(digest,))
    found = device.run("refresh", place)
    assert (found["result"], found["state"]) == ("called_off", "idle")
    stays(device)
    device.source.allow(digest, aborted=(digest,))
    device.run("refresh", place)
    assert device.refused("install", place) == "nothing"


def test_a_newer_release_supersedes_a_trial(device: Device) -> None:
    place = str(device.source.folder)
    offered(device)
    device.run("install", place)
    offered(device, 9)
    assert device.run("install", place)["state"] == "trial", "the first was not started"
    assert device.boot()["sequence"] == 9
    offered(device, 10)
    assert device.refused("install", place) == "restart"
    stays(device)
    assert device.update()["slots"]["b"]["sequence"] == 10


def test_keys_rotate(device: Device) -> None:
    place = str(device.source.folder)
    for version in (2, 3):
        device.source.root(version)
    assert device.run("refresh", place)["root"] == 3
    device.source.root(4, signers=KEYS[:1])
    assert device.refused("refresh", place) == "threshold"
    device.source.root(5)
    (device.source.folder / "roots" / "4").write_bytes((device.source.folder / "roots" / "5").read_bytes())
    assert device.refused("refresh", place) == "root_version"
    stays(device)


def test_approval(device: Device) -> None:
    place = str(device.source.folder)
    device.source.root(2, approval=True)
    digest = offered(device)
    assert device.refused("install", place) == "approval_missing"
    device.source.approve(digest, False)
    assert device.refused("install", place) == "not_approved"
    device.source.approve(digest)
    assert device.run("install", place)["state"] == "trial"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_from_a_stick_without_a_core(runtime: str, tmp_path: Path) -> None:
    releases = Source(tmp_path / "source", offline_ok=True)
    digest = releases.release(7, BIG)
    device = Device(runtime, tmp_path, releases)
    place, release = str(releases.folder), str(releases.folder / "releases" / digest)
    assert device.refused("install", place) == "beacon_missing"
    assert device.run("install", place, "--release", release)["state"] == "trial"
    device.boot()
    assert device.refused("confirm") == "health"
    assert device.run("confirm", "--healthy-s", "120")["active"] == "a"


def test_nothing_but_a_healthy_trial_is_confirmed(device: Device) -> None:
    assert device.refused("confirm", *HEALTHY) == "state"
    offered(device)
    device.run("install", str(device.source.folder))
    assert device.refused("confirm", *HEALTHY) == "state", "it did not run yet"
    device.boot()
    assert device.refused("confirm", "--healthy-s", "119", "--core-reached") == "health"
    assert device.refused("confirm", "--healthy-s", "120") == "health"
    device.running = "a"
    assert device.refused("confirm", *HEALTHY) == "state", "the other slot runs"


def test_damage(device: Device) -> None:
    """A bit of the release on trial, of the confirmed one, of both files of the journal: what is whole runs."""
    offered(device)
    device.run("install", str(device.source.folder))
    flip(device.state / "b", 40000)
    found = device.boot()
    assert (found["run"], found["why"], found["bad"]) == ("a", "trial_damaged", 0)
    assert device.run("install", str(device.source.folder))["state"] == "trial", "not the release's fault"
    device.boot()
    device.run("confirm", *HEALTHY)
    (device.state / "journal").write_bytes(bytes(8192))
    found = device.boot()
    assert (found["run"], found["why"], found["active"]) == ("b", "journal_lost", "b")
    for name in ("journal", "floor"):
        (device.state / name).write_bytes(bytes(8192))
    assert device.refused("install", str(device.source.folder)) in ("restart", "current")
    found = device.boot()
    assert (found["run"], found["why"], found["active"]) == ("b", "journal_lost", "b")
    flip(device.state / "b", 40000)
    found = device.boot()
    assert (found["run"], found["why"], found["active"]) == ("a", "slot_damaged", "a")
    flip(device.state / "a", 37000)
    assert device.run("boot", status=1)["run"] == "none"
    assert device.run("boot", "--package", "5")["run"] == "package"


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def test_words(tmp_path: Path, device: Device) -> None:
    for words in (("refresh",), ("install", "a", "b"), ("status", "--all"), ("confirm", "--healthy-s", "x")):
        assert device.run(*words, status=2)["reason"] == "usage", words
    assert device.refused("refresh", "https://127.0.0.1") == "source"
    device.state = tmp_path / "nothing"
    assert device.refused("status") == "state_missing"
    assert os.path.exists(device.source.folder)
