"""Approvals and beacons."""

from ota import cbor, trust
from ota.errors import CoreletError, PeerError, TrustError
from tests.expect import raises
from tests.unit.ota.making import CLASS, IMAGE, KEYS, document, public

CORE = public(KEYS[3])
DEVICE = "attic"


def root(approval=(1, 1)):
    publics = tuple([public(scalar) for scalar in KEYS[:3]])
    roles = {1: (1, publics[:1]), 2: (1, publics[:1])}
    if approval:
        roles[3] = (approval[0], publics[approval[1] :])
    return trust.Root(1, roles, 86400, False, bool(approval))


def approval(scalars=KEYS[1:2], more=None, kind=b"corelet-approval"):
    return document({1: IMAGE, 2: True, 3: None, 4: 0} | (more or {}), kind, scalars)


def beacon(scalars=KEYS[3:], more=None, kind=b"corelet-beacon"):
    return document({1: 1000, 2: 7, 3: [IMAGE], 4: [], 5: None} | (more or {}), kind, scalars)


def read(data, device=DEVICE, floor=999):
    return trust.read_beacon(CORE, data, device, floor)


def test_an_approval():
    assert trust.read_approval(root(), approval()) == (IMAGE, True, None, 0)
    assert trust.read_approval(root(), approval(more={2: False, 3: CLASS, 4: 5})) == (IMAGE, False, CLASS, 5)
    assert trust.read_approval(root((2, 1)), approval(KEYS[1:3]))
    assert raises(TrustError, trust.read_approval, root((2, 1)), approval()).code == "threshold"
    assert raises(TrustError, trust.read_approval, root(), approval(KEYS[:1])).code == "signature", "a release key"
    assert raises(TrustError, trust.read_approval, root(), approval(kind=b"corelet-root")).code == "signature"
    assert raises(TrustError, trust.read_approval, root(None), approval(())).code == "threshold", "nobody approves here"
    assert raises(TrustError, trust.read_approval, root(None), approval()).code == "signature"


def test_approvals_of_another_shape():
    for more in (
        {1: b""}, {1: bytes(31)}, {1: "x"}, {2: 1}, {2: None}, {3: b""}, {3: bytes(17)}, {3: "x" * 16}, {4: -1},
        {4: True}, {4: 1 << 53}, {5: 0}, {"x": 0},
    ):  # fmt: skip
        assert raises(PeerError, trust.read_approval, root(), approval(more=more)).code == "document", more


def test_a_beacon():
    assert read(beacon()) == (1000, 7, [IMAGE], [], None)
    assert read(beacon(more={5: DEVICE})).device == DEVICE
    assert raises(TrustError, read, beacon(more={5: DEVICE}), "cellar").code == "beacon_device"
    assert raises(TrustError, read, beacon(KEYS[:1])).code == "signature", "a release key is no core"
    assert raises(TrustError, read, beacon(())).code == "threshold"
    assert raises(TrustError, read, beacon(KEYS[3:] + KEYS[:1])).code == "signature"
    assert raises(TrustError, read, beacon(kind=b"corelet-approval")).code == "signature"


def test_time_never_runs_backwards():
    for floor in (1000, 1001, 1 << 52):
        assert raises(TrustError, read, beacon(), DEVICE, floor).code == "beacon_time", floor
    assert read(beacon(more={1: 1001}), DEVICE, 1000).time == 1001


def test_beacons_of_another_shape():
    for more in (
        {1: -1}, {1: True}, {1: 1 << 53}, {2: -1}, {2: None}, {3: b""}, {3: [b""]}, {3: [bytes(33)]}, {3: [5]},
        {3: [IMAGE] * 65}, {4: None}, {4: ["x" * 32]}, {4: [IMAGE] * 65}, {5: b""}, {5: "x" * 65}, {5: 5}, {6: 0},
    ):  # fmt: skip
        assert raises(PeerError, read, beacon(more=more)).code == "document", more
    assert read(beacon(more={2: (1 << 64) - 1, 4: [bytes(32)] * 64})).newest == (1 << 64) - 1
    for data in (b"", beacon() + b"\0", beacon()[:-1], cbor.encode([beacon()])):
        assert raises(CoreletError, read, data).code in ("cbor", "document", "threshold")
