"""The space of a log: slots that are written once, for file systems that write nothing in place (UBIFS, JFFS2).

A slab is a segment here. Its file begins as a hole, and its slots are filled in order; behind them lie the notes:
headers that changed later, and tombstones, one after the other, NOTES_A_SLOT for each slot. The newest of a slot
counts, by sequence. A slot that lost its record is dead until cleaning.py has moved what is left in its segment and
its file is removed. The notes go with it, so a tombstone and what it buries have one life.

Only a slot whose upload never got a header is written again, and headers in place when the notes are used up. Of the
notes any may be lost or torn by a power cut that nobody was told of; the next one is written behind the last that is
not blank. Room for one more segment is left in the quota, for cleaning.
"""

from agent.core.shards.header import ERASED, HEADER_BYTES, Header, decode_header, encode_header
from agent.core.shards.index import CACHED, SLABS_MAX, SLOTS_A_SLAB_MAX, TRASH
from agent.core.shards.space import SLAB_BYTES_MAX, Slab, Space
from agent.errors import PortError

if False:
    from array import array
    from collections.abc import Callable

    from agent.core.shards.index import Index

NOTES_A_SLOT = 4
SEGMENT_BYTES = 1 << 20  # smaller ones have to move less, but each is a file and 300 bytes of heap
SEGMENTS_AIM = 128
SEGMENTS_MIN = 8  # in a small quota
_NOBODY = bytes(32)  # a tombstone's shard
_READ_BYTES = 16 * HEADER_BYTES


class Log(Space):
    """`yielding`: by segment number, how many records give way."""

    notes_bytes = NOTES_A_SLOT * HEADER_BYTES

    def __init__(self, index: "Index", quota_bytes: int, slot_bytes: tuple[int, ...]) -> None:
        super().__init__(index, quota_bytes, slot_bytes)
        self.yielding: dict[int, int] = {}
        self._buried: list[int] = []  # slots that had a record and are not dead yet
        self._newer: dict[int, tuple[int, bytes]] = {}  # place -> sequence and bytes of its newest note, at the start

    def whole_bytes(self, slot_bytes: int) -> int:
        """Of each new segment."""
        return self.whole_slots(slot_bytes) * (slot_bytes + self.notes_bytes)

    def whole_slots(self, slot_bytes: int) -> int:
        size = min(
            max(SEGMENT_BYTES, self.quota_bytes // SEGMENTS_AIM), SLAB_BYTES_MAX, self.quota_bytes // SEGMENTS_MIN
        )
        return min(max(size // (slot_bytes + self.notes_bytes), 1), SLOTS_A_SLAB_MAX)

    def slab_bytes(self, slot_bytes: int) -> int:
        size = self.whole_bytes(slot_bytes)
        room = self.quota_bytes - self.allocated_bytes
        return size if room >= 2 * size and len(self.slabs) < SLABS_MAX else 0

    def plan(self, slot_bytes: int) -> Slab:
        """Whether `slab_bytes` allows it is the caller's matter."""
        self.next_number += 1
        slab = Slab(slot_bytes, self.next_number - 1, self.whole_slots(slot_bytes))
        slab.notes_bytes = self.notes_bytes
        self.allocated_bytes += slab.bytes
        return slab

    def attach(self, slab: Slab) -> None:
        super().attach(slab)
        self.used_bytes -= slab.bytes - slab.slots * slab.slot_bytes

    def adopt(self, slab: Slab, table: "array[int]", free_head: int, free: int) -> None:
        super().adopt(slab, table, free_head, free)
        slab.dead = slab.slots - free - len(list(self._index.records_in(slab.position)))
        self._index.records -= slab.dead
        self.used_bytes -= slab.dead * slab.slot_bytes

    def withdraw(self, slot: int) -> None:
        super().withdraw(slot)
        self._buried.append(slot)

    def give(self, slot: int) -> None:
        if slot not in self._buried:
            super().give(slot)
            return
        self._buried.remove(slot)
        slab = self.slab_of(slot)
        slab.dead += 1
        self.used_bytes -= slab.slot_bytes

    def _count(self, slab: Slab, kind: int, number: int, count: int) -> None:
        super()._count(slab, kind, number, count)
        if kind >= TRASH:
            self.yielding[slab.number] = self.yielding.get(slab.number, 0) + count

    def free_slots(self) -> int:
        size = self.whole_bytes(self.sizes[0])
        room = max(0, self.quota_bytes - self.allocated_bytes - size)
        yielding = self.kinds[TRASH][0] + self.kinds[CACHED][0]
        dead = sum([slab.dead for slab in self.slabs if slab is not None])
        return sum(self._index.free) + dead + yielding + room // (self.sizes[0] + self.notes_bytes)

    def rewrite(self, slot: int, data: bytes, sequence: int) -> tuple[int, bytes]:
        """(offset from the slot's start, bytes) of a header that takes the place of its own; ERASED takes it away."""
        slab, place, log2 = self.slab_of(slot), slot % SLOTS_A_SLAB_MAX, 0
        if slab.notes >= slab.slots * NOTES_A_SLOT:
            return 0, data
        if data == ERASED:
            while 1 << log2 < slab.slot_bytes:
                log2 += 1
            data = encode_header(Header(log2, 0, place, 0, sequence, bytes(8), _NOBODY, TRASH))
        slab.notes += 1
        return (slab.slots - place) * slab.slot_bytes + (slab.notes - 1) * HEADER_BYTES, data

    # At the start.

    def recall(self, slab: Slab, read: "Callable[[int, int], bytes]") -> None:
        """Before the headers of a segment are loaded; `read(offset, length)` of its file."""
        self._newer = {}
        slab.notes, start = slab.slots * NOTES_A_SLOT, slab.slots * slab.slot_bytes
        last = 0
        try:
            for offset in range(start, slab.bytes, _READ_BYTES):
                data = read(offset, min(_READ_BYTES, slab.bytes - offset))
                for at in range(0, len(data) if any(data) else 0, HEADER_BYTES):
                    if any(data[at : at + HEADER_BYTES]):
                        last = (offset + at - start) // HEADER_BYTES + 1
                        self._read(data[at : at + HEADER_BYTES])
        except PortError:
            return  # what cannot be read is not written again: headers are changed in place
        slab.notes = last

    def _read(self, note: bytes) -> None:
        header = decode_header(note)
        if header is not None and self._newer.get(header.place, (0, b""))[0] < header.sequence:
            self._newer[header.place] = (header.sequence, note)

    def latest(self, slot: int, data: bytes) -> bytes:
        """The header that counts for a slot of that segment which begins with `data`; ERASED after a tombstone."""
        header, newer = decode_header(data), self._newer.pop(slot % SLOTS_A_SLAB_MAX, None)
        if header is not None and newer is not None and newer[0] > header.sequence:
            data = newer[1]
            header = decode_header(data)
        if header is not None and header.shard == _NOBODY:
            data, header = ERASED, None
            self._buried.append(slot)
        elif header is None and data != ERASED:
            self._buried.append(slot)
        return data
