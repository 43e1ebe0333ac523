"""Deltas: a pack as copies from the pack that runs and new data, applied segment by segment in a small heap.

Anybody may make one, for any base (tools/gateway/deltas.py does): nothing in it is signed or trusted. Each segment is
proven by the digest that the signed release gives it, so a wrong delta costs a download and nothing else.

    0   8  magic, "CLDELT1" and a line feed
    8   2  N: number of records, one for the head of the pack and one for each of its segments; big-endian
    10  2  length of the head of the pack
    12 32  SHA-256 of the base, a whole pack; zeros when no base is needed
    44 32  SHA-256 of the pack that it makes
    76 2N  length of each record
    ..     the records, without a gap

A record is raw deflate (RFC 1951) with a window of WINDOW_BITS. In it, until the segment is full: how many bytes of new
data follow; the data; how many bytes to copy from the base; if any, from where: the difference to the end of the copy
before it (0 at first), zigzag. Numbers are LEB128. So a record needs neither the others nor what they made, and a cut
costs one segment.

PeerError("delta"): it is no delta, or not for this base. TrustError("digest"): it makes another segment.
"""

import hashlib
import struct
from collections import namedtuple

from ota.errors import PeerError, TrustError
from ota.pack import PACK_BYTES_MAX, SEGMENT_BYTES
from ota.port.inflate import EINVAL, inflate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAGIC = b"CLDELT1\n"
PREFIX_BYTES = 76
RECORDS_MAX = 1 + PACK_BYTES_MAX // SEGMENT_BYTES
WINDOW_BITS = 12
PIECE_BYTES = 1024
NUMBER_BYTES_MAX = 5
# What is copied from: `read(offset, length)` gives just so many bytes of a pack of `size` bytes.
Base = namedtuple("Base", ("read", "size"))


class Delta:
    """The head of a delta. `base`, `target`: digests. `records`: how many. `head_bytes`: what record 0 makes."""

    def __init__(self, head: bytes) -> None:
        self.records = read_count(head[:PREFIX_BYTES])
        if len(head) != PREFIX_BYTES + 2 * self.records:
            raise _bad(f"a head of {len(head)} bytes")
        self.head_bytes, self.base, self.target = int.from_bytes(head[10:12], "big"), head[12:44], head[44:76]
        self._lengths = head[PREFIX_BYTES:]

    def record(self, number: int) -> "tuple[int, int]":
        """(offset in the delta, length)."""
        _check(number < self.records)
        offset = PREFIX_BYTES + len(self._lengths)
        for before in range(number):
            offset += struct.unpack_from(">H", self._lengths, 2 * before)[0]
        return offset, struct.unpack_from(">H", self._lengths, 2 * number)[0]


def read_count(prefix: bytes) -> int:
    """How many records there are, from the first PREFIX_BYTES: the head is two bytes a record longer."""
    count = int.from_bytes(prefix[8:10], "big")
    if len(prefix) != PREFIX_BYTES or prefix[:8] != MAGIC or not 2 <= count <= RECORDS_MAX:
        raise _bad("something else at its beginning")
    return count


def apply(record: "Any", base: Base, length: int, digest: bytes, write: "Callable[[bytes], object]") -> None:
    """Write one segment in pieces of at most PIECE_BYTES. `record`: a stream that stands at the record's first byte,
    and is not read behind its end if it is sound; `length`, `digest`: of the segment. Nothing that was written counts
    before this returns."""
    source, hashed, left, place = inflate(record, WINDOW_BITS), hashlib.sha256(), length, 0
    while left:
        data = _number(source)
        _check(data <= left)
        left -= data
        for piece in _pieces(data):
            _put(_take(source, piece), hashed, write)
        if not left:
            break
        copy = _number(source)
        _check(data + copy > 0 and copy <= left)
        left -= copy
        if copy:
            step = _number(source)
            place += -(step >> 1) - 1 if step & 1 else step >> 1
            _check(0 <= place <= base.size - copy)
            for piece in _pieces(copy):
                _put(base.read(place, piece), hashed, write)
                place += piece
    if hashed.digest() != digest:
        raise TrustError("digest", "expected a delta that makes the segment which the release names, got another")


def _pieces(length: int) -> "list[int]":
    return [PIECE_BYTES] * (length // PIECE_BYTES) + [length % PIECE_BYTES] * (length % PIECE_BYTES > 0)


def _put(piece: bytes, hashed: "Any", write: "Callable[[bytes], object]") -> None:
    hashed.update(piece)
    write(piece)


def _take(source: "Any", length: int) -> bytes:
    """Just so many bytes."""
    made = b""
    try:
        while len(made) < length:
            more = source.read(length - len(made))
            _check(bool(more))
            made += more
    except (OSError, EOFError) as error:
        if error.args not in ((), (EINVAL,)):  # the disk, or what else the record comes from
            raise
        raise _bad("a record that is no deflate, or only a part of one")
    return made


def _number(source: "Any") -> int:
    value = 0
    for index in range(NUMBER_BYTES_MAX):
        byte = _take(source, 1)[0]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value
    raise _bad("a number without an end")


def _check(is_right: bool) -> None:
    if not is_right:
        raise _bad("a record that ends, copies or goes on where it cannot")


def _bad(came: str) -> PeerError:
    return PeerError("delta", f"expected a delta (CLDELT1) for the pack that runs, got {came}")
