"""The checkpoint: what the index knew at one moment, so that a start need not read every header. Only a cache of them.

It counts only if the memo names it (memo.py), and for a slab only if the memo does not say that its headers may be
newer; what it says of a record is believed for finding it, never for its content (a GET reads the header and hashes).
A slab that is not in it, or whose part is damaged, is read from its headers.

Head, HEAD_BYTES little endian: magic 4, version 1, zeros 3, generation 8, sequence 8, slabs 4, for each number of a
core 1 (it has one) and its id 8, zeros, CRC-32. Then for each slab: slot bytes 4, number 4, slots 2, free slots 2,
first free place 2, notes 2, the index's table in the machine's own byte order (12 bytes a slot), CRC-32 begun with the
head's.
"""

import struct
from array import array
from binascii import crc32, hexlify, unhexlify

from agent.core.shards.index import CORES_MAX

if False:
    from collections.abc import Iterator

    from agent.core.shards.cores import Cores
    from agent.core.shards.index import Index
    from agent.core.shards.space import Slab

HEAD_BYTES = 1024
PART_BYTES = 16
CRC_BYTES = 4
MAGIC = b"Clc" + bytes(array("H", [0x6C62]))[:1]  # its last letter is the byte order: b, l
VERSION = 1
_HEAD = "<4sBBHQQI"
_CORES_AT = 28
_PART = "<IIHHHH"


def encode_head(generation: int, sequence: int, slabs: int, cores: "Cores") -> bytes:
    made = bytearray(struct.pack(_HEAD, MAGIC, VERSION, 0, 0, generation, sequence, slabs))
    made.extend(bytes(HEAD_BYTES - CRC_BYTES - len(made)))
    for number, name in cores.named():
        made[_CORES_AT + 9 * number : _CORES_AT + 9 * number + 9] = b"\1" + unhexlify(name)
    return bytes(made) + crc32(made).to_bytes(4, "little")


def decode_head(data: bytes) -> "tuple[int, int, int, int, list[str]] | None":
    """(generation, sequence, slabs, CRC, ids of the cores by number, "" = none); None for what is no head of ours."""
    if len(data) != HEAD_BYTES or data[:4] != MAGIC:
        return None
    crc = int.from_bytes(data[-4:], "little")
    _, version, _, _, generation, sequence, slabs = struct.unpack(_HEAD, data[:_CORES_AT])
    if version != VERSION or crc32(data[:-4]) != crc:
        return None
    names = []
    for at in range(_CORES_AT, _CORES_AT + 9 * (CORES_MAX + 1), 9):
        names.append(hexlify(data[at + 1 : at + 9]).decode() if data[at] else "")
    return generation, sequence, slabs, crc, names


def parts(slabs: "list[Slab]", index: "Index", crc: int) -> "Iterator[bytes]":
    """What follows the head."""
    for slab in slabs:
        table, free_head = index.table(slab.position)
        head = struct.pack(
            _PART, slab.slot_bytes, slab.number, slab.slots, index.free[slab.position], free_head, slab.notes
        )
        yield head
        yield bytes(memoryview(table))
        yield crc32(memoryview(table), crc32(head, crc)).to_bytes(4, "little")


def part_of(head: bytes) -> tuple[int, int, int]:
    """(slot bytes, number, slots) that a part says it is about: to be believed when `table_of` believes it."""
    return struct.unpack(_PART, head)[:3]


def table_of(head: bytes, data: bytes, crc: int) -> "tuple[array[int], int, int, int] | None":
    """(table, first free place, free slots, notes) of a part; None when it is damaged or of another checkpoint. `data`:
    12 bytes a slot and the CRC."""
    if crc32(memoryview(data)[:-CRC_BYTES], crc32(head, crc)) != int.from_bytes(data[-CRC_BYTES:], "little"):
        return None
    free, free_head, notes = struct.unpack(_PART, head)[3:]
    return array("I", data[:-CRC_BYTES]), free_head, free, notes
