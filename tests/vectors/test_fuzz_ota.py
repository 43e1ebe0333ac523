"""Invariant: whatever comes, each decoder of ota gives a value that holds what its tables promise, or raises PeerError,
TrustError, LimitError or UsageError of a known code; never another exception. `report` always gives JSON, and says
"accept" exactly where `read_release` accepts. A signed payload that is nonsense is refused as well.

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import json
import os
import random
from typing import Any

import pytest

from ota import cbor, commands, cose, keys, lms, manifest, trust, verify
from ota.errors import CoreletError
from ota.report import report, write_json
from tests.unit.ota import making
from tests.vectors import suit
from tests.vectors.damaging import damaged

FULL = 40
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1
CODES = (
    "cbor", "manifest", "digest", "unsupported", "too_big", "algorithm", "signature", "signature_form",
    "signer_twice", "threshold", "document", "root_version", "beacon_time", "beacon_device", "key",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 15, 16, 255, 1 << 32, (1 << 64) - 1, -(1 << 64), b"", b"\x00",
    bytes(16), bytes(32), b"\x82\x03\x0f", b"\xa0", b"\x80", "", "x", "#x", "x" * 256, [], [0], [True], [b""],
    {}, {1: 1}, {"x": b""},
)  # fmt: skip
LABELS = (*range(-3, 36), "", "#x", 99)
ALPHABET = b"\x00\x17\x18\x1b\x3b\x40\x58\x5f\x7f\x80\x9f\xa0\xbf\xd1\xd2\xd8\x6b\xf4\xf5\xf6\xff"
PUBLICS = tuple(making.public(scalar) for scalar in making.KEYS[:3])
ENVELOPES = [case.envelope for case in suit.published() + suit.thresholds()]


def damage(seed: random.Random, data: bytes) -> bytes:
    return damaged(seed, data, ALPHABET)


def attempt(call: Any, *arguments: Any) -> Any:
    """The value, or None for a refusal of a known code."""
    try:
        return call(*arguments)
    except CoreletError as error:
        assert error.code in CODES, error.code
        return None


def tree(seed: random.Random, depth: int = 3) -> Any:
    """A value that CBOR can hold, often close to what SUIT wants."""
    kind = seed.randrange(6)
    if kind == 0 and depth:
        return [tree(seed, depth - 1) for _ in range(seed.randrange(5))]
    if kind == 1 and depth:
        return {seed.choice(LABELS): tree(seed, depth - 1) for _ in range(seed.randrange(4))}
    if kind == 2 and depth:
        return cbor.encode(tree(seed, depth - 1))
    if kind == 3:
        return seed.choice(LABELS)
    return seed.choice(VALUES)


def sequence(seed: random.Random, depth: int = 4) -> bytes:
    flat: list[Any] = []
    for _ in range(seed.randrange(1, 6)):
        code = seed.choice((1, 3, 12, 15, 20, 20, 21, 22, seed.choice(LABELS)))
        argument: Any = 15
        if code == 15 and depth:
            argument = [sequence(seed, depth - 1) for _ in range(seed.randrange(1, 4))] + [None] * seed.randrange(2)
        elif code == 20:
            argument = {seed.choice(LABELS): seed.choice(VALUES) for _ in range(seed.randrange(3))}
        elif seed.random() < 0.3:
            argument = tree(seed, 1)
        flat += [code, argument]
    return cbor.encode(flat if seed.random() < 0.95 else tree(seed))


def check_commands(found: Any, components: int, depth: int = 0) -> int:
    """How many; asserts what an installer may rely on."""
    count = 0
    assert depth <= commands.DEPTH_MAX
    for code, argument in found:
        count += 1
        if code == commands.TRY_EACH:
            assert len(argument) >= 2
            count += sum(check_commands(branch, components, depth + 1) for branch in argument)
        elif code == commands.SET_COMPONENT_INDEX:
            indexes = argument if isinstance(argument, list) else [0 if argument is True else argument]
            assert indexes and all(type(one) is int and 0 <= one < components for one in indexes)
        elif code == commands.OVERRIDE_PARAMETERS:
            assert argument and all(label in commands.PARAMETERS for label in argument)
        else:
            assert code in commands.CONDITIONS + commands.ACTIONS and type(argument) is int and 0 <= argument <= 15
    return count


def check_manifest(found: Any) -> None:
    assert 1 <= len(found.components) <= commands.COMPONENTS_MAX
    count = check_commands(found.shared, len(found.components))
    assert not [code for code, _ in found.shared if code in commands.ACTIONS]
    for label, sequence in found.sequences:
        assert label in manifest.SEQUENCES
        count += check_commands(sequence, len(found.components))
    assert count <= commands.COMMANDS_MAX and 0 <= found.security_floor <= found.sequence < 1 << 64


def check_envelope(data: bytes) -> None:
    for threshold in (0, 1, 2):
        pieces: list[str] = []
        write_json(report(data, ["a", "b", "c"], PUBLICS, threshold), pieces.append)
        told = json.loads("".join(pieces))
        assert told["verdict"] in ("accept", "reject", "readable") and (
            told["reason"] == "ok" or told["reason"] in CODES
        )
        if threshold:
            assert (told["verdict"] == "accept") == (attempt(verify.read_release, data, threshold, PUBLICS) is not None)
    envelope = attempt(manifest.read_envelope, data)
    if envelope is not None:
        found = attempt(manifest.read_manifest, envelope)
        if found is not None:
            check_manifest(found)


@pytest.mark.parametrize("start", range(ROUNDS))
def test_damaged_envelopes(start: int) -> None:
    seed = random.Random(start)
    for _ in range(300):
        check_envelope(damage(seed, seed.choice(ENVELOPES)))


@pytest.mark.parametrize("start", range(ROUNDS))
def test_manifests_of_nonsense(start: int) -> None:
    """Damage under a right digest: only the tables can refuse it."""
    seed = random.Random(1000 + start)
    accepted = 0
    for _ in range(600):
        components = [[b"x"]] * seed.randrange(1, 4)
        common = {2: components, 4: sequence(seed)} if seed.random() < 0.5 else {2: components}
        members: dict[Any, Any] = {1: 1, 2: 5, 3: cbor.encode(common), 7: sequence(seed), 20: sequence(seed)}
        if seed.random() < 0.5:
            members[seed.choice(LABELS)] = tree(seed)
        content = cbor.encode(members)
        if seed.random() < 0.3:
            content = damage(seed, content)
        more = {seed.choice(LABELS): tree(seed)} if seed.random() < 0.3 else {}
        data = making.envelope(content, (), more)
        check_envelope(data)
        accepted += attempt(manifest.read_envelope, data) is not None
    assert accepted > 100


@pytest.mark.parametrize("start", range(ROUNDS))
def test_sequences(start: int) -> None:
    seed = random.Random(2000 + start)
    read = 0
    for _ in range(3000):
        components = seed.randrange(1, 4)
        found = attempt(commands.Reader(components).sequence, sequence(seed), seed.random() < 0.3, 0)
        if found is not None:
            read += 1
            check_commands(found, components)
    assert read > 50


@pytest.mark.parametrize("start", range(ROUNDS))
def test_signatures_and_keys(start: int) -> None:
    seed = random.Random(3000 + start)
    good = making.signature(making.KEYS[0], b"payload", b"", {1: -9, 4: b"kid"})
    pem = b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"
    hss = suit.public(suit.load("threshold.json")["keys"]["lms1"])
    cose_key = cbor.encode({1: 2, -1: 1, -2: PUBLICS[0][1:33], -3: PUBLICS[0][33:]})
    for _ in range(1500):
        found = attempt(cose.read_signature, damage(seed, good))
        assert found is None or found.algorithm in (cose.ESP256, cose.ES256, cose.HSS_LMS)
        for file in (damage(seed, seed.choice((pem, hss, cose_key))), cbor.encode(tree(seed))):
            key = attempt(keys.read_key, file)
            assert key is None or cose.is_public(key)


@pytest.mark.parametrize("start", range(ROUNDS))
def test_hss_of_nonsense(start: int) -> None:
    seed = random.Random(4000 + start)
    cases = [
        [bytes.fromhex(case[name]) for name in ("public", "message", "signature")] for case in suit.load("hss-lms.json")
    ]
    for _ in range(150):
        public, message, signature = seed.choice(cases)
        changed, other = damage(seed, signature), damage(seed, public)
        assert (lms.verify(public, message, changed) is True) <= (changed == signature and len(public) == 60)
        assert (lms.verify(other, message, signature) is True) <= (other == public)
        assert not lms.verify(seed.randbytes(60), message, signature)


@pytest.mark.parametrize("start", range(ROUNDS))
def test_signed_documents_of_nonsense(start: int) -> None:
    """Who holds a key can sign what they like: the shape is checked all the same, and the kind is part of what is
    signed. The signature costs more than all the rest, so few rounds."""
    seed = random.Random(5000 + start)
    roles = {1: (1, PUBLICS[:1]), 2: (1, PUBLICS[:1]), 3: (1, PUBLICS[:1])}
    root = trust.Root(1, roles, 60, False, True)
    good: tuple[dict[Any, Any], ...] = (
        {1: 1, 2: list(PUBLICS), 3: {1: [1, 0], 2: [2, 0, 1]}, 4: 60, 5: True},
        {1: bytes(32), 2: True, 3: None, 4: 0},
        {1: 10, 2: 7, 3: [bytes(32)], 4: [], 5: None},
    )
    for _ in range(60):
        kind = seed.randrange(3)
        payload: Any = dict(good[kind])
        if seed.random() < 0.9:
            payload[seed.choice((1, 2, 3, 4, 5, 6, "x"))] = tree(seed)
        aad = (trust.KIND_ROOT, trust.KIND_APPROVAL, trust.KIND_BEACON)[kind]
        data = making.document(payload if seed.random() < 0.9 else tree(seed), aad, making.KEYS[:1])
        if seed.random() < 0.3:
            data = damage(seed, data)
        found = attempt(trust.first_root, data)
        if found is not None:
            assert kind == 0 and all(1 <= least <= len(set(members)) for least, members in found.roles.values())
        found = attempt(trust.read_approval, root, data)
        assert found is None or (kind == 1 and len(found.digest) == 32 and found.is_go in (True, False))
        found = attempt(trust.read_beacon, PUBLICS[0], data, "d", 5)
        assert found is None or (kind == 2 and found.time > 5 and all(len(one) == 32 for one in found.allowed))
