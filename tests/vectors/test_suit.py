"""Published SUIT envelopes and HSS/LMS signatures, and the threshold envelopes: digests, signatures, traces, verdicts.

Invariant: no accepted envelope stays accepted when one bit is flipped, when it is cut, or when a byte is appended.
Seeded; CORELET_FULL=1 tries every bit.
"""

import json
import os
import random

import pytest

from ota import lms, manifest, trust, verify
from ota.errors import CoreletError
from ota.report import report, write_json
from tests.expect import raises
from tests.unit.ota import making
from tests.vectors import suit

IS_FULL = os.environ.get("CORELET_FULL") == "1"
FLIPS = 400
PUBLISHED = suit.published()
THRESHOLDS = suit.thresholds()
ACCEPTED = suit.accepted()


def told(case: suit.Case, threshold: int) -> dict[str, object]:
    pieces: list[str] = []
    names = list(case.publics)
    write_json(report(case.envelope, names, tuple(case.publics.values()), threshold), pieces.append)
    found: dict[str, object] = json.loads("".join(pieces))
    return found


def is_accepted(data: bytes, case: suit.Case) -> bool:
    try:
        verify.read_release(data, case.threshold, tuple(case.publics.values()))
    except CoreletError:
        return False
    return True


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.name)
def test_published_envelopes(case: suit.Case) -> None:
    found = told(case, 1)
    index = case.index
    for name in ("digest_ok", "sequence", "version", "components", "envelope_keys", "manifest_keys"):
        assert found[name] == index[name], name
    assert found["severed"] == index.get("severed", {})
    signed_by = [one["verifies_with"] for one in index["auth"]]
    assert [one["verifies_with"] for one in found["auth"]] == [None if one == "hmac" else one for one in signed_by]
    rows = found["trace"]
    assert isinstance(rows, list)
    assert sorted({row["code"] for row in rows}) == index["commands"]
    assert (found["verdict"] == "accept") == case.accept, found["text"]


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.name)
def test_inspection_traces_parameters_too(case: suit.Case) -> None:
    from ota.trace import PARAMETERS

    rows = told(case, 0)["trace"]
    assert isinstance(rows, list)
    labels = {name: label for label, name in PARAMETERS.items()}
    found = {labels[name] for row in rows if row["code"] == 20 for name in row["argument"]}
    assert sorted(found) == case.index["parameters"]


@pytest.mark.parametrize("case", THRESHOLDS, ids=lambda case: case.name)
def test_thresholds(case: suit.Case) -> None:
    found = told(case, case.threshold)
    assert (found["verdict"] == "accept") == case.accept, case.index["why"]
    assert is_accepted(case.envelope, case) == case.accept


def test_what_is_outside_the_subset_is_refused_by_name() -> None:
    for case in PUBLISHED:
        if not case.accept and case.index["auth"] and case.index["auth"][0]["tag"] == 18:
            assert told(case, 1)["reason"] in ("unsupported", "manifest"), case.name


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_every_flip_cut_and_added_byte_is_refused(case: suit.Case) -> None:
    assert is_accepted(case.envelope, case)
    bits = range(8 * len(case.envelope))
    seed = random.Random(case.name)
    for bit in bits if IS_FULL else seed.sample(bits, FLIPS):
        changed = bytearray(case.envelope)
        changed[bit // 8] ^= 1 << bit % 8
        assert not is_accepted(bytes(changed), case), bit
    for length in range(len(case.envelope)):
        assert not is_accepted(case.envelope[:length], case), length
    for byte in range(256):
        assert not is_accepted(case.envelope + bytes([byte]), case), byte


@pytest.mark.parametrize("kind", ["root", "beacon", "approval"])
def test_every_flip_cut_and_added_byte_of_a_document_is_refused(kind: str) -> None:
    publics = [making.public(scalar) for scalar in making.KEYS]
    roles = {1: [2, 0, 1, 2], 2: [2, 0, 1, 2], 3: [1, 3]}
    root = making.document({1: 1, 2: publics, 3: roles, 4: 60, 5: False}, trust.KIND_ROOT, making.KEYS[:2])
    data, read = {
        "root": (root, trust.first_root),
        "beacon": (
            making.document({1: 9, 2: 7, 3: [bytes(32)], 4: [], 5: None}, trust.KIND_BEACON, making.KEYS[:1]),
            lambda changed: trust.read_beacon(publics[0], changed, "device", 5),
        ),
        "approval": (
            making.document({1: bytes(32), 2: True, 3: None, 4: 0}, trust.KIND_APPROVAL, making.KEYS[3:]),
            lambda changed: trust.read_approval(trust.first_root(root), changed),
        ),
    }[kind]
    assert read(data)
    bits = range(8 * len(data))
    for bit in bits if IS_FULL else random.Random(kind).sample(bits, FLIPS // 4):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        raises(CoreletError, read, bytes(changed))
    for changed in [data[:length] for length in range(len(data))] + [data + bytes([byte]) for byte in range(256)]:
        raises(CoreletError, read, changed)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_another_key_or_a_higher_threshold_is_refused(case: suit.Case) -> None:
    others = {name: key[:-1] + bytes([key[-1] ^ 1]) for name, key in case.publics.items()}
    assert not is_accepted(case.envelope, case._replace(publics=others))
    signatures = len(manifest.read_envelope(case.envelope).signatures)
    assert is_accepted(case.envelope, case._replace(threshold=signatures))
    assert not is_accepted(case.envelope, case._replace(threshold=signatures + 1))


def test_cose_hashsig() -> None:
    """cose-wg/Examples is a COSE_Sign, so only its signature is ours: over the ToBeSigned that it names."""
    example = suit.load("cose-hashsig-01.json")
    public = bytes.fromhex(example["input"]["sign"]["signers"][0]["key"]["public"])
    message = bytes.fromhex(example["intermediates"]["signers"][0]["ToBeSign_hex"])
    data = bytes.fromhex(example["output"]["cbor"])
    signature = data[-2512:]
    assert lms.verify(public, message, signature)
    assert not lms.verify(public, message + b"\0", signature)
