"""Deltas: a pack as copies from the pack that runs and new data, applied segment by segment in a small heap.

Anybody may make one, for any base (tools/gateway/deltas.py does): nothing in it is signed or trusted. Each segment is
proven by the digest that the signed release gives it, so a wrong delta costs a download and nothing else.

    0   8  magic, "CLDELT1" and a line feed
    8   2  N: number of records, one for the head of the pack and one for each of its segments; big-endian
    10  2  how many bytes record 0 makes, before its lines are numbered
    12 32  SHA-256 of the base, a whole pack; zeros when no base is needed
    44 32  SHA-256 of the pack that it makes
    76 2N  length of each record
    ..     the records, without a gap

A record is raw deflate (RFC 1951) with a window of WINDOW_BITS. In it, until the segment is full: how many bytes of new
data follow; the data; how many bytes to copy from the base; if any, from where: the difference to the end of the copy
before it (at first: to the place of the segment in its pack), zigzag. Numbers are LEB128. One of at most
SHIFT_BYTES_MAX, which is too short for that, is only such a difference, from where all of the segment is copied. So a
record needs neither the others nor what they made, and a cut costs one segment.

Record 0 makes a head whose index may have any OFFSETs; `apply` puts the right ones, sums of the LENGTHs, in their
place. Else one file that grew would change every line behind it.

PeerError("delta"): it is no delta, or not for this base. TrustError("digest"): it makes another segment.
"""

import hashlib
import struct
from collections import namedtuple

from ota.errors import PeerError, TrustError
from ota.pack import DELTA_PREFIX_BYTES, HEAD_BYTES_MAX, PACK_BYTES_MAX, SEGMENT_BYTES
from ota.pack import PREFIX_BYTES as PACK_PREFIX_BYTES
from ota.port.inflate import EINVAL, inflate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAGIC = b"CLDELT1\n"
PREFIX_BYTES = DELTA_PREFIX_BYTES
RECORDS_MAX = 1 + PACK_BYTES_MAX // SEGMENT_BYTES
WINDOW_BITS = 12
PIECE_BYTES = 1024
NUMBER_BYTES_MAX = 5
SHIFT_BYTES_MAX = 3
LINE_BYTES_MAX = 121  # of an index
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

    def span(self, number: int, bytes_max: int) -> "tuple[int, int]":
        """The same of this record and as many behind it as are at most `bytes_max` together."""
        offset, length = self.record(number)
        for behind in range(number + 1, self.records):
            more = struct.unpack_from(">H", self._lengths, 2 * behind)[0]
            if length + more > bytes_max:
                break
            length += more
        return offset, length


def read_count(prefix: bytes) -> int:
    """How many records there are, from the first PREFIX_BYTES: the head is two bytes a record longer."""
    count = int.from_bytes(prefix[8:10], "big")
    if len(prefix) != PREFIX_BYTES or prefix[:8] != MAGIC or not 2 <= count <= RECORDS_MAX:
        raise _bad("something else at its beginning")
    return count


def apply(
    record: "Any", size: int, base: Base, segment: "tuple[int, int, bytes]", write: "Callable[[bytes], object]"
) -> None:
    """Write one segment in pieces of at most PIECE_BYTES. `record`: a stream that stands at the record's first byte,
    and is not read behind its `size` if it is sound; `segment`: as pack.Pack.segment says, or (0, `head_bytes`, digest)
    for the head, whose pieces are a line longer. Nothing that was written counts before this returns."""
    place, left, digest = segment
    hashed = hashlib.sha256()

    def keep(piece: bytes) -> None:
        hashed.update(piece)
        write(piece)

    put = keep if place else _Numbered(keep).write
    is_shift = size <= SHIFT_BYTES_MAX
    source = record if is_shift else inflate(record, WINDOW_BITS)
    while left:
        data = 0 if is_shift else _number(source)
        _check(data <= left)
        left -= data
        for piece in _pieces(data):
            put(_take(source, piece))
        if not left:
            break
        copy = left if is_shift else _number(source)
        _check(data + copy > 0 and copy <= left)
        left -= copy
        if copy:
            step = _number(source)
            place += -(step >> 1) - 1 if step & 1 else step >> 1
            _check(0 <= place <= base.size - copy)
            for piece in _pieces(copy):
                put(base.read(place, piece))
                place += piece
    if hashed.digest() != digest:
        raise TrustError("digest", "expected a delta that makes the segment which the release names, got another")


class _Numbered:
    """The head of a pack with the right OFFSETs, given in pieces one with any."""

    def __init__(self, put: "Callable[[bytes], object]") -> None:
        self._put, self._held, self._left, self._offset = put, b"", -1, 0  # `_left`: of the index

    def write(self, piece: bytes) -> None:
        held = self._held + piece
        if self._left < 0 and len(held) >= PACK_PREFIX_BYTES:
            self._left = int.from_bytes(held[12:16], "big")
            _check(self._left <= HEAD_BYTES_MAX)
            self._put(held[:PACK_PREFIX_BYTES])
            held = held[PACK_PREFIX_BYTES:]
        while self._left > 0 and held.find(b"\n") >= 0:
            line, held = held[: held.find(b"\n") + 1], held[held.find(b"\n") + 1 :]
            words = line.split(b" ")
            _check(len(line) <= LINE_BYTES_MAX and len(words) == 3 and words[2][:-1].isdigit())
            line = b" ".join((words[0], str(self._offset).encode(), words[2]))
            self._left -= len(line)
            self._offset += int(words[2])
            _check(self._left >= 0)
            self._put(line)
        _check(self._left <= 0 or len(held) <= LINE_BYTES_MAX)
        if held and not self._left:
            self._put(held)
            held = b""
        self._held = held


def _pieces(length: int) -> "list[int]":
    return [PIECE_BYTES] * (length // PIECE_BYTES) + [length % PIECE_BYTES] * (length % PIECE_BYTES > 0)


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
