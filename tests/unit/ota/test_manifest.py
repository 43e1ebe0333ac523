"""SUIT envelopes and manifests; their command sequences are in test_commands.py."""

from ota import cbor, manifest
from ota.errors import CoreletError, LimitError, PeerError, TrustError
from tests.expect import raises
from tests.unit.ota.making import VENDOR, digest_of, envelope, shared
from tests.unit.ota.making import manifest as made_manifest

INSTALL = cbor.encode([20, {21: "full/1"}, 21, 2, 3, 15])
TEXT = cbor.encode({"en": 1})


def unsigned(content=None, members=None):
    return manifest.read_envelope(envelope(content, (), members))


def read(members=None, more=None, **fields):
    """The manifest with these members, inside an envelope with `more`."""
    return manifest.read_manifest(unsigned(made_manifest(members=members, **fields), more))


def test_a_manifest_is_read():
    found = read()
    assert (found.sequence, found.components, found.absent, found.security_floor) == (7, [[b"\0"]], [], 0)
    assert [code for code, _ in found.shared] == [20, 1, 2] and found.shared[0][1][1] == VENDOR
    assert found.sequences == [(7, [(3, 15)]), (20, [(20, {21: "full/1"}), (21, 2), (3, 15)])]
    assert read(sequence=(1 << 64) - 1).sequence == (1 << 64) - 1
    assert read({4: "https://example.org/x", 5: [b"a", b"b"], 6: cbor.encode([1, 0, -1]), 23: TEXT}).sequence == 7


def test_the_digest_covers_the_head_of_the_byte_string():
    for length in (0, 1, 23, 24, 255, 256, 4096):
        assert manifest.digest(bytes(length)) == digest_of(bytes(length)), length
    found = unsigned()
    manifest.check_digest(found)
    assert found.digest == digest_of(found.manifest)
    other = envelope(made_manifest(8), (), {3: made_manifest(7)})
    assert raises(TrustError, manifest.check_digest, manifest.read_envelope(other)).code == "digest"


def test_severed_members_come_back_or_stay_away():
    severed = {20: [-16, digest_of(INSTALL)], 23: [-16, digest_of(TEXT)]}
    found = read(severed, {20: INSTALL, 23: TEXT})
    assert found == read({23: TEXT}) and found.absent == []
    found = read(severed)
    assert found.absent == [20, 23] and [label for label, _ in found.sequences] == [7]
    for label, other in ((20, cbor.encode([3, 15])), (23, TEXT + b"\0")):
        assert raises(TrustError, read, severed, {label: other}).code == "digest"
        assert raises(PeerError, read, {label: None}, {label: other}).code == "manifest"
    assert raises(PeerError, read, None, {20: INSTALL}).code == "manifest"
    assert raises(TrustError, read, {20: [-44, bytes(64)]}).code == "algorithm"
    assert raises(PeerError, read, {7: [-16, bytes(32)]}).code == "manifest"


def test_the_security_floor_is_at_most_the_own_number():
    """Else a confirmed release would forbid itself."""
    for floor in (0, 6, 7):
        assert read(commands=shared({-1: floor})).security_floor == floor
    assert raises(PeerError, read, commands=shared({-1: 8})).code == "manifest"


def test_integrated_payloads():
    found = unsigned(members={"#one": b"1", "#two": b"22"})
    assert found.payloads == {"#one": b"1", "#two": b"22"} and found.members == {}


def test_envelopes_of_another_shape():
    good = envelope(scalars=())
    for value in (None, 5, [], {}, {2: b"", 3: b""}, cbor.Tag(107, []), cbor.Tag(107, {}), cbor.Tag(107, {2: b"\x80"})):
        assert raises(CoreletError, manifest.read_envelope, cbor.encode(value)).code in ("manifest", "cbor")
    for members in (
        {2: None},
        {2: b""},
        {2: b"\x80"},
        {2: cbor.encode([5])},
        {2: cbor.encode([b"\0"])},
        {3: "x"},
        {3: None},
    ):
        assert raises(CoreletError, unsigned, None, members).code in ("manifest", "cbor"), members
    for members in ({1: b""}, {4: b""}, {7: b""}, {14: b""}, {24: b""}, {-1: b""}, {"x": b""}, {"": b""}):
        assert raises(TrustError, unsigned, None, members).code == "unsupported", members
    for signed in ([-16, bytes(31)], [-16], [-16, bytes(32), 1], {}, [-16, "x"]):
        error = raises(PeerError, unsigned, None, {2: cbor.encode([cbor.encode(signed)])})
        assert error.code == "manifest", signed
    error = raises(TrustError, unsigned, None, {2: cbor.encode([cbor.encode([-44, bytes(64)])])})
    assert error.code == "algorithm"
    for data in (good + b"\0", good[:-1], good[2:], b"", b"\xd8\x6b"):
        assert raises(PeerError, manifest.read_envelope, data).code in ("cbor", "manifest")
    assert raises(LimitError, manifest.read_envelope, bytes(manifest.ENVELOPE_BYTES_MAX + 1)).code == "too_big"


def test_manifests_of_another_shape():
    for label in (8, 10, 14, 15, 18, 24, 0, -1, "x"):
        assert raises(TrustError, read, {label: b"\x82\x03\x0f"}).code == "unsupported", label
    for members in (
        {1: 2}, {1: True}, {1: None}, {2: -1}, {2: None}, {2: True}, {2: b"\1"}, {3: None}, {3: {}}, {4: 5}, {4: ""},
        {4: "x" * 256}, {5: []}, {5: b""}, {5: ["x"]}, {5: [b"x"] * 6}, {5: [bytes(65)]}, {6: 1}, {6: cbor.encode([])},
        {6: cbor.encode([True])}, {6: cbor.encode([1] * 6)}, {7: 5}, {7: []}, {9: None, 7: {}}, {23: 5}, {23: []},
    ):  # fmt: skip
        assert raises(PeerError, read, members).code == "manifest", members
    assert raises(PeerError, manifest.read_manifest, unsigned(b"\x80")).code == "manifest"
    assert raises(PeerError, manifest.read_manifest, unsigned(b"\xa0\0")).code == "cbor"


def test_common_of_another_shape():
    for common, code in (
        ([], "manifest"), ({}, "manifest"), ({2: []}, "manifest"), ({2: {}}, "manifest"), ({2: [b"x"]}, "manifest"),
        ({2: [[]]}, "manifest"), ({2: [["x"]]}, "manifest"), ({2: [[b"x"]] * 9}, "manifest"),
        ({1: {}, 2: [[b"x"]]}, "unsupported"), ({2: [[b"x"]], 3: 0}, "unsupported"), ({2: [[b"x"]], 4: 5}, "manifest"),
    ):  # fmt: skip
        assert raises(CoreletError, read, {3: cbor.encode(common)}).code == code, common
    assert read({3: cbor.encode({2: [[b"x"]] * 8})}).shared == []
