"""Deltas between packs (ota/delta.py has their bytes), made for any base and without any key: the device proves each
segment by the signed release.

The encoder looks for what the new pack has in common with the old one: runs of SEED_BYTES that stand in the old one at
a multiple of a stride, each grown to both sides. What is found becomes copies, the rest data; each segment is then cut,
numbered and deflated on its own.
"""

import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ota import pack
from ota.delta import MAGIC, PREFIX_BYTES, WINDOW_BITS, Base, Delta, apply, read_count
from ota.errors import TrustError

SEED_BYTES = 24
STRIDE_MIN = 4
SEEDS_MAX = 400_000  # of the base in memory: some 60 MB
PLACES_MAX = 4  # of one seed that are tried
COPY_BYTES_MIN = 16  # a shorter one costs more than its bytes deflated
STEP_BYTES = 4096
NO_BASE = bytes(32)


class Match(NamedTuple):
    """target[start:end] is what the base has at `place`."""

    start: int
    end: int
    place: int


def encode(base: bytes, target: bytes) -> bytes:
    """A delta that makes the pack `target` of `base`; b"": of nothing, so it is `target` deflated. Applied here
    before it is given away. PeerError("pack") where the target is none."""
    head = pack.Pack(target[: pack.read_prefix(target[: pack.PREFIX_BYTES])[0]])
    bounds = [(0, head.head_bytes)] + [head.segment(number)[:2] for number in range(head.segments)]
    matches = list(_matches(base, target))
    records = [_record(target, matches, start, start + length) for start, length in bounds]
    names = (hashlib.sha256(base).digest() if base else NO_BASE) + hashlib.sha256(target).digest()
    numbers = [len(records), head.head_bytes], [len(record) for record in records]
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
    size, digest, head = found.head_bytes, head_digest, None
    for number in range(found.records):
        if head is not None:
            _, size, digest = head.segment(number - 1)
        start, length = found.record(number)
        apply(io.BytesIO(delta[start : start + length]), source, size, digest, made.extend)
        head = head or pack.Pack(bytes(made))
    return bytes(made)


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


def _record(target: bytes, matches: list[Match], start: int, end: int) -> bytes:
    made, at, place = bytearray(), start, 0
    for match in matches:
        first, last = max(match.start, start), min(match.end, end)
        if last - first < COPY_BYTES_MIN:
            continue
        where = match.place + first - match.start
        made += _number(first - at) + target[at:first] + _number(last - first) + _number(_zigzag(where - place))
        at, place = last, where + last - first
    if at < end:
        made += _number(end - at) + target[at:end]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS, 9)
    return deflate.compress(bytes(made)) + deflate.flush()


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes(made) + bytes([value])


def _zigzag(value: int) -> int:
    return -2 * value - 1 if value < 0 else 2 * value
