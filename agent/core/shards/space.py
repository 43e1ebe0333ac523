"""How much room there is: slab files, their slots, and the quota. Bytes of slab files never exceed it.

A slab file holds slots of one size, is written in full when it is made and never changes its length, so what the
store occupies is known exactly. Slabs are small (SLAB_BYTES or SLOTS_MIN slots; the last one takes what the quota has
left), made when needed, and removed only when empty: when another slot size needs the bytes, or the owner lowered the
quota. A quota lowered below what is promised takes nothing away; it lets nothing new in.

This is the body whose slots are written again in place. The other one, an append-only log, is log.py with cleaning.py
and log_store.py: the same interface, headers, index, checkpoint and order of a put.
"""

from agent.core.shards.index import CACHED, CORES_MAX, PROMISED, SLABS_MAX, SLOTS_A_SLAB_MAX, TRASH, Index
from agent.errors import UsageError

if False:
    from array import array
    from collections.abc import Callable

    from agent.core.shards.ticket import Ticket

SLAB_BYTES = 4 << 20
SLAB_BYTES_MAX = 16 << 20
SLABS_AIM = 1024  # with larger quotas slabs grow up to SLAB_BYTES_MAX
SLOTS_MIN = 16
SLOT_BYTES_MIN = 1024


class Slab:
    """One slab file. `waiting`: tickets whose writes the next flush will make durable; `batch`: those of the flush
    under way. `is_synced`: a flush has succeeded since this process started, so nothing older is in doubt. `mark`: its
    number in the checkpoint, -1 = not in it; `is_marked`: its headers may be newer than that. `writes`: headers
    written since the last flush, `flushing`: those that the flush under way covers. Of a log: `dead` slots, and `notes`
    behind the slots."""

    dead = notes = notes_bytes = 0

    def __init__(self, slot_bytes: int, number: int, slots: int) -> None:
        self.slot_bytes = slot_bytes
        self.number = number
        self.slots = slots
        self.position = -1
        self.is_synced = False
        self.mark = -1
        self.is_marked = False
        self.writes = 0
        self.flushing = 0
        self.waiting: list[Ticket] = []
        self.batch: list[Ticket] = []

    @property
    def name(self) -> tuple[int, int]:
        """What the driver makes the file's name of."""
        return (self.slot_bytes, self.number)

    @property
    def bytes(self) -> int:
        return self.slots * (self.slot_bytes + self.notes_bytes)


