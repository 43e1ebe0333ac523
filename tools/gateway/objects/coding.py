"""Systematic Cauchy Reed-Solomon over GF(2^8), polynomial 0x11d: n shards, any k of them give the data back.

One format, two engines with the same bytes: pyeclib's `isa_l_rs_cauchy` where it can be imported, else the rows below
(row i, column j of the parity is inv((k+i) ^ j), Blömer et al. 1995; ISA-L `gf_gen_cauchy1_matrix`). Never ISA-L's
Vandermonde rows: some k-subsets of them cannot be decoded. Shards 0..k-1 are the data itself. It is not encryption and
it does not notice a wrong byte: callers verify each shard's SHA-256 before decoding.

Bounds: n <= SHARDS_MAX, all shards of one call have the same length.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from Crypto.Util.strxor import strxor

from agent.errors import UsageError

SHARDS_MAX = 32
TEMPLATES_MAX = 8  # pyeclib fragment headers kept, one set for each (k, n, length) in use
FRAGMENT_HEADER_BYTES = 80
POLYNOMIAL = 0x11D


class Profile(NamedTuple):
    """k shards of data, n in all: any n-k of them may be lost."""

    k: int
    n: int

    @property
    def receipts_min(self) -> int:
        """A put succeeds at this many receipts for each stripe; the rest may follow later (design section 7)."""
        return self.k + (self.n - self.k + 1) // 2

    def __str__(self) -> str:
        return f"{self.k}/{self.n}"


PROFILES = (  # (reachable devices at least, profile), best first; design section 7
    (16, Profile(10, 16)),
    (8, Profile(4, 8)),
    (4, Profile(2, 4)),
    (3, Profile(2, 3)),
    (2, Profile(1, 2)),
    (1, Profile(1, 1)),
)


def profile_for(devices: int) -> Profile:
    """The profile for so many reachable devices. UsageError("no_devices") for none."""
    for least, profile in PROFILES:
        if devices >= least:
            return profile
    raise UsageError("no_devices", "a file needs a reachable device and there is none: see corelet-core devices")


@cache
def _logarithms() -> tuple[list[int], list[int]]:
    exponents, logarithms = [0] * 510, [0] * 256
    value = 1
    for power in range(255):
        exponents[power] = exponents[power + 255] = value
        logarithms[value] = power
        value <<= 1
        if value & 0x100:
            value ^= POLYNOMIAL
    return exponents, logarithms


def multiply(one: int, other: int) -> int:
    """In GF(2^8)."""
    if not one or not other:
        return 0
    exponents, logarithms = _logarithms()
    return exponents[logarithms[one] + logarithms[other]]


def inverse(value: int) -> int:
    """In GF(2^8); `value` is 1..255."""
    exponents, logarithms = _logarithms()
    return exponents[255 - logarithms[value]]


@cache
def _table(factor: int) -> bytes:
    return bytes(multiply(factor, value) for value in range(256))


def generator(profile: Profile) -> list[list[int]]:
    """n rows of k coefficients: the unit matrix, then the Cauchy rows."""
    k, n = profile
    unit = [[int(row == column) for column in range(k)] for row in range(k)]
    return unit + [[inverse(row ^ column) for column in range(k)] for row in range(k, n)]


def _combine(coefficients: Sequence[int], parts: Sequence[bytes], length: int) -> bytes:
    """One linear combination: multiply by table look-up, add by the exclusive or that pycryptodome has in C (big
    integers take twice as long, in their conversion)."""
    total = bytearray(length)
    for factor, part in zip(coefficients, parts, strict=True):
        if factor:
            strxor(part if factor == 1 else part.translate(_table(factor)), total, output=total)
    return bytes(total)


def _inverted(rows: list[list[int]]) -> list[list[int]]:
    """Gauss-Jordan; every k rows of the generator are independent, so a pivot always exists."""
    k = len(rows)
    work = [row + [int(index == column) for column in range(k)] for index, row in enumerate(rows)]
    for column in range(k):
        pivot = next(index for index in range(column, k) if work[index][column])
        work[column], work[pivot] = work[pivot], work[column]
        scale = _table(inverse(work[column][column]))
        work[column] = [scale[value] for value in work[column]]
        for index in range(k):
            factor = work[index][column]
            if index != column and factor:
                work[index] = [
                    value ^ multiply(factor, base) for value, base in zip(work[index], work[column], strict=True)
                ]
    return [row[k:] for row in work]


class PureRows:
    """The engine that needs no library of its own."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._rows = generator(profile)

    def encode(self, parts: Sequence[bytes]) -> list[bytes]:
        """The n-k parity shards of k data parts."""
        length = len(parts[0])
        return [_combine(row, parts, length) for row in self._rows[self.profile.k :]]

    def decode(self, shards: Mapping[int, bytes]) -> list[bytes]:
        """The k data parts out of exactly k shards, by index."""
        k = self.profile.k
        chosen = sorted(shards)
        length = len(shards[chosen[0]])
        rows = _inverted([self._rows[index] for index in chosen])
        sources = [shards[index] for index in chosen]
        return [shards[part] if part in shards else _combine(rows[part], sources, length) for part in range(k)]


