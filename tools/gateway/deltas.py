"""Deltas between packs (ota/delta.py has their bytes), made for any base and without any key: the device proves each
segment by the signed release.

The encoder looks for what the new pack has in common with the old one: runs of SEED_BYTES that stand in the old one at
a multiple of a stride, each grown to both sides. What is found becomes copies, the rest data; each segment is then cut,
numbered and deflated on its own, with the shortest copies that pay for themselves there.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ota import pack
from ota.delta import MAGIC, PREFIX_BYTES, SHIFT_BYTES_MAX, WINDOW_BITS, Base, Delta, apply, read_count
from ota.errors import TrustError

SEED_BYTES = 24
STRIDE_MIN = 4
SEEDS_MAX = 400_000  # of the base in memory: some 60 MB
PLACES_MAX = 4  # of one seed that are tried
COPY_BYTES_MIN = 16  # shorter ones cost more than their bytes deflated
COPIES_BYTES_MIN = (8, 12, COPY_BYTES_MIN, 24, 32)  # or, in some records, some longer ones; which is tried
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_FIXED)
STEP_BYTES = 4096
NO_BASE = bytes(32)


class Match(NamedTuple):
    """target[start:end] is what the base has at `place`."""

    start: int
    end: int
    place: int


def encode(base: bytes, target: bytes) -> bytes:
    """A delta that makes the pack `target` of `base`; b"": of nothing, so it is `target` deflated. Applied here
    before it is given away. PeerError("pack") where the target is none.

    At most `target` and PREFIX_BYTES, 10 bytes a record (2 its length, 3 the number before all of it as data, 5 of a
    stored block) and 7 a file (an OFFSET of the base has up to 8 digits, its own at least one): a copy of 32 bytes
    takes at most 3 + 3 + 4, so it is never more than data."""
    head = pack.Pack(target[: pack.read_prefix(target[: pack.PREFIX_BYTES])[0]])
    aside = _aside(base, target[: head.head_bytes])
    records = [_record(aside, list(_matches(base, aside)), 0, len(aside))]
    matches = list(_matches(base, target))
    for number in range(head.segments):
        start, length, _ = head.segment(number)
        records.append(_shift(matches, start, start + length) or _record(target, matches, start, start + length))
    names = (hashlib.sha256(base).digest() if base else NO_BASE) + hashlib.sha256(target).digest()
    numbers = [len(records), len(aside)], [len(record) for record in records]
    first, lengths = [b"".join(number.to_bytes(2, "big") for number in row) for row in numbers]
    made = MAGIC + first + names + lengths + b"".join(records)
    if decode(base, made, hashlib.sha256(target[: head.head_bytes]).digest()) != target:
        raise TrustError("delta", "expected a delta that makes its target, got another: do not publish it")
    return made


def decode(base: bytes, delta: bytes, head_digest: bytes) -> bytes:
    """What a device does with the whole of it. PeerError("delta"), TrustError("digest")."""
    found = Delta(delta[: PREFIX_BYTES + 2 * read_count(delta[:PREFIX_BYTES])])
    source = Base(lambda offset, length: base[offset : offset + length], len(base))
    made = bytearray()
    segment, head = (0, found.head_bytes, head_digest), None
    for number in range(found.records):
        if head is not None:
            segment = head.segment(number - 1)
        start, length = found.record(number)
        apply(io.BytesIO(delta[start : start + length]), length, source, segment, made.extend)
        head = head or pack.Pack(bytes(made))
    return bytes(made)


def _aside(base: bytes, head: bytes) -> bytes:
    """The head with the OFFSETs that the base has for the same PATHs, so that its lines are alike."""
    old = dict(line.split(b" ")[:2] for line in _lines(base))
    lines = [line.split(b" ") for line in _lines(head)]
    made = b"".join(b"%s %s %s\n" % (path, old.get(path, b"0"), length) for path, _, length in lines)
    index_bytes = int.from_bytes(head[12:16], "big")
    return head[: pack.PREFIX_BYTES] + made + head[pack.PREFIX_BYTES + index_bytes :]


def _lines(data: bytes) -> list[bytes]:
    """Of the index of a pack."""
    return data[pack.PREFIX_BYTES : pack.PREFIX_BYTES + int.from_bytes(data[12:16], "big")].splitlines()


def _matches(base: bytes, target: bytes) -> Iterator[Match]:
    """In the order of the target, without overlap."""
    seeds = _seeds(base)
    at, done, shift = 0, 0, 0  # `shift`: from target to base, of the last match
    while at + SEED_BYTES <= len(target):
        best = _grown(base, target, at, at + shift, done)
        if best is None or best.end - best.start < SEED_BYTES:
            for place in seeds.get(hash(target[at : at + SEED_BYTES]), ()):
                found = _grown(base, target, at, place, done)
                if found is not None and (best is None or found.end - found.start > best.end - best.start):
                    best = found
        if best is None or best.end - best.start < COPY_BYTES_MIN:
            at += 1
            continue
        yield best
        at = done = best.end
        shift = best.place - best.start


def _seeds(base: bytes) -> dict[int, list[int]]:
    stride = max(STRIDE_MIN, -(-len(base) // SEEDS_MAX))
    found: dict[int, list[int]] = {}
    for place in range(0, len(base) - SEED_BYTES + 1, stride):
        places = found.setdefault(hash(base[place : place + SEED_BYTES]), [])
        if len(places) < PLACES_MAX:
            places.append(place)
    return found


def _grown(base: bytes, target: bytes, at: int, place: int, done: int) -> Match | None:
    """The longest match through target[at] and base[place] that starts at `done` or later; None: not even that byte."""
    if not 0 <= place < len(base) or base[place] != target[at]:
        return None
    end, stop = at, place
    while step := _equal(base[stop : stop + STEP_BYTES], target[end : end + STEP_BYTES]):
        end, stop = end + step, stop + step
    start = at
    while start > done and place > 0 and base[place - 1] == target[start - 1]:
        start, place = start - 1, place - 1
    return Match(start, end, place)


def _equal(one: bytes, other: bytes) -> int:
    """How many bytes from the first on are the same."""
    least, most = 0, min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if one[:middle] == other[:middle] else (least, middle)
    return least


def _shift(matches: list[Match], start: int, end: int) -> bytes:
    """The record of a segment that stands in the base as it is; b"": it does not, or too far away."""
    for match in matches:
        if match.start <= start and end <= match.end:
            made = _number(_zigzag(match.place - match.start))
            return made if len(made) <= SHIFT_BYTES_MAX else b""
    return b""


def _record(target: bytes, matches: list[Match], start: int, end: int) -> bytes:
    inside = [match for match in matches if match.start < end and start < match.end]
    written = {_operations(target, inside, (start, end), least) for least in COPIES_BYTES_MIN}
    made = [_deflated(one, how) for one in sorted(written) for how in STRATEGIES]
    return min(made + [_stored(one) for one in sorted(written) if len(one) < 1 << 16], key=len)


def _operations(target: bytes, matches: list[Match], span: tuple[int, int], least: int) -> bytes:
    made, (start, end) = bytearray(), span
    at = place = start
    for match in matches:
        first, last = max(match.start, start), min(match.end, end)
        if last - first < least:
            continue
        where = match.place + first - match.start
        made += _number(first - at) + target[at:first] + _number(last - first) + _number(_zigzag(where - place))
        at, place = last, where + last - first
    if at < end:
        made += _number(end - at) + target[at:end]
    return bytes(made)


def _deflated(data: bytes, strategy: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS, 9, strategy)
    return deflate.compress(data) + deflate.flush()


def _stored(data: bytes) -> bytes:
    """One block as it is (RFC 1951 section 3.2.4); zlib has none for a block that is larger than its window."""
    return struct.pack("<BHH", 1, len(data), len(data) ^ 0xFFFF) + data


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes(made) + bytes([value])


def _zigzag(value: int) -> int:
    return -2 * value - 1 if value < 0 else 2 * value
