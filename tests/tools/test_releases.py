"""Releases that are verified before they are kept, and beacons that devices take."""

import pytest

from agent.errors import CoreletError, PortError
from ota import cbor, cose, trust
from tests.releases import PUBLICS, Source, program
from tests.tools.test_rollout_rules import NEW
from tests.unit.ota.making import KEYS, document
from tools.gateway.ca import CA
from tools.gateway.registry.registry import Registry
from tools.gateway.updates import beacons as beacons_module
from tools.gateway.updates.beacons import Beacons
from tools.gateway.updates.releases import Offer, Releases

DEVICE = "0123456789abcdef"
FILES = program("seven")


@pytest.fixture
def made(tmp_path):
    return Source(tmp_path / "made")


def offer(made, digest, sequence=7, roots=(1,), approvals=()):
    folder = made.folder
    return Offer(
        (folder / "releases" / digest).read_bytes(), (folder / "packs" / str(sequence)).read_bytes(),
        [document({1: bytes.fromhex(digest), 2: True, 3: None, 4: 0}, trust.KIND_APPROVAL, one) for one in approvals],
        [(folder / "roots" / str(one)).read_bytes() for one in roots],
    )  # fmt: skip


def code_of(call, *words):
    with pytest.raises(CoreletError) as found:
        call(*words)
    return found.value.code


# Releases


def test_a_release_is_kept_whole_or_not_at_all(made, tmp_path):
    kept = Releases(tmp_path / "kept")
    seven, eight = made.release(7, FILES), made.release(8, FILES | {"agent/more.py": b"#"})
    good = offer(made, seven)
    assert code_of(kept.add, good._replace(roots=[])) == "root"
    assert code_of(kept.add, good._replace(pack=offer(made, eight, 8).pack)) == "digest"
    assert code_of(kept.add, good._replace(pack=b"")) == "pack"
    assert code_of(kept.add, offer(made, made.release(9, FILES, signers=KEYS[:1]), 9)) == "threshold"
    assert code_of(kept.add, offer(made, made.release(9, FILES, signers=KEYS[2:]), 9)) == "signature"
    assert code_of(kept.add, offer(made, made.release(9, FILES, uri="other/9"), 9)) == "pack"
    assert not kept.kept and not list((tmp_path / "kept" / "packs").iterdir()) and kept.root is None
    assert kept.add(good).sequence == 7
    assert kept.add(good._replace(roots=[], pack=b"")).digest == seven, "again, with nothing new"
    other = made.release(10, FILES | {"agent/x.py": b""}, uri="packs/7")
    assert code_of(kept.add, offer(made, other, 10)) == "name_taken"
    again = Releases(tmp_path / "kept")
    assert list(again.kept) == [seven] and again.root == kept.root and again.judge(again.find("7")) == ""
    assert again.find(seven[:6]).digest == seven and code_of(again.find, "abcd") == "no_such_release"
    again.remove(seven)
    assert not list((tmp_path / "kept" / "packs").iterdir()) and not Releases(tmp_path / "kept").kept


def test_what_an_add_that_was_cut_left_is_swept(made, tmp_path):
    kept = Releases(tmp_path / "kept")
    digest = made.release(7, FILES)
    kept.add(offer(made, digest))
    (tmp_path / "kept" / "releases" / digest).unlink()
    assert Releases(tmp_path / "kept").pack_path("packs/7") is None
    assert not list((tmp_path / "kept" / "packs").iterdir())


def test_a_damaged_file_is_named(made, tmp_path):
    digest = made.release(7, FILES)
    Releases(tmp_path / "kept").add(offer(made, digest))
    for name in (f"releases/{digest}", "roots/1"):
        path = tmp_path / "kept" / name
        data = path.read_bytes()
        path.write_bytes(data[:100])
        with pytest.raises(PortError) as damaged:
            Releases(tmp_path / "kept")
        assert str(path) in damaged.value.text and ("or remove it" in damaged.value.text) == (name != "roots/1")
        path.write_bytes(data)
    assert list(Releases(tmp_path / "kept").kept) == [digest]


