"""P-256 with secret scalars in plain integers (the curve: ota/p256.py); points are 65-byte uncompressed SEC1.

Not constant time: MicroPython's integers are not. What can be had cheaply is done: `multiply` runs the same
64 rounds of four doublings and one addition for every scalar (Joye-Tunstall odd digits), starts from
coordinates randomised by `mask`, and looks nothing up by a zero digit. What remains, as a known limit: the
time of one big-integer operation, and which table entry is read. `inverse` takes a time that depends on its
value (six times faster than a power), so mask secrets.
"""

from agent.errors import PeerError, UsageError
from ota import p256
from ota.p256 import GX, GY, N, P, decode, encode, inverse

if False:
    from ota.p256 import Jacobian


def base() -> bytes:
    return encode(GX, GY)


def check_scalar(scalar: int) -> None:
    if not 1 <= scalar < N:
        raise UsageError("scalar", "expected a P-256 scalar of 1 to n - 1")


def multiply(scalar: int, point: bytes, mask: int) -> bytes:
    """`mask`: a fresh random integer, not 0 modulo p."""
    check_scalar(scalar)
    x, y = decode(point)
    s = mask * mask % P
    start = (x * s % P, y * s * mask % P, mask % P)
    return _affine(_ladder(scalar, start))


def add(one: bytes, other: bytes) -> bytes:
    """PeerError("point") also when the sum is infinity."""
    x1, y1 = decode(one)
    x2, y2 = decode(other)
    return _affine(p256.add((x1, y1, 1), (x2, y2, 1)))


def negate(point: bytes) -> bytes:
    x, y = decode(point)
    return encode(x, P - y)  # y is never 0: the order of the group is odd


def _ladder(scalar: int, start: "Jacobian") -> "Jacobian":
    """Every odd scalar is 1 followed by 64 digits out of -15, -13 … 15; an even one is n minus an odd one."""
    is_even = 1 - (scalar & 1)
    n = (scalar, N - scalar)[is_even]
    digits = []
    for _ in range(64):
        digit = (n & 31) - 16
        digits.append(digit)
        n = (n - digit) >> 4
    step = p256.double(start)
    table = [start]
    for _ in range(7):
        table.append(p256.add(table[-1], step))
    total = start
    for digit in reversed(digits):
        total = p256.double(p256.double(p256.double(p256.double(total))))
        x, y, z = table[abs(digit) >> 1]
        total = p256.add(total, (x, (y, P - y)[digit < 0], z))
    x, y, z = total
    return x, (y, P - y)[is_even], z


def _affine(point: "Jacobian") -> bytes:
    x, y, z = point
    if z == 0:
        raise PeerError("point", "expected points with a sum, got a point and its negative")
    shift = inverse(z, P)
    s = shift * shift % P
    return encode(x * s % P, y * s * shift % P)
