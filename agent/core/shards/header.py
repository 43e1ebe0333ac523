"""The header of a slot: 128 bytes at its start, written after the payload, saying all there is to know of a record.

Little endian: magic 4, version 1, class 1 (log2 of the slot's bytes), flags 2, payload length 4, place 4 (number of
the slot in its slab), keep_until 8 (core time; 0 = until deleted), sequence 8, core 8, shard 32 (SHA-256 of the
payload), zeros, CRC-32 of the 124 bytes before it. Flags: 0 promised, 2 deleted (keep_until: until when it can be
taken back), 3 cached, as the kinds of index.py.

It lies in the first 512-byte sector of its slot. Assumed of the medium: it writes such a sector whole or
not at all; a header that was torn nevertheless fails its CRC and its record is gone, never wrong.
"""

import struct
from binascii import crc32
from collections import namedtuple

HEADER_BYTES = 128
MAGIC = b"Clst"
VERSION = 1
ERASED = bytes(HEADER_BYTES)
_FORMAT = "<4sBBHIIQQ8s32s"
_FIELDS_BYTES = struct.calcsize(_FORMAT)
_CRC_AT = HEADER_BYTES - 4
_REST = bytes(_CRC_AT - _FIELDS_BYTES)

FLAGS = (0, 2, 3)

Header = namedtuple("Header", ("slot_log2", "length", "place", "keep_until", "sequence", "core", "shard", "flags"))


def encode_header(header: Header) -> bytes:
    """128 bytes. Ranges are the caller's duty: length < 2**32, keep_until < 2**53, core 8 bytes, shard 32."""
    slot_log2, length, place, keep_until, sequence, core, shard, flags = header
    made = struct.pack(_FORMAT, MAGIC, VERSION, slot_log2, flags, length, place, keep_until, sequence, core, shard)
    made += _REST
    return made + crc32(made).to_bytes(4, "little")


def decode_header(data: bytes) -> Header | None:
    """None for anything that `encode_header` did not write: an erased, torn, foreign or rotten one."""
    if len(data) != HEADER_BYTES or data[:4] != MAGIC:
        return None
    if crc32(data[:_CRC_AT]) != int.from_bytes(data[_CRC_AT:], "little"):
        return None
    fields = struct.unpack(_FORMAT, data[:_FIELDS_BYTES])
    if fields[1] != VERSION or fields[3] not in FLAGS or data[_FIELDS_BYTES:_CRC_AT] != _REST:
        return None
    header = Header(fields[2], fields[4], fields[5], fields[6], fields[7], fields[8], fields[9], fields[3])
    if header.length > (1 << header.slot_log2) - HEADER_BYTES:
        return None
    return header
