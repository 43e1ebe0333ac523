"""Invariant: whatever comes as a delta, `apply` writes no byte more than the segment has, reads nothing outside the
base, and returns only where what was written has the digest; else it raises PeerError("delta") or TrustError("digest").
Of a head, whose lines it numbers, it writes at most what the record makes and an index of HEAD_BYTES_MAX.
What the encoder makes, the decoder takes, whatever the two packs are.

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import hashlib
import io
import os
import random

import pytest

from ota import delta, pack
from ota.errors import CoreletError
from tests.unit.ota.packing import build, head_of
from tools.gateway import deltas

FULL = 30
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1
WORDS = [f"word{number} = {number * 7919}\n".encode() for number in range(300)]


def text(seed: random.Random, lines: int) -> bytes:
    return b"".join(seed.choice(WORDS) for _ in range(lines))


def edited(seed: random.Random, data: bytes) -> bytes:
    """Some lines replaced, some in, some out; perhaps a part from elsewhere."""
    made = bytearray(data)
    for _ in range(seed.randrange(6)):
        at = seed.randrange(len(made) + 1)
        kind = seed.randrange(4)
        if kind == 0:
            made[at:at] = text(seed, seed.randrange(1, 9))
        elif kind == 1:
            del made[at : at + seed.randrange(400)]
        elif kind == 2:
            made[at : at + 40] = seed.randbytes(seed.randrange(80))
        else:
            start = seed.randrange(len(made) + 1)
            made[at:at] = made[start : start + seed.randrange(5000)]
    return bytes(made)


def packs(seed: random.Random) -> tuple[bytes, bytes]:
    files = [(f"a/f{number}.py", text(seed, seed.randrange(1500))) for number in range(seed.randrange(1, 7))]
    changed = [(name, edited(seed, data) if seed.random() < 0.5 else data) for name, data in files]
    if seed.random() < 0.3:
        changed.append(("b.py", seed.randbytes(seed.randrange(70_000))))
    if seed.random() < 0.3 and len(changed) > 1:
        changed.pop(0)
    return build(files), build(changed)


def most_bytes(target: bytes) -> int:
    """As the encoder says."""
    head = pack.Pack(head_of(target))
    index = target[24 : 24 + int.from_bytes(target[12:16], "big")]
    return len(target) + delta.PREFIX_BYTES + 10 * (1 + head.segments) + 7 * index.count(b"\n")


@pytest.mark.parametrize("size", [1, 32767, 32768, 40_000, 65536])
def test_what_nothing_can_be_made_of(size: int) -> None:
    """Random bytes; one file, whose OFFSET is 0 in both."""
    target = build([("a.py", random.Random(size).randbytes(size))])
    for base in (b"", build([("a.py", random.Random(size + 1).randbytes(size))])):
        assert len(deltas.encode(base, target)) <= most_bytes(target) - 7


@pytest.mark.parametrize("start", range(3 * ROUNDS))
def test_what_is_encoded_is_decoded(start: int) -> None:
    seed = random.Random(start)
    for _ in range(6):
        base, target = packs(seed)
        for one in (base, b""):
            made = deltas.encode(one, target)  # it decodes, too
            assert deltas.decode(one, made, hashlib.sha256(head_of(target)).digest()) == target
            assert len(made) <= most_bytes(target)
        assert len(deltas.encode(target, target)) < 100 + 3 * (2 + len(target) // pack.SEGMENT_BYTES)


class Written:
    """Counts; fails as soon as a byte too many comes, or one from outside the base."""

    def __init__(self, base: bytes, most: int) -> None:
        self.base, self.left, self.pieces = base, most, bytearray()

    def write(self, piece: bytes) -> None:
        self.left -= len(piece)
        assert self.left >= 0 and 0 < len(piece) <= delta.PIECE_BYTES
        self.pieces += piece

    def write_head(self, piece: bytes) -> None:
        self.left -= len(piece)
        assert self.left >= 0 and 0 < len(piece) <= delta.PIECE_BYTES + delta.LINE_BYTES_MAX
        self.pieces += piece

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0 and 0 < length <= delta.PIECE_BYTES and offset + length <= len(self.base)
        return self.base[offset : offset + length]


def attempt(record: bytes, base: bytes, place: int, length: int, digest: bytes) -> bool:
    out = Written(base, length)
    try:
        where = delta.Base(out.read, len(base))
        delta.apply(io.BytesIO(record), len(record), where, (place, length, digest), out.write)
    except CoreletError as error:
        assert error.code in ("delta", "digest"), error.code
        return False
    assert out.left == 0 and hashlib.sha256(out.pieces).digest() == digest
    return True


def operations(seed: random.Random) -> bytes:
    """Numbers and bytes as a record has them, deflated: what only the rules of the record can refuse."""
    made = bytearray()
    for _ in range(seed.randrange(1, 12)):
        count = seed.choice((0, 1, 5, 127, 128, 1024, 1025, 3000, 1 << 31, (1 << 35) - 1))
        made += deltas._number(count) + seed.randbytes(min(count, 3000) if seed.random() < 0.9 else 3)
        made += deltas._number(seed.choice((0, 1, 900, 1024, 5000, 1 << 34)))
        made += deltas._number(seed.choice((0, 1, 2, 3, 2000, 2001, 10_000, 1 << 34)))
    return deflated(bytes(made))


def deflated(data: bytes) -> bytes:
    import zlib

    stream = zlib.compressobj(6, zlib.DEFLATED, -delta.WINDOW_BITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize("start", range(ROUNDS))
def test_damaged_records(start: int) -> None:
    seed = random.Random(1000 + start)
    accepted = 0
    for _ in range(12):
        base, target = packs(seed)
        made = deltas.encode(base, target)
        found = delta.Delta(made[: delta.PREFIX_BYTES + 2 * delta.read_count(made[: delta.PREFIX_BYTES])])
        head = pack.Pack(head_of(target))
        for _ in range(60):
            number = seed.randrange(head.segments)
            start, length, digest = head.segment(number)
            place, size = found.record(number + 1)
            record = bytearray(made[place : place + size])
            for _ in range(seed.randrange(4)):
                at = seed.randrange(len(record) + 1)
                if seed.random() < 0.6 and at < len(record):
                    record[at] ^= 1 << seed.randrange(8)
                else:
                    record[at : at + seed.randrange(9)] = seed.randbytes(seed.randrange(9))
            accepted += attempt(bytes(record), base, start, length, digest)
    assert accepted > 60  # those that were not damaged


@pytest.mark.parametrize("start", range(ROUNDS))
def test_records_of_nonsense(start: int) -> None:
    seed = random.Random(2000 + start)
    base = seed.randbytes(6000)
    for _ in range(1500):
        record = operations(seed) if seed.random() < 0.8 else seed.randbytes(seed.randrange(200))
        length = seed.choice((1, 1, 900, 4000, 32768))
        assert not attempt(record, base, seed.choice((1, 2000, 1 << 24)), length, seed.randbytes(32))


INDEX = b"".join(b"a/f%d.py %d %d\n" % (number, 100 * number, 100) for number in range(60))


@pytest.mark.parametrize("start", range(ROUNDS))
def test_heads_of_packs(start: int) -> None:
    """Damaged in any way, in pieces of any length; those whose OFFSETs alone are wrong come out right."""
    seed = random.Random(4000 + start)
    digests = seed.randbytes(320)
    right = b"CLPACK1\n" + bytes(4) + len(INDEX).to_bytes(4, "big") + bytes(8) + INDEX + digests
    accepted = 0
    for _ in range(1500):
        lines = [line.split(b" ") for line in INDEX.splitlines()]
        wrong = b"".join(
            b"%s %d %s\n" % (line[0], seed.randrange(10 ** seed.randrange(1, 9)), line[2]) for line in lines
        )
        made = bytearray(right[:24] + wrong + digests)
        for _ in range(seed.randrange(3)):
            at = seed.randrange(len(made))
            if seed.random() < 0.5:
                made[at] = seed.choice((10, 32, 48, 57, 0, 255))
            else:
                made[at : at + seed.randrange(30)] = seed.choice((b"9" * 200, b"\n" * 9, b" ", b"", b" 1\n" * 300))
        record, at = bytearray(), 0
        while at < len(made):
            size = seed.choice((1, 2, 30, 1024, 4000))
            record += deltas._number(len(made[at : at + size])) + made[at : at + size] + b"\0"
            at += size
        out = Written(b"", delta.HEAD_BYTES_MAX + 24 + len(made))
        segment = 0, len(made), hashlib.sha256(right).digest()
        try:
            delta.apply(io.BytesIO(deflated(bytes(record))), 99, delta.Base(out.read, 0), segment, out.write_head)
        except CoreletError as error:
            assert error.code in ("delta", "digest"), error.code
        else:
            assert out.pieces == right
            accepted += 1
    assert accepted > 300


@pytest.mark.parametrize("start", range(ROUNDS))
def test_heads_of_nonsense(start: int) -> None:
    seed = random.Random(3000 + start)
    good = deltas.encode(b"", build())[: delta.PREFIX_BYTES + 4]
    for _ in range(2000):
        data = bytearray(good if seed.random() < 0.8 else seed.randbytes(90))
        for _ in range(seed.randrange(1, 4)):
            data[seed.randrange(len(data))] = seed.randrange(256)
        try:
            found = delta.Delta(bytes(data))
            assert 2 <= found.records <= delta.RECORDS_MAX
            assert sum(found.record(number)[1] for number in range(found.records)) <= 65535 * found.records
        except CoreletError as error:
            assert error.code == "delta"


def test_a_bomb_is_cut_at_the_length_of_the_segment() -> None:
    """A record of 64 KiB that would inflate to 60 MiB."""
    bomb = deflated(deltas._number(60_000_000) + bytes(60_000_000))
    assert len(bomb) < 65536 and not attempt(bomb, b"", 900, 32768, bytes(32))
    many = deflated(bytes(60_000_000))  # no data, no copy, again and again
    assert not attempt(many, b"", 900, 32768, bytes(32))
    ones = deflated((deltas._number(0) + deltas._number(1) + deltas._number(1)) * 100_000)
    assert not attempt(ones, b"x" * 10, 900, 32768, bytes(32))
