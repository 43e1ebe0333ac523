"""The pack: all files of a release as one file, from which both interpreters import without unpacking it.

Deterministic: the same files give the same bytes. Nothing is compressed, so that a delta finds what is alike.

    0   8  magic, "CLPACK1" and a line feed
    8   4  H: length of the head, this prefix included; big-endian, as all numbers here
    12  4  I: length of the index
    16  8  P: length of the whole pack
    24  I  index: a line for each file, "PATH OFFSET LENGTH" and a line feed, ASCII, numbers decimal without leading
           zeros, ascending by the bytes of PATH. OFFSET counts from H. The first is at 0, each follows the one before
           without a gap, the last ends with the pack.
    .. 32  SHA-256 of each segment: SEGMENT_BYTES from H on, then the next, the last one shorter, none empty
    H      what the files hold, in the order of the index

PATH: parts joined by "/", each a letter a-z or "_" and then a-z, 0-9 and "_"; the last one ends in ".py". Bounds: the
constants *_MAX. Its release names it by four parameters: image digest (3), SHA-256 of all of the pack; image size (14),
P; head digest (-2), SHA-256 of its first H bytes, so that each segment is proven as it arrives; needs (-3).

PeerError("pack"): it is no pack. LimitError("too_big").
"""

import struct

from ota.errors import LimitError, PeerError

MAGIC = b"CLPACK1\n"
PREFIX = ">8sIIQ"
PREFIX_BYTES = 24
DIGEST_BYTES = 32
SEGMENT_BYTES = 32768
HEAD_BYTES_MAX = 32768
DELTA_PREFIX_BYTES = 76  # of a delta between two packs (delta.py)
PACK_BYTES_MAX = 16 << 20
PATH_BYTES_MAX = 100
FILES_MAX = 1000
PLACE = "/pack"  # where its modules say that they are from

_LETTERS = b"abcdefghijklmnopqrstuvwxyz_"
_DIGITS = b"0123456789"


def read_prefix(data: bytes) -> "tuple[int, int]":
    """(length of the head, length of the pack), from the first PREFIX_BYTES; the head is still to be read."""
    if len(data) != PREFIX_BYTES or data[:8] != MAGIC:
        raise _bad("something else at its beginning")
    _, head_bytes, index_bytes, pack_bytes = struct.unpack(PREFIX, data)
    if head_bytes > HEAD_BYTES_MAX or pack_bytes > PACK_BYTES_MAX:
        text = f"expected a head of at most {HEAD_BYTES_MAX} bytes in a pack of at most {PACK_BYTES_MAX}, got "
        raise LimitError("too_big", text + f"{head_bytes} in {pack_bytes}")
    if pack_bytes < head_bytes or head_bytes != PREFIX_BYTES + index_bytes + DIGEST_BYTES * _segments(
        pack_bytes - head_bytes
    ):
        raise _bad("lengths that do not belong together")
    return head_bytes, pack_bytes


def _segments(body_bytes: int) -> int:
    return (body_bytes + SEGMENT_BYTES - 1) // SEGMENT_BYTES


class Pack:
    """The head of a pack, read and checked; 1 byte of heap for each of its index and, until `forget`, its digests."""

    def __init__(self, head: bytes) -> None:
        self.head_bytes, self.pack_bytes = read_prefix(head[:PREFIX_BYTES])
        if len(head) != self.head_bytes:
            raise _bad(f"a head of {len(head)} bytes instead of {self.head_bytes}")
        self.segments = _segments(self.pack_bytes - self.head_bytes)
        split = self.head_bytes - DIGEST_BYTES * self.segments
        self.index = b"\n" + head[PREFIX_BYTES:split]  # each path stands between a line feed and a space
        self._digests = head[split:]
        self._check_index()

    def segment(self, number: int) -> "tuple[int, int, bytes]":
        """(offset in the pack, length, SHA-256)."""
        start = self.head_bytes + number * SEGMENT_BYTES
        length = min(SEGMENT_BYTES, self.pack_bytes - start)
        return start, length, self._digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]

    def forget(self) -> None:
        """Who only imports needs no digests."""
        self._digests = b""

    def find(self, path: str) -> "tuple[int, int] | None":
        """(offset in the pack, length) of a file; None where there is none of that path."""
        start = self.index.find(b"\n" + path.encode() + b" ")
        if start < 0 or " " in path or "\n" in path:
            return None
        line = self.index[start + 1 : self.index.find(b"\n", start + 1)]
        _, offset, length = line.split(b" ")
        return self.head_bytes + int(offset), int(length)

    def has_folder(self, path: str) -> bool:
        """Whether a file stands below it; "" is the pack itself."""
        return (
            " " not in path and "\n" not in path and self.index.find(b"\n" + (path + "/" if path else "").encode()) >= 0
        )

    def _check_index(self) -> None:
        start, offset, last, files = 1, 0, b"", 0
        while start < len(self.index):
            end = self.index.find(b"\n", start)
            words = self.index[start : max(end, start)].split(b" ")
            if len(words) != 3 or not _is_path(words[0]) or words[0] <= last:
                raise _bad("an index with another line than PATH OFFSET LENGTH, in ascending order")
            if _number(words[1]) != offset or _number(words[2]) > PACK_BYTES_MAX:
                raise _bad("files that do not follow one another")
            start, last, files = end + 1, words[0], files + 1
            offset += int(words[2])
            if files > FILES_MAX:
                raise LimitError("too_big", f"expected at most {FILES_MAX} files in a pack, got more")
        if not files or offset != self.pack_bytes - self.head_bytes:
            raise _bad("files that do not fill it")


def _is_path(path: bytes) -> bool:
    if len(path) > PATH_BYTES_MAX or path[-3:] != b".py":
        return False
    for part in path[:-3].split(b"/"):
        if not part or part[0] not in _LETTERS:
            return False
        for letter in part:
            if letter not in _LETTERS and letter not in _DIGITS:
                return False
    return True


def _number(word: bytes) -> int:
    """Decimal without leading zeros; PeerError."""
    if not 1 <= len(word) <= 9 or (word[0] == 48 and len(word) > 1):
        raise _bad("a number that is not the shortest")
    for letter in word:
        if letter not in _DIGITS:
            raise _bad("something else than digits")
    return int(word)


def _bad(came: str) -> PeerError:
    return PeerError("pack", f"expected a pack of files (CLPACK1), got {came}")
