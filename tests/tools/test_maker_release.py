"""Releases as they are built, signed by several people and judged; documents of trust beside them."""

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cbor2
import pytest

from boards import loader
from ota import cbor, cose, manifest, pack, trust, verify
from ota.errors import CoreletError, PeerError, TrustError, UsageError
from tests.expect import raises
from tests.vectors import suit
from tools.maker import documents, identity, keys, packs, signed, tree
from tools.maker.keys import P256Signer, Signer

FACTS = packs.Facts(7, bytes(16), b"c" * 16, {"micropython": [[1, 25], [2]]}, 3, [0, 1, 0])
ENVELOPE_BYTES = 450
FILES = {"agent/__init__.py": b"", "boards/b.py": b"x = 1\n" * 20_000, "agent/__main__.py": b"print(1)\n"}


def people(count: int) -> list[Signer]:
    from Crypto.PublicKey import ECC

    return [P256Signer(ECC.construct(curve="P-256", d=1000 + number)) for number in range(count)]


PEOPLE = people(4)
PUBLICS = tuple(one.public for one in PEOPLE)


def release(facts: packs.Facts = FACTS) -> tuple[bytes, signed.Signed]:
    data = packs.encode(FILES)
    return data, signed.opened(signed.RELEASE, packs.envelope(data, facts))


