"""The memo: 512 bytes beside the slabs that every promise of the store about itself hangs on.

It names the checkpoint that counts (generation, CRC-32), says which slabs may have newer headers than that, and how
much flash was written in the last hours (flash.py). Two records, each in a page of its own, are written in turn; the
one with the higher serial counts, so a torn one loses only what was not yet relied upon. A sector of 512 bytes is
assumed to be written whole or not at all; one that was not fails its CRC.

Little endian: magic 4, version 1, flags 1 (1: any slab may be newer), zeros 2, serial 8, generation 8, checkpoint's
CRC-32 4, pages in 25 hours 4 each, bits of slabs in the order of the checkpoint, CRC-32 of all before.
"""

import struct
from binascii import crc32

from agent.core.shards.flash import HOURS, PAGE_BYTES

MEMO_BYTES = 512
FILE_NAME, INDEX_NAME = "slab.memo", "slab.index"  # beside the slabs; the second is the checkpoint
FILE_BYTES = 2 * PAGE_BYTES
MAGIC = b"Clme"
VERSION = 1
_FORMAT = "<4sBBHQQI"
_HEAD_BYTES = 28
_BITS_AT = _HEAD_BYTES + 4 * HOURS
_CRC_AT = MEMO_BYTES - 4
MARKS_MAX = 8 * (_CRC_AT - _BITS_AT)
_PAGES_MAX = 0xFFFFFFFF


class Memo:
    """`generation` 0: no checkpoint counts. `is_all`: every slab may have newer headers."""

    def __init__(self) -> None:
        self.serial = 0
        self.generation = 0
        self.checkpoint = 0
        self.is_all = True
        self.hours: list[int] = [0] * HOURS
        self._bits = bytearray(_CRC_AT - _BITS_AT)

    def begin(self, checkpoint: int) -> None:
        """A new checkpoint with that CRC, of this generation, counts from the next record on; no slab is newer."""
        self.checkpoint = checkpoint
        self.is_all = False
        self._bits = bytearray(len(self._bits))

    def mark(self, number: int) -> None:
        """The slab with that number in the checkpoint may be newer."""
        if number < MARKS_MAX:
            self._bits[number // 8] |= 1 << number % 8
        else:
            self.is_all = True

    def is_marked(self, number: int) -> bool:
        return self.is_all or number >= MARKS_MAX or bool(self._bits[number // 8] >> number % 8 & 1)

    def encode(self, hours: list[int]) -> tuple[int, bytes]:
        """(offset in the file, record) of the next serial."""
        self.serial += 1
        head = (MAGIC, VERSION, self.is_all & 1, 0, self.serial, self.generation, self.checkpoint)
        made = struct.pack(_FORMAT, *head)
        made += struct.pack(f"<{HOURS}I", *[min(pages, _PAGES_MAX) for pages in hours]) + bytes(self._bits)
        return self.serial % 2 * PAGE_BYTES, made + crc32(made).to_bytes(4, "little")

    def decode(self, records: list[bytes]) -> int:
        """Take the newest of them; how many are good: made by `encode`, or never written."""
        good = 0
        for data in records:
            if data == bytes(MEMO_BYTES):
                good += 1
            elif len(data) == MEMO_BYTES and crc32(data[:_CRC_AT]) == int.from_bytes(data[_CRC_AT:], "little"):
                good += self._take(data)
        return good if self.serial else 0

    def _take(self, data: bytes) -> int:
        magic, version, flags, _, serial, generation, checkpoint = struct.unpack(_FORMAT, data[:_HEAD_BYTES])
        if magic != MAGIC or version != VERSION:
            return 0
        if serial > self.serial:
            self.serial, self.generation, self.checkpoint = serial, generation, checkpoint
            self.is_all = flags != 0
            self.hours = list(struct.unpack(f"<{HOURS}I", data[_HEAD_BYTES:_BITS_AT]))
            self._bits = bytearray(data[_BITS_AT:_CRC_AT])
        return 1