class IsaL:
    """pyeclib's `isa_l_rs_cauchy`. Its 80-byte fragment header depends on (k, n, index, length) only, never on the
    data, so it is cut off after encoding and put back from a template before decoding."""

    def __init__(self, profile: Profile) -> None:
        from pyeclib.ec_iface import ECDriver

        self.profile = profile
        self._driver = ECDriver(k=profile.k, m=profile.n - profile.k, ec_type="isa_l_rs_cauchy")
        self._templates: OrderedDict[int, list[bytes]] = OrderedDict()

    def encode(self, parts: Sequence[bytes]) -> list[bytes]:
        """The n-k parity shards of k data parts."""
        fragments = self._driver.encode(b"".join(parts))[self.profile.k :]
        return [bytes(fragment[FRAGMENT_HEADER_BYTES:]) for fragment in fragments]

    def decode(self, shards: Mapping[int, bytes]) -> list[bytes]:
        """The k data parts out of exactly k shards, by index."""
        length = len(next(iter(shards.values())))
        headers = self._headers(length)
        data = self._driver.decode([headers[index] + shards[index] for index in sorted(shards)])
        return [bytes(data[part * length : (part + 1) * length]) for part in range(self.profile.k)]

    def _headers(self, length: int) -> list[bytes]:
        headers = self._templates.get(length)
        if headers is None:
            fragments = self._driver.encode(bytes(self.profile.k * length))
            headers = [bytes(fragment[:FRAGMENT_HEADER_BYTES]) for fragment in fragments]
            self._templates[length] = headers
            if len(self._templates) > TEMPLATES_MAX:
                self._templates.popitem(last=False)
        return headers


def engines() -> list[type[PureRows] | type[IsaL]]:
    """What this machine can use, fastest first."""
    try:
        import pyeclib.ec_iface  # noqa: F401  (an optional library: its absence costs speed, never bytes)
    except (ImportError, OSError):
        return [PureRows]
    return [IsaL, PureRows]


class Code:
    """One profile with the best engine at hand."""

    def __init__(self, profile: Profile, engine: type[PureRows] | type[IsaL] | None = None) -> None:
        if not 1 <= profile.k <= profile.n <= SHARDS_MAX:
            raise UsageError("profile", f"a coding profile is k/n with 1 <= k <= n <= {SHARDS_MAX}, not {profile}")
        self.profile = profile
        # One shard of data without parity is the data: no engine takes part.
        self._engine = None if profile.k == profile.n else (engine or engines()[0])(profile)

    def encode(self, parts: Sequence[bytes]) -> list[bytes]:
        """k data parts of equal length -> n shards, the first k being the parts themselves."""
        self._check(parts, self.profile.k)
        parity = self._engine.encode(parts) if self._engine and parts[0] else [b""] * (self.profile.n - self.profile.k)
        return [*parts, *parity]

    def decode(self, shards: Mapping[int, bytes]) -> list[bytes]:
        """At least k shards of equal length, by index -> the k data parts."""
        k, n = self.profile
        if len(shards) < k or not all(0 <= index < n for index in shards):
            raise UsageError("shards", f"decoding {k}/{n} needs {k} shards of indices 0..{n - 1}, not {sorted(shards)}")
        chosen = {index: shards[index] for index in sorted(shards)[:k]}
        self._check(list(chosen.values()), k)
        if self._engine is None or max(chosen) < k or not chosen[min(chosen)]:
            return [chosen.get(part, b"") for part in range(k)]
        return self._engine.decode(chosen)

    @staticmethod
    def _check(parts: Sequence[bytes], count: int) -> None:
        if len(parts) != count or len({len(part) for part in parts}) != 1:
            raise UsageError("parts", f"expected {count} parts of one length, not {[len(part) for part in parts]}")