class Space:
    """`allocated_bytes`: slab files, those being made included. `used_bytes`: slots that are not free.
    `core_bytes`: slot bytes kept for each core, by core number (cache and trash not counted). `kinds`: records and slot
    bytes of each kind. `next_number`: of a slab, higher than any that is there. `notes_bytes`: of a log, that a slab
    file has more for each slot; they are not written in advance."""

    notes_bytes = 0

    def __init__(self, index: Index, quota_bytes: int, slot_bytes: tuple[int, ...]) -> None:
        for size in slot_bytes:
            if size < SLOT_BYTES_MIN or size & (size - 1):
                raise UsageError("slots", f"a slot has {size} bytes; allowed: powers of two from {SLOT_BYTES_MIN} up")
        self.quota_bytes = quota_bytes
        self.allocated_bytes = 0
        self.used_bytes = 0
        self.kinds = [[0, 0], [0, 0], [0, 0], [0, 0]]
        self.core_bytes = [0] * (CORES_MAX + 1)
        self.sizes = sorted(slot_bytes)
        self.slabs: list[Slab | None] = []
        self.gone: Callable[[int], None] | None = None  # told of each slot whose record is not served any more
        self._index = index
        self.next_number = 0
        self._hint: dict[int, int] = {}  # no slab of that slot size before this position has a free slot

    def size_for(self, payload_bytes: int, header_bytes: int) -> int:
        """The smallest slot that holds it; 0 when none does."""
        for size in self.sizes:
            if payload_bytes + header_bytes <= size:
                return size
        return 0

    def slab_of(self, slot: int) -> Slab:
        slab = self.slabs[slot // SLOTS_A_SLAB_MAX]
        assert slab is not None, "a slot of a slab that was removed"
        return slab

    def take(self, slot_bytes: int) -> int:
        """The first free slot of that size, so that puts that wait together share a slab and its flush; -1 = none."""
        for position in range(self._hint.get(slot_bytes, 0), len(self.slabs)):
            slab = self.slabs[position]
            if slab is not None and slab.slot_bytes == slot_bytes and self._index.free[position]:
                self._hint[slot_bytes] = position
                self.used_bytes += slot_bytes
                return self._index.take(position)
        self._hint[slot_bytes] = len(self.slabs)
        return -1

    def give(self, slot: int) -> None:
        """A TAKEN slot is free again."""
        slab = self.slab_of(slot)
        self._index.give(slot)
        self.used_bytes -= slab.slot_bytes
        self._hint[slab.slot_bytes] = min(self._hint.get(slab.slot_bytes, 0), slab.position)

    def insert(self, slot: int, key: int, number: int, note: int, kind: int = PROMISED) -> None:
        """A TAKEN slot becomes a record of that core number."""
        self._index.insert(slot, key, number, note, kind)
        self._count(self.slab_of(slot), kind, number, 1)

    def withdraw(self, slot: int) -> None:
        """A record becomes TAKEN: nothing finds it any more, and nothing else may use its slot yet."""
        if self.gone is not None:
            self.gone(slot)
        self._count(self.slab_of(slot), self._index.kind(slot), self._index.core_of(slot), -1)
        self._index.remove(slot)

    def change(self, slot: int, kind: int) -> None:
        """A record is of another kind from now on."""
        if self.gone is not None:
            self.gone(slot)
        number = self._index.core_of(slot)
        self._count(self.slab_of(slot), self._index.kind(slot), number, -1)
        self._count(self.slab_of(slot), kind, number, 1)
        self._index.set_kind(slot, kind)

    def adopt(self, slab: Slab, table: "array[int]", free_head: int, free: int) -> None:
        """The records of a slab that was attached, from a checkpoint."""
        self._index.adopt(slab.position, table, free_head, free)
        self.used_bytes -= free * slab.slot_bytes
        for kind, number, count in self._index.states_in(slab.position):
            self._count(slab, kind, number, count)

    def _count(self, slab: Slab, kind: int, number: int, count: int) -> None:
        self.kinds[kind][0] += count
        self.kinds[kind][1] += count * slab.slot_bytes
        if kind < TRASH:
            self.core_bytes[number] += count * slab.slot_bytes

    def slab_bytes(self, slot_bytes: int) -> int:
        """Of the slab that `plan` would make; 0 when the quota leaves no room."""
        room = self.quota_bytes - self.allocated_bytes
        if len(self.slabs) >= SLABS_MAX:
            return 0
        return max(0, min(self._slots_whole(slot_bytes), room // slot_bytes)) * slot_bytes

    def plan(self, slot_bytes: int) -> Slab:
        """A slab to make now, its bytes already counted."""
        size = self.slab_bytes(slot_bytes)
        self.allocated_bytes += size
        self.next_number += 1
        return Slab(slot_bytes, self.next_number - 1, size // slot_bytes)

    def attach(self, slab: Slab) -> None:
        """The file of a slab exists and its bytes are counted; all its slots are TAKEN until given."""
        slab.position = self._index.add_slab(slab.slots)
        if slab.position == len(self.slabs):
            self.slabs.append(None)
        self.slabs[slab.position] = slab
        self.used_bytes += slab.bytes

    def detach(self, slab: Slab) -> None:
        """Nothing will be put into this empty slab any more; its bytes count until its file is gone (`dropped`)."""
        self._index.remove_slab(slab.position)
        self.slabs[slab.position] = None

    def dropped(self, slab: Slab) -> None:
        """The file of a slab that was planned or detached does not exist."""
        self.allocated_bytes -= slab.bytes

    def idle_slabs(self, spared: int) -> list[Slab]:
        """Slabs of other slot sizes than `spared` that hold nothing but what gives way: those without any first."""
        found, yielding = [], []
        for slab in self.slabs:
            if slab is None or slab.slot_bytes == spared:
                continue
            free = self._index.free[slab.position] + slab.dead
            if free == slab.slots:
                found.append(slab)
            elif free + sum([self._index.kind(slot) >= TRASH for slot in self._index.records_in(slab.position)]) == (
                slab.slots
            ):
                yielding.append(slab)
        return found + yielding

    def free_slots(self) -> int:
        """Free ones now, those that give way to a promise, and the smallest ones that the quota still allows."""
        room = self.quota_bytes - self.allocated_bytes
        yielding = self.kinds[TRASH][0] + self.kinds[CACHED][0]
        return sum(self._index.free) + yielding + max(0, room) // self.sizes[0]

    def kept_bytes(self) -> int:
        """Slot bytes of promises and uploads: what cannot give way."""
        return self.used_bytes - self.kinds[TRASH][1] - self.kinds[CACHED][1]

    def _slots_whole(self, slot_bytes: int) -> int:
        wanted = min(max(SLAB_BYTES, self.quota_bytes // SLABS_AIM), SLAB_BYTES_MAX) // slot_bytes
        return min(max(wanted, SLOTS_MIN), SLOTS_A_SLAB_MAX)
