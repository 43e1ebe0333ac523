"""ECDSA over P-256 and SHA-256: the signatures of RFC 6979 appendix A.2.5, and what must not verify."""

from agent import port

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SCALAR = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC6979 = (
    (
        b"sample",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ),
    (
        b"test",
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
        "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
    ),
)


def test_rfc6979():
    crypto = port.crypto()
    public = crypto.p256_public(SCALAR)
    for message, signature in RFC6979:
        assert crypto.ecdsa_sign(SCALAR, message).hex() == signature
        assert crypto.ecdsa_verify(public, message, bytes.fromhex(signature)) is True


def test_edges_of_the_scalar():
    crypto = port.crypto()
    for scalar in (1, 2, N - 1, N >> 1):
        signature = crypto.ecdsa_sign(scalar, b"")
        assert crypto.ecdsa_verify(crypto.p256_public(scalar), b"", signature)
        assert crypto.ecdsa_sign(scalar, b"") == signature  # deterministic, whatever masked it


def test_what_must_not_verify():
    crypto = port.crypto()
    public = crypto.p256_public(SCALAR)
    message, text = RFC6979[0]
    signature = bytes.fromhex(text)
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    assert crypto.ecdsa_verify(public, message, signature)
    assert crypto.ecdsa_verify(public, message, pair(r, N - s))  # the other valid form: not unique by design
    for one, other in ((0, s), (r, 0), (0, 0), (N, s), (r, N), (N - r, s), (s, r), (r, s + 1), (1, 1), (N - 1, N - 1)):
        assert crypto.ecdsa_verify(public, message, pair(one, other)) is False
    for wrong in (b"", signature[:-1], signature + b"\0", b"\0" + signature, bytes(64), b"\xff" * 64, b"\x30" * 70):
        assert crypto.ecdsa_verify(public, message, wrong) is False
    assert crypto.ecdsa_verify(public, b"Sample", signature) is False
    assert crypto.ecdsa_verify(crypto.p256_public(3), message, signature) is False
    assert crypto.ecdsa_verify(crypto.p256_negate(public), message, signature) is False
    for bit in range(0, 512, 37):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << (bit % 8)
        assert crypto.ecdsa_verify(public, message, bytes(changed)) is False


def test_a_sum_at_infinity_does_not_verify():
    """u1 G + u2 Q = infinity: Q = -(number / r) G makes every s fail, not crash."""
    crypto = port.crypto()
    number = int.from_bytes(crypto.sha256(b"m"), "big") % N
    r = 5
    scalar = (N - number) * pow(r, N - 2, N) % N
    for s in (1, 2, N - 1):
        assert crypto.ecdsa_verify(crypto.p256_public(scalar), b"m", pair(r, s)) is False


def pair(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