def test_roots_follow_one_another(made, tmp_path):
    kept = Releases(tmp_path / "kept")
    digest = made.release(7, FILES)
    made.root(2)
    made.root(3, signers=KEYS[:1])
    assert kept.add(offer(made, digest, roots=(1, 2))).digest == digest and kept.root.version == 2
    assert code_of(kept.add, offer(made, digest, roots=(3,))) == "threshold"
    made.root(4)
    assert code_of(kept.add, offer(made, digest, roots=(4,))) == "root_version"
    made.root(1, signers=KEYS[1:3])
    assert code_of(kept.add, offer(made, digest, roots=(1,))) == "root", "another root of that number"
    assert kept.small("roots", "2") and not kept.small("roots", "3") and not kept.small("roots", "../packs/7")


def test_approvals_are_collected(made, tmp_path):
    roles = {trust.ROOT: [2, 0, 1, 2], trust.RELEASE: [2, 0, 1, 2], trust.APPROVAL: [2, 2, 3]}
    root = document({1: 1, 2: PUBLICS[:4], 3: roles, 4: 60, 5: False}, trust.KIND_ROOT, KEYS[:2])
    (made.folder / "roots" / "1").write_bytes(root)
    kept = Releases(tmp_path / "kept")
    digest = made.release(7, FILES)
    found = kept.add(offer(made, digest))
    assert "approval" in kept.judge(found)
    kept.add(offer(made, digest, approvals=[KEYS[3:]]))
    assert kept.approvals(digest) == 1 and "2 keys" in kept.judge(found)
    assert code_of(kept.add, offer(made, digest, approvals=[KEYS[:1]])) == "signature"
    kept.add(offer(made, digest, approvals=[KEYS[2:3]]))
    assert kept.approvals(digest) == 2 and kept.judge(found) == ""
    assert trust.read_approval(kept.root, kept.small("approvals", digest)).digest.hex() == digest


# Beacons


def test_beacons_are_what_devices_take(tmp_path):
    ca, registry = CA(tmp_path / "ca"), Registry(tmp_path)
    clock = [1_000_000.0]
    beacons = Beacons(ca, registry, lambda: clock[0])
    first = beacons.document(DEVICE, 8, [NEW], ["cd" * 32])
    read = trust.read_beacon(ca.public, first, DEVICE, 0)
    assert read == trust.Beacon(1_000_000, 8, [bytes.fromhex(NEW)], [bytes.fromhex("cd" * 32)], DEVICE)
    assert code_of(trust.read_beacon, ca.public, first, "another", 0) == "beacon_device"
    payload, proof = cbor.decode(first, (), 1)
    assert cose.signers((ca.public,), [proof], payload, trust.KIND_BEACON) == [0]
    assert code_of(cose.signers, (ca.public,), [proof], payload, trust.KIND_APPROVAL) == "signature"
    times = [read.time]
    for now in (1_000_000.5, 1_000_000.9, 500.0, 1_000_000.0):  # asked twice a second, and by a clock that was set back
        clock[0] = now
        times.append(trust.held_beacon(beacons.document(DEVICE, 8, [], [])).time)
    beacons.keep(set())
    times.append(trust.held_beacon(beacons.document(DEVICE, 8, [], [])).time)
    clock[0] = 7.0
    again = Beacons(ca, registry, lambda: clock[0])
    times.append(trust.held_beacon(again.document(DEVICE, 8, [], [])).time)
    assert times == sorted(set(times)), times
    registry.close()


def test_who_asks_without_end_does_not_move_time_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(beacons_module, "APART_S", 3600.0)
    registry = Registry(tmp_path)
    beacons = Beacons(CA(tmp_path / "ca"), registry, lambda: 1_000_000.0)
    times = [trust.held_beacon(beacons.document(DEVICE, 8, [], [])).time for _ in range(3 * beacons_module.BURST)]
    assert times == sorted(times) and times[-1] - 1_000_000 < beacons_module.BURST, times[-1]
    assert registry.beacon_time() == times[-1]
    assert trust.held_beacon(beacons.document("another", 8, [], [])).time == 1_000_000, "one does not slow another"
    registry.close()
