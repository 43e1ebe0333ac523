"""The chain of roots. Approvals and beacons: test_documents.py."""

from ota import cbor, cose, trust
from ota.errors import CoreletError, LimitError, PeerError, TrustError
from tests.expect import raises
from tests.unit.ota.making import KEYS, document, public

PUBLICS = [public(scalar) for scalar in KEYS]
HSS = bytes.fromhex("000000010000000500000003") + bytes(48)


def payload(version=1, root=(2, 0, 1), release=(1, 2), keys=None, more=None):
    roles = {1: list(root), 2: list(release)}
    return {1: version, 2: keys or PUBLICS, 3: roles, 4: 86400, 5: False} | (more or {})


def root(scalars=KEYS[:2], **fields):
    return document(payload(**fields), b"corelet-root", scalars)


def test_the_first_root_is_signed_by_its_own_threshold():
    found = trust.first_root(root())
    assert (found.version, found.beacon_age_max_s, found.offline_ok, found.needs_approval) == (1, 86400, False, False)
    assert found.roles[trust.ROOT] == (2, tuple(PUBLICS[:2])) and found.roles[trust.RELEASE] == (1, (PUBLICS[2],))
    assert raises(TrustError, trust.first_root, root(KEYS[:1])).code == "threshold"
    assert raises(TrustError, trust.first_root, root(())).code == "threshold"
    assert raises(TrustError, trust.first_root, root((KEYS[0], KEYS[0]))).code == "signer_twice"
    assert raises(TrustError, trust.first_root, root((KEYS[0], KEYS[2]))).code == "signature", "a key of another role"
    for kind in (b"", b"corelet-beacon", b"corelet-approval"):
        assert raises(TrustError, trust.first_root, document(payload(), kind, KEYS[:2])).code == "signature"
    assert trust.first_root(root(version=5)).version == 5, "a package may bring a later one"


def test_rotation_wants_both_thresholds():
    old = trust.first_root(root())
    swapped = {"root": (2, 1, 3), "version": 2}  # key 0 leaves, key 3 comes
    assert trust.next_root(old, root(KEYS[:2] + KEYS[3:], **swapped)).roles[trust.ROOT] == (2, (PUBLICS[1], PUBLICS[3]))
    assert raises(TrustError, trust.next_root, old, root(KEYS[:2], **swapped)).code == "threshold", "one of the new"
    assert raises(TrustError, trust.next_root, old, root((KEYS[1], KEYS[3]), **swapped)).code == "threshold", "old"
    assert raises(TrustError, trust.next_root, old, root((KEYS[3],), **swapped)).code == "threshold"
    assert raises(TrustError, trust.next_root, old, root(KEYS, **swapped)).code == "signature", "a stranger beside"
    # A key that left cannot come back by itself, and what it signed before does not count for the next.
    new = trust.next_root(old, root(KEYS[:2] + KEYS[3:], **swapped))
    assert raises(TrustError, trust.next_root, new, root(KEYS[:2], version=3)).code == "threshold"


def test_roots_come_in_order():
    old = trust.first_root(root())
    for version in (0, 1, 3, 1 << 52):
        assert raises(TrustError, trust.next_root, old, root(version=version)).code == "root_version", version
    assert trust.next_root(old, root(version=2)).version == 2


def test_keys_may_be_hss():
    keys = PUBLICS[:2] + [HSS]
    assert trust.first_root(root(keys=keys)).roles[trust.RELEASE] == (1, (HSS,))
    for bad in (HSS[:-1], HSS[:7] + b"\x0a" + HSS[8:], PUBLICS[2][:-1] + bytes([PUBLICS[2][-1] ^ 1]), b"", "x", None):
        error = raises(PeerError, trust.first_root, root(keys=PUBLICS[:2] + [bad]))
        assert error.code == "document", bad


def test_roots_of_another_shape():
    for fields in (
        {"more": {1: -1}}, {"more": {1: True}}, {"more": {1: None}}, {"more": {4: -1}}, {"more": {4: 1 << 53}},
        {"more": {5: 0}}, {"more": {5: None}}, {"more": {6: 0}}, {"more": {"x": 0}}, {"more": {2: []}},
        {"more": {2: PUBLICS[0]}}, {"keys": [PUBLICS[0]] * 3}, {"keys": [PUBLICS[0]] * 17},
        {"more": {3: []}},
        {"more": {3: {}}}, {"more": {3: {1: [1, 0]}}}, {"more": {3: {1: [1, 0], 2: [1, 0], 4: [1, 0]}}},
        {"root": (0, 0, 1)}, {"root": (3, 0, 1)}, {"root": (1,)}, {"root": ()}, {"root": (1, 0, 0)},
        {"root": (1, 1, 0)},
        {"root": (1, 4)}, {"root": (1, -1)}, {"root": (True, 0)}, {"root": (1, False)}, {"root": (1, None)},
        {"release": (2, 0)}, {"release": (1, 9)},
    ):  # fmt: skip
        assert raises(CoreletError, trust.first_root, root(**fields)).code == "document", fields
    for value in ({}, [], b"\x80", b"\xa0", b""):
        made = document(value, b"corelet-root", ())
        assert raises(CoreletError, trust.first_root, made).code in ("cbor", "document"), value
    for data in (b"", b"\x80", b"\xa0", cbor.encode([5]), cbor.encode([b"", 5]), root() + b"\0", root()[:-1]):
        assert raises(PeerError, trust.first_root, data).code in ("cbor", "document")
    assert raises(LimitError, trust.first_root, bytes(trust.DOCUMENT_BYTES_MAX + 1)).code == "too_big"
    assert cose.KEYS_MAX == 16
