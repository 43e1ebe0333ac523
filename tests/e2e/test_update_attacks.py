"""The attacks of the TUF and Uptane lists on devices that are processes of both interpreters: one test each. None gets
what was not signed, nor what is older, to run; each ends with a stable word, and the device goes on."""

import time
from pathlib import Path

import cbor2
import pytest

from ota import cbor
from tests.e2e import update_device
from tests.e2e.evil_source import EvilSource
from tests.e2e.update_device import BIG, HEALTHY, Device, offered, stays
from tests.programs import interpreter
from tests.releases import CORE
from tests.unit.ota.making import KEYS

template, device, evil = update_device.template, update_device.device, update_device.evil

DAY_S = 86400
PATIENCE_S = 20  # the deadlines of these devices are 1.5 s a request


def test_freeze(device: Device) -> None:
    """Somebody keeps new beacons away and shows the old one: it gets no younger, and installs nothing."""
    place = str(device.source.folder)
    offered(device)
    start, then, beacon = cbor2.loads((device.state / "beacon").read_bytes())
    (device.state / "beacon").write_bytes(cbor2.dumps([start, then - DAY_S - 1, beacon], canonical=True))
    assert device.run("refresh", place)["result"] == "same"
    assert device.run("status")["beacon"]["is_stale"] is True
    assert device.refused("install", place) == "beacon_stale"
    stays(device)


def test_rollback(device: Device) -> None:
    """A good, older release, which even the core allows."""
    place = str(device.source.folder)
    offered(device, 6)
    assert device.refused("install", place) == "rollback"
    eight = offered(device, floor=8)
    device.run("install", place)
    device.boot()
    seven = device.run("confirm", *HEALTHY)["slots"]["a"]["digest"]
    device.source.allow(seven, eight)
    device.run("refresh", place)
    assert device.refused("rollback", seven) == "security_floor"
    assert device.refused("install", place, "--release", f"{place}/releases/{seven}") == "security_floor"
    assert device.boot()["sequence"] == 8


def test_fast_forward(device: Device, evil: EvilSource) -> None:
    """A number so high that no good release could follow it."""
    far = device.source.release((1 << 64) - 1, BIG)
    device.source.allow(far, newest=19)
    device.run("refresh", evil.place)
    assert device.refused("install", evil.place) == "fast_forward"
    assert evil.sent == 0
    stays(device)
    offered(device)
    assert device.run("install", evil.place)["state"] == "trial"


def test_mix_and_match(device: Device, evil: EvilSource) -> None:
    """The envelope of one release, the pack of another; then only its body of another; then its envelope."""
    eight = offered(device)
    nine = device.source.release(9, {"agent/__main__.py": b"%" * 70000})
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
    releases = device.source.folder / "releases"
    envelope = (releases / eight).read_bytes()
    (releases / eight).write_bytes((releases / nine).read_bytes())
    assert device.refused("install", evil.place) == "digest", "another release than the beacon names"
    (releases / eight).write_bytes(envelope)
    assert device.run("install", evil.place)["state"] == "trial"
    assert evil.sent - sent <= 40000, "the first segment was right already"


def impatient(device: Device, evil: EvilSource, mode: str, reason: str) -> None:
    offered(device)
    evil.mode, began = mode, time.monotonic()
    assert device.refused("install", evil.place) == reason
    assert time.monotonic() - began < PATIENCE_S
    stays(device)
    evil.mode = "good"
    assert device.run("install", evil.place)["state"] == "trial"


def test_endless_data(device: Device, evil: EvilSource) -> None:
    """More than was asked for: not taken, on no disk."""
    impatient(device, evil, "endless", "source")


def test_slow_retrieval(device: Device, evil: EvilSource) -> None:
    """A byte now and then: no longer than the deadline of the request."""
    impatient(device, evil, "slow", "slow")


def test_wrong_board(device: Device, evil: EvilSource) -> None:
    """Well signed and allowed, but for another class, or of another vendor."""
    for sequence, name in ((8, "class_id"), (9, "vendor")):
        offered(device, sequence, **{name: b"x" * 16})
        assert device.refused("install", evil.place) == "class"
    assert evil.sent == 0
    stays(device)


# The clock says what the first word wants; who waits and measures is left alone.
CLOCK = """
import sys
import time as real
YEAR = sys.argv.pop(1)
class Clock:
    def __getattr__(self, name):
        return getattr(real, name)
    def time(self):
        return {"2000": 946684800, "2100": 4102444800}[YEAR]
    def time_ns(self):
        return self.time() * 1000000000
sys.modules["time"] = Clock()
from ota.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("years", [("2000", "2100"), ("2100", "2000")])
def test_wrong_clock(device: Device, tmp_path: Path, years: tuple[str, str]) -> None:
    """Somebody sets the clock, a hundred years to and fro: only core time counts, and the seconds since the start."""
    (tmp_path / "clock.py").write_text(CLOCK)
    runtime = "cpython" if device.is_here else "micropython"
    place, device.is_here = str(device.source.folder), False
    device.source.allow(device.source.release(8, BIG))
    for year, verb in zip((*years, *years), ("refresh", "status", "install", "boot"), strict=True):
        device._command = [*interpreter(runtime), str(tmp_path / "clock.py"), year]
        found = device.run(verb, *((place,) if verb in ("refresh", "install") else ()))
        assert found["beacon"]["is_stale"] is False and found["beacon"]["age_s"] < PATIENCE_S, verb
    assert (found["run"], found["sequence"]) == ("b", 8)


def test_stolen_core_key(device: Device, evil: EvilSource) -> None:
    """Who has it can delay, or choose among signed releases; what the thief made is refused."""
    for sequence, signers in ((8, ()), (9, (CORE,)), (10, (66, 77))):
        offered(device, sequence, signers=signers)
        assert device.refused("install", evil.place) in ("signature", "threshold")
    device.source.root(2, signers=(CORE, 66))
    assert device.refused("refresh", evil.place) == "signature", "nor is it a root's key"
    assert evil.sent == 0
    stays(device)


def test_one_release_key_too_few(device: Device, evil: EvilSource) -> None:
    """t - 1 keys were stolen."""
    offered(device, signers=KEYS[:1])
    assert device.refused("install", evil.place) == "threshold"
    assert evil.sent == 0
    stays(device)


def test_duplicate_keys(device: Device, evil: EvilSource) -> None:
    """One stolen key that signs twice is one key; a root that lists one twice is none."""
    offered(device, signers=(KEYS[0], KEYS[0]))
    assert device.refused("install", evil.place) == "signer_twice"
    root = cbor.decode(cbor.decode((device.source.folder / "roots" / "1").read_bytes(), (), 1)[0], (), 4)
    root[1], root[2] = 2, [*root[2][:2], root[2][0], *root[2][3:]]
    device.source.write_root(root, KEYS[:2])
    assert device.refused("refresh", evil.place) == "document"
    assert evil.sent == 0
    stays(device)


def test_replayed_beacon(device: Device) -> None:
    """An old one, to take back what the core called off."""
    place, folder = str(device.source.folder), device.source.folder
    eight = offered(device)
    old = (folder / "beacon").read_bytes()
    device.source.allow(aborted=(eight,))
    device.run("refresh", place)
    assert device.refused("install", place) == "nothing"
    (folder / "beacon").write_bytes(old)
    assert device.refused("refresh", place) == "beacon_time"
    assert device.refused("install", place) == "nothing"
    stays(device)
