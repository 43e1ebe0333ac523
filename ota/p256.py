"""NIST P-256 in plain integers, for public values only: the curve and ECDSA verification (FIPS 186-5 section 6.4.2).

Points are 65-byte uncompressed SEC1, Jacobian inside. Variable time: what meets secrets is the ladder of
agent/port/micropython/ladder.py, which builds on this. Both interpreters verify releases with it: stage-0 has no
library.
"""

import hashlib

from ota.errors import PeerError

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5

TYPE_CHECKING = False
if TYPE_CHECKING:
    Jacobian = tuple[int, int, int]  # x / z^2, y / z^3; z = 0 is infinity


def encode(x: int, y: int) -> bytes:
    return b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def decode(point: bytes) -> tuple[int, int]:
    """PeerError("point") for anything but an uncompressed point on the curve (infinity has no such form)."""
    if len(point) == 65 and point[0] == 4:
        x = int.from_bytes(point[1:33], "big")
        y = int.from_bytes(point[33:], "big")
        if x < P and y < P and (y * y - (x * x - 3) * x - B) % P == 0:
            return x, y
    raise PeerError("point", "expected an uncompressed P-256 point of 65 bytes that is on the curve")


def is_point(data: bytes) -> bool:
    try:
        decode(data)
    except PeerError:
        return False
    return True


def inverse(value: int, modulus: int) -> int:
    """By extended Euclid: six times faster than a power, and its time depends on `value`, so mask secrets."""
    old, new = modulus, value % modulus
    old_factor, factor = 0, 1
    while new:
        quotient = old // new
        old, new = new, old - quotient * new
        old_factor, factor = factor, old_factor - quotient * factor
    return old_factor % modulus


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """ES256 over SHA-256(message), raw r||s. False for anything but a valid signature by a valid key."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not (1 <= r < N and 1 <= s < N):
        return False
    number = int.from_bytes(hashlib.sha256(message).digest(), "big")
    shift = inverse(s, N)
    try:
        x = multiply_two(number * shift % N, r * shift % N, public)
    except PeerError:  # not a point
        return False
    return x >= 0 and x % N == r


def multiply_two(first: int, second: int, point: bytes) -> int:
    """x of first * G + second * point, or -1 for infinity (Shamir's trick). Variable time: never for secrets."""
    x, y = decode(point)
    one = (GX, GY, 1)
    two = (x, y, 1)
    table = ((0, 1, 0), one, two, add(one, two))
    total = table[0]
    for bit in range(255, -1, -1):
        total = double(total)
        choice = (first >> bit & 1) | (second >> bit & 1) << 1
        if choice:
            total = add(total, table[choice])
    if total[2] == 0:
        return -1
    shift = inverse(total[2], P)
    return total[0] * shift * shift % P


def double(point: "Jacobian") -> "Jacobian":
    x, y, z = point
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    third = (alpha * alpha - 8 * beta) % P
    return third, (alpha * (4 * beta - third) - 8 * gamma * gamma) % P, 2 * y * z % P


def add(one: "Jacobian", other: "Jacobian") -> "Jacobian":
    x1, y1, z1 = one
    x2, y2, z2 = other
    if z1 == 0:
        return other
    if z2 == 0:
        return one
    square1 = z1 * z1 % P
    square2 = z2 * z2 % P
    left = x1 * square2 % P
    height = (x2 * square1 - left) % P
    base_y = y1 * square2 * z2 % P
    slope = (y2 * square1 * z1 - base_y) % P
    if height == 0:
        return (0, 1, 0) if slope else double(one)
    height2 = height * height % P
    height3 = height * height2 % P
    middle = left * height2 % P
    third = (slope * slope - height3 - 2 * middle) % P
    return third, (slope * (middle - third) - base_y * height3) % P, z1 * z2 * height % P
