"""ECDSA verification; points and the ladder: tests/unit/agent/port/test_p256.py."""

from ota import p256
from tests.unit.ota.making import KEYS, proof, public

SAMPLE = "tests/vectors/data/wycheproof/sample.txt"


def test_wycheproof():
    seen = 0
    with open(SAMPLE) as lines:
        for line in lines:
            words = line.split()
            if words[0] == "ecdsa":
                fields = [b"" if word == "-" else bytes.fromhex(word) for word in words[3:]]
                assert p256.verify(*fields) == (words[2] == "valid"), line
                seen += 1
    assert seen == 48


def test_edges():
    key = public(KEYS[0])
    good = proof(KEYS[0], b"message")
    assert p256.verify(key, b"message", good) and p256.is_point(key)
    for signature in (b"", good[:-1], good + b"\0", bytes(64), bytes(32) + good[32:], good[:32] + bytes(32)):
        assert not p256.verify(key, b"message", signature)
    order = p256.N.to_bytes(32, "big")
    assert not p256.verify(key, b"message", order + good[32:]) and not p256.verify(key, b"message", good[:32] + order)
    for point in (b"", key[:-1], b"\2" + key[1:33], key[:-1] + bytes([key[-1] ^ 1]), b"\4" + bytes(64)):
        assert not p256.is_point(point) and not p256.verify(point, b"message", good)
