"""Updates by delta, and from several sources of which some are slow, lie or have no end: devices as processes of both
interpreters."""

import hashlib
import shutil
import time
from pathlib import Path

import pytest

from tests.e2e import update_device
from tests.e2e.evil_source import EvilSource
from tests.e2e.update_device import BIG, HEALTHY, Device, flip, offered, stays
from tests.releases import program
from tools.gateway import deltas

template, device, evil = update_device.template, update_device.device, update_device.evil


@pytest.mark.parametrize("mode", ["endless", "slow"])
def test_slow_retrieval_and_endless_data_of_every_file(device: Device, evil: EvilSource, mode: str) -> None:
    """By a reason of its own, within the deadline of each request; and what is right somewhere else is found there."""
    place, reason = str(device.source.folder), "slow" if mode == "slow" else "source"
    for folders, verb in ((["roots"], "refresh"), (["beacon"], "refresh"), (["releases"], "install")):
        offered(device)
        evil.mode, evil.folders = mode, folders
        device.source.root(2)
        device.source.allow(device.source.release(9, BIG))
        started = time.monotonic()
        assert device.refused(verb, evil.place) in (reason, "too_big")
        assert time.monotonic() - started < 10
        stays(device)
        assert device.run(verb, evil.place, place)["result"] in ("fresh", "staged")


@pytest.mark.parametrize("mode", ["endless", "slow", "liar", "short", "silent", "garbage", "other"])
def test_a_source_that_misbehaves_beside_a_good_one(device: Device, evil: EvilSource, mode: str) -> None:
    offered(device)
    device.source.release(9, {"agent/__main__.py": b"%" * 70000})
    evil.mode, evil.other, evil.folders = mode, "9", ["roots", "beacon", "releases", "packs", "deltas"]
    started = time.monotonic()
    assert device.run("install", evil.place, str(device.source.folder))["state"] == "trial"
    assert time.monotonic() - started < 10, "it is asked once, then left"
    found = device.boot()
    assert (found["sequence"], found["why"]) == (8, "trial")


def with_delta(device: Device, base: int = 7, target: int = 8) -> Path:
    """A release that is this one and some lines more, and the delta to it."""
    text = "".join(f"line {number} = {number * 7919}\n" for number in range(4000)).encode()
    if not (device.source.folder / "deltas").exists():
        (device.source.folder / "deltas").mkdir()
    digest = device.source.release(target, program("eight") | {"agent/big.py": text})
    packs = [(device.source.folder / "packs" / str(number)).read_bytes() for number in (base, target)]
    made = deltas.encode(*packs)
    names = [hashlib.sha256(one).hexdigest()[:16] for one in packs]
    path = device.source.folder / "deltas" / f"{names[1]}-{names[0]}"
    path.write_bytes(made)
    device.source.allow(digest)
    device.run("refresh", str(device.source.folder))
    return path


def test_by_delta(device: Device, evil: EvilSource) -> None:
    path = with_delta(device)
    pack = (device.source.folder / "packs" / "8").read_bytes()
    found = device.run("install", evil.place)
    assert (found["state"], found["in_full"], found["by_delta"]) == ("trial", 0, path.stat().st_size)
    assert evil.sent == 0 and found["by_delta"] < len(pack) // 2
    assert device.boot()["sequence"] == 8
    assert device.run("confirm", *HEALTHY)["active"] == "b"
    with_delta(device, 8, 9)
    found = device.run("install", evil.place)
    assert found["in_full"] == 0 and found["by_delta"] < 1000, "from the release that came by delta"


@pytest.mark.parametrize("mode", ["endless", "slow", "short", "liar", "whole", "silent", "garbage", "redirect"])
def test_an_evil_delta(device: Device, evil: EvilSource, mode: str) -> None:
    """It costs time and bytes, never the update."""
    with_delta(device)
    evil.mode, evil.folders = mode, ["deltas"]
    found = device.run("install", evil.place)
    assert found["state"] == "trial" and found["in_full"] == (device.source.folder / "packs" / "8").stat().st_size


def test_a_delta_with_one_wrong_record(device: Device, evil: EvilSource) -> None:
    path = with_delta(device)
    flip(path, path.stat().st_size - 3)
    found = device.run("install", evil.place)
    assert found["state"] == "trial" and 0 < found["in_full"] <= 32768 and found["by_delta"] == path.stat().st_size


def test_a_source_that_holds_back(device: Device, tmp_path: Path) -> None:
    """The newest beacon and root of any count; a wrong root or beacon somewhere else is no reason to stay behind."""
    place, frozen, wrong = str(device.source.folder), tmp_path / "frozen", tmp_path / "wrong"
    shutil.copytree(device.source.folder, frozen)
    device.source.root(2)
    device.source.allow(device.source.release(8, BIG))
    shutil.copytree(device.source.folder, wrong)
    flip(wrong / "roots" / "2", 60)
    flip(wrong / "beacon", 60)
    assert device.refused("refresh", str(wrong)) in ("signature", "digest", "cbor", "structure", "document")
    assert device.run("refresh", str(frozen))["result"] == "same"
    found = device.run("refresh", str(wrong), str(frozen), place)
    assert (found["result"], found["root"]) == ("fresh", 2)
    assert device.refused("install", str(frozen)) == "nothing"
    assert device.run("install", f"{frozen},{place}")["state"] == "trial"
