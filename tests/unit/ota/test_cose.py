"""COSE_Sign1 as releases and documents are signed."""

from ota import cbor, cose
from ota.errors import CoreletError, LimitError, PeerError, TrustError
from tests.expect import raises
from tests.unit.ota.making import KEYS, proof, public, signature

TEXT = b"This is the content."


def test_a_signature_names_its_key():
    publics = tuple([public(scalar) for scalar in KEYS[:2]])
    for algorithm in (-9, -7):
        made = cose.read_signature(signature(KEYS[1], TEXT, b"", {1: algorithm, 4: b"kid"}))
        assert (made.algorithm, made.kid) == (algorithm, b"kid")
        assert cose.signer(publics, made, TEXT) == 1
        assert cose.signer(publics[:1], made, TEXT) == -1
        assert cose.signer(publics, made, TEXT + b"\0") == -1
        assert cose.signer(publics, made, TEXT, b"another kind") == -1
    assert cose.signer(publics, cose.read_signature(signature(KEYS[2], TEXT, b"kind")), TEXT, b"kind") == -1


def test_an_algorithm_has_its_kind_of_key():
    """A signature by HSS/LMS is not looked at with a point, nor the other way round."""
    made = cose.read_signature(signature(KEYS[0], TEXT, b"", {1: -46}))
    assert not cose.is_by(public(KEYS[0]), made, TEXT)
    assert not cose.is_by(bytes(3) + b"\1" + bytes(56), cose.read_signature(signature(KEYS[0], TEXT)), TEXT)
    for algorithm in (-8, -16, -19, -35, 5, 0, -257):
        error = raises(TrustError, cose.read_signature, signature(KEYS[0], TEXT, b"", {1: algorithm}))
        assert error.code == "algorithm", algorithm


def test_what_is_no_signature_of_ours():
    header = cbor.encode({1: -9})
    good = proof(KEYS[0], cbor.encode(["Signature1", header, b"", TEXT]))
    for value in (
        [header, {}, None], [header, {}, None, good, b""], [header, {}, TEXT, good], [header, {4: b"k"}, None, good],
        [header, {1: -9}, None, good], [header, None, None, good], [header, [], None, good], [header, {}, None, None],
        [{1: -9}, {}, None, good], [b"", {}, None, good], [b"\xa0", {}, None, good], [b"\x80", {}, None, good],
        [b"\xa1\x01\x28\x00", {}, None, good], [b"\xa1\x01\x38\x08", {}, None, good], 5, None, {}, [],
    ):  # fmt: skip
        for tagged in (cbor.Tag(18, value), cbor.Tag(17, value), value):
            if tagged != cbor.Tag(18, [header, {}, None, good]):
                error = raises(CoreletError, cose.read_signature, cbor.encode(tagged))
                assert error.code in ("cbor", "signature_form", "algorithm"), value
    for fields in ({}, {4: b"k"}, {1: -9, 3: 0}, {1: -9, 4: "k"}, {1: -9, 4: b"k" * 65}, {1: -9, 2: [1]}, {"1": -9}):
        error = raises(CoreletError, cose.read_signature, signature(KEYS[0], TEXT, b"", fields or {4: b""}))
        assert error.code in ("cbor", "signature_form", "algorithm"), fields
    assert raises(TrustError, cose.read_signature, signature(KEYS[0], TEXT, b"", {1: True})).code == "algorithm"
    assert raises(PeerError, cose.read_signature, bytes(cose.SIGNATURE_BYTES_MAX + 1)).code == "signature_form"


def test_each_signature_counts_and_each_key_once():
    publics = tuple([public(scalar) for scalar in KEYS[:3]])
    one, two, stranger = [signature(scalar, TEXT) for scalar in (KEYS[0], KEYS[2], KEYS[3])]
    assert cose.signers(publics, [], TEXT) == []
    assert cose.signers(publics, [two, one], TEXT) == [2, 0]
    again = signature(KEYS[0], TEXT, b"", {1: -9, 4: b"another"})
    for other in (one, again):
        assert raises(TrustError, cose.signers, publics, [one, two, other], TEXT).code == "signer_twice"
    assert raises(TrustError, cose.signers, publics, [one, two, stranger], TEXT).code == "signature"
    assert raises(LimitError, cose.signers, publics, [one] * 17, TEXT).code == "too_big"
    cose.check_threshold(2, 2)
    assert raises(TrustError, cose.check_threshold, 2, 1).code == "threshold"
