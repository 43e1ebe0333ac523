"""NIST P-256 in plain integers: points as 65-byte uncompressed SEC1, Jacobian inside.

Not constant time: MicroPython's integers are not. What can be had cheaply is done: `multiply` runs the same
64 rounds of four doublings and one addition for every scalar (Joye-Tunstall odd digits), starts from
coordinates randomised by `mask`, and looks nothing up by a zero digit. What remains, as a known limit: the
time of one big-integer operation, and which table entry is read. `multiply_two` is for public values only.
"""

from agent.errors import PeerError, UsageError

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5

TYPE_CHECKING = False
if TYPE_CHECKING:
    Jacobian = tuple[int, int, int]  # x / z^2, y / z^3; z = 0 is infinity


def base() -> bytes:
    return encode(GX, GY)


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


def check_scalar(scalar: int) -> None:
    if not 1 <= scalar < N:
        raise UsageError("scalar", "expected a P-256 scalar of 1 to n - 1")


def inverse(value: int, modulus: int) -> int:
    """By extended Euclid: six times faster than a power, and its time depends on `value`, so mask secrets."""
    old, new = modulus, value % modulus
    old_factor, factor = 0, 1
    while new:
        quotient = old // new
        old, new = new, old - quotient * new
        old_factor, factor = factor, old_factor - quotient * factor
    return old_factor % modulus


def multiply(scalar: int, point: bytes, mask: int) -> bytes:
    """`mask`: a fresh random integer, not 0 modulo p."""
    check_scalar(scalar)
    x, y = decode(point)
    square = mask * mask % P
    start = (x * square % P, y * square * mask % P, mask % P)
    return _affine(_ladder(scalar, start))


def add(one: bytes, other: bytes) -> bytes:
    """PeerError("point") also when the sum is infinity."""
    x1, y1 = decode(one)
    x2, y2 = decode(other)
    return _affine(_add((x1, y1, 1), (x2, y2, 1)))


def negate(point: bytes) -> bytes:
    x, y = decode(point)
    return encode(x, P - y)  # y is never 0: the order of the group is odd


def multiply_two(first: int, second: int, point: bytes) -> int:
    """x of first * G + second * point, or -1 for infinity (Shamir's trick). Variable time: never for secrets."""
    x, y = decode(point)
    one = (GX, GY, 1)
    two = (x, y, 1)
    table = ((0, 1, 0), one, two, _add(one, two))
    total = table[0]
    for bit in range(255, -1, -1):
        total = _double(total)
        choice = (first >> bit & 1) | (second >> bit & 1) << 1
        if choice:
            total = _add(total, table[choice])
    if total[2] == 0:
        return -1
    shift = inverse(total[2], P)
    return total[0] * shift * shift % P


def _ladder(scalar: int, start: "Jacobian") -> "Jacobian":
    """Every odd scalar is 1 followed by 64 digits out of -15, -13 … 15; an even one is n minus an odd one."""
    is_even = 1 - (scalar & 1)
    odd = (scalar, N - scalar)[is_even]
    digits = []
    for _ in range(64):
        digit = (odd & 31) - 16
        digits.append(digit)
        odd = (odd - digit) >> 4
    twice = _double(start)
    table = [start]
    for _ in range(7):
        table.append(_add(table[-1], twice))
    total = start
    for digit in reversed(digits):
        total = _double(_double(_double(_double(total))))
        x, y, z = table[abs(digit) >> 1]
        total = _add(total, (x, (y, P - y)[digit < 0], z))
    x, y, z = total
    return x, (y, P - y)[is_even], z


def _affine(point: "Jacobian") -> bytes:
    x, y, z = point
    if z == 0:
        raise PeerError("point", "expected points with a sum, got a point and its negative")
    shift = inverse(z, P)
    square = shift * shift % P
    return encode(x * square % P, y * square * shift % P)


def _double(point: "Jacobian") -> "Jacobian":
    x, y, z = point
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    third = (alpha * alpha - 8 * beta) % P
    return third, (alpha * (4 * beta - third) - 8 * gamma * gamma) % P, 2 * y * z % P


def _add(one: "Jacobian", other: "Jacobian") -> "Jacobian":
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
        return (0, 1, 0) if slope else _double(one)
    height2 = height * height % P
    height3 = height * height2 % P
    middle = left * height2 % P
    third = (slope * slope - height3 - 2 * middle) % P
    return third, (slope * (middle - third) - base_y * height3) % P, z1 * z2 * height % P
