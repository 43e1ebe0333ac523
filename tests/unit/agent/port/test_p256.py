"""P-256: known multiples, the group's laws, and points and scalars that must be refused."""

from agent import port
from agent.errors import PeerError, UsageError
from tests.expect import raises

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GX = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
GY = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
G2X = "7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"
G2Y = "07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1"


def test_known_multiples():
    crypto = port.crypto()
    base = bytes.fromhex("04" + GX + GY)
    assert crypto.p256_public(1) == base
    assert crypto.p256_public(2).hex() == "04" + G2X + G2Y
    assert crypto.p256_public(N - 1) == crypto.p256_negate(base)
    assert crypto.p256_public(N - 2) == crypto.p256_negate(bytes.fromhex("04" + G2X + G2Y))
    # RFC 6979 appendix A.2.5
    scalar = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    assert crypto.p256_public(scalar).hex() == (
        "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    )


def test_small_scalars_and_their_mirror():
    crypto = port.crypto()
    base = crypto.p256_public(1)
    total = base
    for scalar in range(2, 40):
        total = crypto.p256_add(total, base)
        if scalar % 6 == 3 or scalar in (15, 16, 17, 31, 32, 33):
            assert crypto.p256_public(scalar) == total
            assert crypto.p256_public(N - scalar) == crypto.p256_negate(total)


def test_scalars_with_special_digits():
    """Runs of ones and zeros, and halves of n, where an addition may meet a point and itself."""
    crypto = port.crypto()
    base = crypto.p256_public(1)
    for scalar in (1 << 255, (1 << 255) - 1, (1 << 128) - 1, N >> 1, (N >> 1) + 1, N - (1 << 128), 15 << 252):
        one = crypto.p256_public(scalar)
        assert crypto.p256_add(one, base) == crypto.p256_public(scalar + 1)
        assert crypto.p256_multiply(scalar, base) == one


def test_laws():
    crypto = port.crypto()
    one = crypto.p256_public(0x1234567890ABCDEF << 150)
    other = crypto.p256_public(99991)
    assert crypto.p256_add(one, other) == crypto.p256_add(other, one)
    assert crypto.p256_negate(crypto.p256_negate(one)) == one
    assert crypto.p256_add(crypto.p256_add(one, other), crypto.p256_negate(other)) == one
    assert crypto.p256_multiply(7, crypto.p256_multiply(11, one)) == crypto.p256_multiply(77, one)
    assert crypto.p256_add(one, one) == crypto.p256_multiply(2, one)
    assert crypto.p256_multiply(1, one) == one
    assert raises(PeerError, crypto.p256_add, one, crypto.p256_negate(one)).code == "point"


def test_points_that_are_none():
    crypto = port.crypto()
    good = crypto.p256_public(5)
    x = good[1:33]
    y = good[33:]
    # x = 0 has a point on this curve (b is a square), and p fits in 32 bytes
    root = bytes.fromhex("66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4")
    assert crypto.p256_negate(b"\x04" + bytes(32) + root)[:33] == b"\x04" + bytes(32)
    for point in (
        b"",
        b"\x00",
        bytes(65),
        b"\x04" + bytes(64),  # (0, 0), which some libraries take for infinity
        b"\x04" + P.to_bytes(32, "big") + root,  # x = p, the same as 0
        b"\x04" + x + P.to_bytes(32, "big"),
        b"\x04" + b"\xff" * 64,
        b"\x04" + x + ((int.from_bytes(y, "big") + 1) % P).to_bytes(32, "big"),
        b"\x04" + y + x,
        b"\x04" + x + bytes(32),  # y = 0: no such point here, order is odd
        b"\x02" + x,
        b"\x03" + x,
        b"\x02" + x + y,
        b"\x03" + x + y,
        b"\x05" + x + y,
        b"\x06" + x + y,
        b"\x07" + x + y,
        b"\x00" + x + y,
        good[:-1],
        good + b"\x00",
        b"\x04" + x,
    ):
        assert raises(PeerError, crypto.p256_multiply, 3, point).code == "point"
        assert raises(PeerError, crypto.p256_negate, point).code == "point"
        assert raises(PeerError, crypto.p256_add, good, point).code == "point"
        assert raises(PeerError, crypto.p256_add, point, good).code == "point"
        assert crypto.ecdsa_verify(point, b"m", b"\x01" * 64) is False


def test_scalars_out_of_range():
    crypto = port.crypto()
    good = crypto.p256_public(5)
    for scalar in (0, -1, N, N + 1, 1 << 256):
        assert raises(UsageError, crypto.p256_public, scalar).code == "scalar"
        assert raises(UsageError, crypto.p256_multiply, scalar, good).code == "scalar"
        assert raises(UsageError, crypto.ecdsa_sign, scalar, b"m").code == "scalar"
