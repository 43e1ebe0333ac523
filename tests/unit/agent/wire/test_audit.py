"""Challenges: what was asked comes out, and what nobody may ask is refused."""

from agent import port

CODEC, CRYPTO = port.codec(), port.crypto()  # before the rest: the heap is small

from agent.errors import PeerError, UsageError  # noqa: E402
from agent.wire import answers, audit  # noqa: E402
from tests.expect import raises  # noqa: E402

NONCE = bytes(range(16))


def entry(data):
    return CRYPTO.sha256(data) + len(data).to_bytes(4, "big")


def challenge(kind, subject):
    return audit.Challenge(kind, NONCE, subject)


def test_challenges_come_back():
    for asked in (
        challenge(audit.LEAF, entry(b"x")), challenge(audit.WHOLE, entry(b"x") * 64), challenge(audit.DIGEST, b""),
        challenge(audit.LIST, b"\x0f\0\0\1\0"),
    ):  # fmt: skip
        data = answers.encode_challenge(CODEC, asked)
        assert len(data) <= audit.CHALLENGE_BYTES_MAX and audit.decode_challenge(CODEC, data) == asked
    two = challenge(audit.LEAF, entry(b"xyz") + entry(b""))
    assert [audit.entry(two, each) for each in range(audit.count(two))] == [
        (CRYPTO.sha256(b"xyz"), 3),
        (CRYPTO.sha256(b""), 0),
    ]


def test_challenges_that_are_refused():
    big = bytes(32) + (audit.SIZE_MAX + 1).to_bytes(4, "big")
    for kind, subject in (
        (0, b""), (5, b""), (audit.LEAF, b""), (audit.LEAF, bytes(35)), (audit.LEAF, bytes(37)), (audit.LEAF, big),
        (audit.LEAF, bytes(65 * 36)), (audit.WHOLE, b""), (audit.DIGEST, b"x"), (audit.LIST, b""),
        (audit.LIST, bytes(6)), (audit.LIST, b"\x10\0\0\0\0"),
    ):  # fmt: skip
        data = CODEC.encode({1: kind, 2: NONCE, 3: subject})
        assert raises(PeerError, audit.decode_challenge, CODEC, data).code == "audit", (kind, subject)
        if kind:
            asked = audit.Challenge(kind, NONCE, subject)
            assert kind == 5 or raises(UsageError, answers.encode_challenge, CODEC, asked).code == "audit"
    good = {1: audit.DIGEST, 2: NONCE, 3: b""}
    for key, value in ((1, True), (1, "x"), (2, bytes(15)), (2, 5), (3, None), (3, "")):
        bad = dict(good)
        bad[key] = value
        assert raises(PeerError, audit.decode_challenge, CODEC, CODEC.encode(bad)).code == "audit"
    for bad in ([], 5, {1: 3}, {1: 3, 2: NONCE, 4: b""}, {1: 3, 2: NONCE, 3: b"", 4: 0}):
        assert raises(PeerError, audit.decode_challenge, CODEC, CODEC.encode(bad)).code == "audit"
    assert raises(PeerError, audit.decode_challenge, CODEC, bytes(2401)).code == "audit"