def copy_of_the_tree(folder: Path) -> Path:
    """The same source elsewhere: other times, another order on the disk."""
    names = [*tree.ROOT.glob("agent/**/*.py"), *tree.ROOT.glob("boards/*.py"), *tree.ROOT.glob("ota/**/*.py")]
    names.append(tree.ROOT / "setup.cfg")
    random.Random(str(folder)).shuffle(names)
    for source in names:
        target = folder / source.relative_to(tree.ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        os.utime(target, (len(target.name), len(target.name)))
    (folder / "agent/__pycache__").mkdir()
    (folder / "agent/__pycache__/stale.py").write_text("stale")
    return folder


@pytest.mark.parametrize("board", ["generic-linux", "gl-mt300n-v2", "raspberry-pi-zero-2w", "qemu-mipsel"])
def test_two_builds_on_two_paths_are_the_same_bytes(board: str, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two/deeper"):
        place = copy_of_the_tree(tmp_path / name)
        (place / "tests").mkdir()
        data = packs.encode(tree.files_of(board, place))
        facts = FACTS._replace(needs=tree.needs_of(board, place), version=tree.version_of(place))
        made.append((data, packs.envelope(data, facts)))
    assert made[0] == made[1]
    assert made[0][0] == packs.encode(tree.files_of(board, tree.ROOT))
    (tmp_path / "one/ota/lms.py").write_text("# one byte else")
    assert packs.encode(tree.files_of(board, tmp_path / "one")) != made[0][0]


def test_only_what_ships_to_that_interpreter() -> None:
    pi, router, any_board = [
        tree.files_of(board, tree.ROOT) for board in ("raspberry-pi-zero-2w", "gl-mt300n-v2", "generic-linux")
    ]
    assert not [name for name in pi if "/micropython/" in name] and "agent/service/hot.py" in pi
    assert not [name for name in router if "/cpython/" in name] and "agent/service/hot.py" not in router
    assert {"agent/port/cpython/net.py", "agent/port/micropython/net.py"} <= set(any_board)
    for files, own in ((pi, "raspberry_pi_zero_2w"), (router, "gl_mt300n_v2"), (any_board, "generic_linux")):
        profiles = {name for name in files if name.startswith("boards/") and "PROFILE = {" in files[name].decode()}
        assert profiles == {f"boards/{own}.py"}
        assert {name.partition("/")[0] for name in files} == {"agent", "boards", "ota"}
        assert "agent/port/contract.py" not in files and "agent/core/pairing/prover.py" not in files


def test_needs_are_those_of_setup_cfg(tmp_path: Path) -> None:
    needs = tree.needs_of("raspberry-pi-zero-2w", tree.ROOT)
    assert needs["cpython"] == [[3, 11], [4]] and needs["cbor2"] == [[5, 6], [7]] and "micropython" not in needs
    assert tree.needs_of("gl-mt300n-v2", tree.ROOT) == {"micropython": [[1, 25], [2]]}
    assert {"cpython", "micropython", "psutil"} < set(tree.needs_of("generic-linux", tree.ROOT))
    for line in ("paho-mqtt", "paho-mqtt>=2", "paho-mqtt~=2.1", "x>=1,<2; extra"):
        (tmp_path / "setup.cfg").write_text(f"[options]\ninstall_requires =\n    {line}\n\n[x]\n")
        assert raises(UsageError, tree.needs_of, "generic-linux", tmp_path).code == "tree"


def test_what_is_not_committed_is_refused(tmp_path: Path) -> None:
    place = copy_of_the_tree(tmp_path / "tree")
    names = list(tree.files_of("generic-linux", place))
    assert tree.commit_of(place, names, False) == ""
    git = ["git", "-C", str(place), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    assert len(tree.commit_of(place, names, False)) == 40
    (place / "ota/lms.py").write_text("#")
    assert raises(UsageError, tree.commit_of, place, names, False).code == "dirty"
    assert tree.commit_of(place, names, True).endswith("-dirty")
    subprocess.run([*git, "checkout", "-q", "."], check=True)
    (place / "agent/new.py").write_text("#")
    names = list(tree.files_of("generic-linux", place))
    assert raises(UsageError, tree.commit_of, place, names, False).code == "dirty"


def test_an_envelope_by_an_independent_reader() -> None:
    data, found = release()
    opened = cbor2.loads(found.encoded())
    assert opened.tag == 107 and set(opened.value) == {2, 3}
    content = cbor2.loads(opened.value[3])
    assert (content[1], content[2], cbor2.loads(content[6])) == (1, 7, [0, 1, 0])
    code, parameters, *checks = cbor2.loads(cbor2.loads(content[3])[4])
    assert (code, checks) == (20, [1, 15, 2, 15])
    assert cbor2.loads(parameters[3]) == [-16, hashlib.sha256(data).digest()] and parameters[14] == len(data)
    assert parameters[-1] == 3 and cbor2.loads(parameters[-3]) == {1: [[1, 25], [2]]}
    assert cbor2.loads(cbor2.loads(opened.value[2])[0]) == [-16, hashlib.sha256(cbor2.dumps(opened.value[3])).digest()]
    read = manifest.read_manifest(found.envelope)
    assert read.sequence == 7 and read.security_floor == 3 and not read.absent


def test_two_of_three_sign_in_turn_or_apart() -> None:
    _, found = release()
    in_turn = signed.sign(signed.sign(found, PEOPLE[0]), PEOPLE[1])
    apart = signed.merge([signed.sign(found, PEOPLE[0]), signed.sign(found, PEOPLE[1]), in_turn])
    assert in_turn.encoded() == apart.encoded()
    for threshold, is_enough in ((1, True), (2, True), (3, False)):
        if is_enough:
            assert verify.read_release(in_turn.encoded(), threshold, PUBLICS[:3]).signers == [0, 1]
        else:
            assert raises(TrustError, verify.read_release, in_turn.encoded(), 3, PUBLICS[:3]).code == "threshold"
    assert raises(TrustError, signed.sign, in_turn, PEOPLE[1]).code == "signer_twice"
    other = signed.opened(signed.RELEASE, packs.envelope(packs.encode(FILES), FACTS._replace(sequence=8)))
    assert raises(UsageError, signed.merge, [found, other]).code == "payload"


def test_two_of_three_are_small() -> None:
    """The bar of the release itself, for every board, also those where CPython's packages are named."""
    for board in [name for name in loader.NAMES if loader.load(name)["runtime"] != "nothing yet"]:
        needs = tree.needs_of(board, tree.ROOT)
        facts = packs.Facts(1000, identity.vendor_id(""), identity.class_id(board, ""), needs, 900, [0, 1, 0])
        found = signed.opened(signed.RELEASE, packs.envelope(packs.encode(tree.files_of(board, tree.ROOT)), facts))
        small = len(signed.sign(signed.sign(found, PEOPLE[0]), PEOPLE[1]).encoded())
        assert small <= ENVELOPE_BYTES, board


def test_no_bit_of_a_signed_release_can_change() -> None:
    data = signed.sign(signed.sign(release()[1], PEOPLE[0]), PEOPLE[1]).encoded()
    assert verify.read_release(data, 2, PUBLICS[:3])
    bits = random.Random(7).sample(range(8 * len(data)), 120)
    for changed in [data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :] for bit in bits]:
        raises(CoreletError, verify.read_release, changed, 2, PUBLICS[:3])


def test_what_a_device_refuses_is_not_signed() -> None:
    for case in suit.published():
        if case.name in ("libcsuit-expU0", "libcsuit-expS0", "libcsuit-expEW"):
            raises(CoreletError, lambda case=case: signed.opened(signed.RELEASE, case.envelope))
    raises(CoreletError, signed.opened, signed.RELEASE, b"junk")
    for kind in (signed.ROOT, signed.APPROVAL, signed.BEACON):
        raises(CoreletError, signed.opened, kind, b"junk")
        raises(PeerError, signed.opened, kind, cbor.encode([cbor.encode({1: 1})]))
    signed_in_full = signed.sign(release()[1], PEOPLE[0])
    assert raises(PeerError, signed.opened, signed.ROOT, signed_in_full.encoded()).code in ("cbor", "document")


def test_a_pack_is_that_of_its_envelope() -> None:
    data, found = release()
    packs.check_pack(found, data)
    head_bytes = pack.read_prefix(data[:24])[0]
    for at in (0, 30, head_bytes - 1, head_bytes, len(data) - 1):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        raises(CoreletError, packs.check_pack, found, changed)
    for other in (data + b"x", data[:-1], b""):
        raises(CoreletError, packs.check_pack, found, other)
    for other in (data + b"x", data[:-1] + b"x"):  # an envelope that names what is no whole pack
        named = signed.opened(signed.RELEASE, packs.envelope(other, FACTS))
        assert raises(TrustError, packs.check_pack, named, other).code == "digest"
    raises(PeerError, packs.encode, {"agent/UPPER.py": b""})
    raises(PeerError, packs.encode, {})


def test_a_signature_by_another_key_spoils_it() -> None:
    data = signed.sign(signed.sign(release()[1], PEOPLE[0]), PEOPLE[3]).encoded()
    assert raises(TrustError, verify.read_release, data, 1, PUBLICS[:3]).code == "signature"


def change(**more: Any) -> documents.Change:
    empty: dict[str, Any] = {"added": [], "removed": [], "replaced": [], "thresholds": {}}
    return documents.Change(**{**empty, **more})


def first() -> signed.Signed:
    """Root 2 of 3, release 2 of 3, approval 1 of 1."""
    added = [(role, public) for role in (trust.ROOT, trust.RELEASE) for public in PUBLICS[:3]]
    thresholds = {trust.ROOT: 2, trust.RELEASE: 2, trust.APPROVAL: 1}
    made = documents.first_root(change(added=[*added, (trust.APPROVAL, PUBLICS[0])], thresholds=thresholds))
    return signed.opened(signed.ROOT, made)


def by(found: signed.Signed, *signers: int) -> bytes:
    for number in signers:
        found = signed.sign(found, PEOPLE[number])
    return found.encoded()


def test_roots_rotate_by_m_of_old_and_m_of_new() -> None:
    start = by(first(), 0, 1)
    root = documents.chain([start])
    assert root.version == 1 and root.needs_approval and root.roles[trust.RELEASE] == (2, PUBLICS[:3])
    raises(TrustError, lambda: documents.chain([by(first(), 0)]))
    following = documents.next_root(root, change(replaced=[(PUBLICS[0], PUBLICS[3])], beacon_age_s=60))
    unsigned = signed.opened(signed.ROOT, following)
    new = documents.chain([start, by(unsigned, 1, 2)])
    assert new.version == 2 and new.beacon_age_max_s == 60
    assert new.roles[trust.ROOT] == new.roles[trust.RELEASE] == (2, (PUBLICS[3], *PUBLICS[1:3]))
    assert documents.chain([start, by(unsigned, 3, 0, 1)]).version == 2
    for signers in ((1,), (0, 3), (0, 1)):  # m of the new alone or of the old alone is not enough
        raises(TrustError, lambda signers=signers: documents.chain([start, by(unsigned, *signers)]))
    documents.check_signer(new, root, PUBLICS[0])
    assert raises(TrustError, documents.check_signer, new, None, PUBLICS[0]).code == "key"


def test_roots_that_could_never_be_signed_are_not_made() -> None:
    root = trust.held_root(first().encoded())
    for words in (
        {"thresholds": {trust.ROOT: 4}},
        {"removed": [(trust.ROOT, PUBLICS[0]), (trust.ROOT, PUBLICS[1])]},
        {"removed": [(trust.RELEASE, PUBLICS[3])]},
        {"added": [(trust.RELEASE, PUBLICS[0])]},
        {"replaced": [(PUBLICS[0], PUBLICS[1])]},
    ):
        raises(UsageError, documents.next_root, root, change(**words))
    raises(UsageError, documents.first_root, change(added=[(trust.ROOT, PUBLICS[0])], thresholds={trust.ROOT: 1}))


def test_approvals_and_beacons() -> None:
    root = trust.held_root(first().encoded())
    digest = hashlib.sha256(b"x").digest()
    approval = signed.opened(signed.APPROVAL, documents.approval(digest, True, None, 5))
    assert trust.read_approval(root, by(approval, 0)) == (digest, True, None, 5)
    assert raises(TrustError, trust.read_approval, root, by(approval, 1)).code == "signature"
    beacon = signed.opened(signed.BEACON, documents.beacon(100, 7, [digest], [], None))
    assert trust.read_beacon(PUBLICS[2], by(beacon, 2), "d", 99).allowed == [digest]
    raises(TrustError, trust.read_beacon, PUBLICS[2], by(beacon, 2), "d", 100)
    raises(PeerError, documents.beacon, 100, 7, [b"short"], [], None)
    for one in (approval, beacon):
        made = cbor.decode(by(one, 1))
        aad = signed.KINDS[one.kind]
        assert cose.is_by(PUBLICS[1], cose.read_signature(made[1]), made[0], aad)
        assert not cose.is_by(PUBLICS[1], cose.read_signature(made[1]), made[0], b"")


def test_identities_are_uuids_by_name() -> None:
    import uuid

    vendor = uuid.uuid5(uuid.NAMESPACE_DNS, "example.org")
    assert identity.vendor_id("example.org") == vendor.bytes
    assert identity.class_id("gl-mt300n-v2", "example.org") == uuid.uuid5(vendor, "gl-mt300n-v2").bytes
    for name in ("Example.org", "localhost", "-", "a..b", "x" * 300 + ".org"):
        raises(UsageError, identity.vendor_id, name)
    assert keys.kind_of(PUBLICS[0]) == keys.P256
