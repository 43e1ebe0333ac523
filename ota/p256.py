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

if False:
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


def inverse(value: int, n: int) -> int:
    """By extended Euclid: six times faster than a power, and its time depends on `value`, so mask secrets."""
    old, new = n, value % n
    g, f = 0, 1
    while new:
        q = old // new
        old, new = new, old - q * new
        g, f = f, g - q * f
    return g % n


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
    one, other = (GX, GY, 1), (x, y, 1)
    table = ((0, 1, 0), one, other, add(one, other))
    total = table[0]
    for i in range(255, -1, -1):
        total = double(total)
        choice = (first >> i & 1) | (second >> i & 1) << 1
        if choice:
            total = add(total, table[choice])
    if total[2] == 0:
        return -1
    shift = inverse(total[2], P)
    return total[0] * shift * shift % P


def double(point: "Jacobian") -> "Jacobian":
    x, y, z = point
    d = z * z % P
    c = y * y % P
    b = x * c % P
    a = 3 * (x - d) * (x + d) % P
    s = (a * a - 8 * b) % P
    return s, (a * (4 * b - s) - 8 * c * c) % P, 2 * y * z % P


def add(one: "Jacobian", other: "Jacobian") -> "Jacobian":
    x1, y1, z1 = one
    x2, y2, z2 = other
    if z1 == 0:
        return other
    if z2 == 0:
        return one
    u = z1 * z1 % P
    v = z2 * z2 % P
    left = x1 * v % P
    h = (x2 * u - left) % P
    s = y1 * v * z2 % P
    r = (y2 * u * z1 - s) % P
    if h == 0:
        return (0, 1, 0) if r else double(one)
    i = h * h % P
    j = h * i % P
    m = left * i % P
    t = (r * r - j - 2 * m) % P
    return t, (r * (m - t) - s * j) % P, z1 * z2 * h % P
