"""Devices as processes of both interpreters, updated from a folder and from a server that attacks them, by the commands
of `-m ota`. One test for each attack of the TUF and Uptane lists: test_update_attacks.py. What signatures alone decide
is in unit/ota."""

import os
import shutil
import time
from pathlib import Path

import cbor2
import pytest

from tests.e2e import update_device
from tests.e2e.evil_source import EvilSource
from tests.e2e.update_device import BIG, HEALTHY, Device, flip, offered, stays
from tests.programs import RUNTIMES
from tests.releases import Source, program
from tests.unit.ota.making import KEYS

template, device, evil = update_device.template, update_device.device, update_device.evil


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
        ("short", "source"), ("liar", "head"), ("whole", "source"),
        ("chunked", "source"), ("silent", "source"), ("garbage", "source"), ("redirect", "source"),
    ],
)  # fmt: skip
def test_an_evil_server(device: Device, evil: EvilSource, mode: str, reason: str) -> None:
    """Truncated, lying: typed, in time, and the device runs on."""
    offered(device)
    evil.mode = mode
    assert device.refused("install", evil.place) == reason
    stays(device)
    evil.mode = "good"
    assert device.run("install", evil.place)["state"] == "trial"


def test_another_core_and_another_device(device: Device) -> None:
    place = str(device.source.folder)
    offered(device)
    assert device.run("refresh", place)["result"] == "same"
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
    """Wrong interpreter, missing package, no room, a place outside of the source, another than the beacon names."""
    for sequence, (changes, reason) in enumerate(
        (
            ({"size": 131072}, "space"), ({"needs": {"another": [[1], [2]]}}, "needs"),
            ({"needs": {"cpython": [[2], [3]], "micropython": [[2], [3]]}}, "needs"), ({"uri": "../8"}, "uri"),
            ({"uri": "/etc/passwd"}, "uri"), ({"uri": "#payload"}, "uri"),
        ),
        8,
    ):  # fmt: skip
        offered(device, sequence, **changes)
        assert device.refused("install", evil.place) == reason, changes
    device.source.allow(newest=99)
    device.run("refresh", evil.place)
    assert device.refused("install", evil.place) == "nothing"
    releases = device.source.folder / "releases"
    old, new = offered(device, 18), offered(device, 19)
    shutil.copy(releases / old, releases / new)
    assert device.refused("install", evil.place) == "digest", "another than the beacon names"
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


def test_words(tmp_path: Path, device: Device) -> None:
    for words in (("install",), ("install", "," * 8), ("status", "--all"), ("confirm", "--healthy-s", "x")):
        assert device.run(*words, status=2)["reason"] == "usage", words
    assert device.refused("refresh", "https://127.0.0.1") == "source"
    device.state = tmp_path / "nothing"
    assert device.refused("status") == "state_missing"
    assert os.path.exists(device.source.folder)
