"""Which slot may hold which shard, in 12 bytes of RAM a slot and 2 to 4 a record; and which slots are free.

Not the truth: that is the slot's header (header.py). The index keeps 40 bits of the shard's name, so a slot it
names must be confirmed by reading its header. Cores do not see each other's records: the same shard of two cores is
two records.

Tables are preallocated, one `array` of three words a slot for each slab: [0] 32 bits of the key; [1] 24 bits "next
slot of the chain" (+1, 0 = end), 8 bits state; [2] a 24-bit note, 8 bits more of the key. A state is a core's number
and two bits of kind; the note is keep_until in hours (KEEP_ALWAYS = until deleted), or the cache's own
(cache_queue.py). Chains hang on `_heads`, which doubles when it has half as many entries as there are records. A slot's
number is slab position * 256 + place. Bounds: SLOTS_A_SLAB_MAX, SLABS_MAX, CORES_MAX.
"""

from array import array

if False:
    from collections.abc import Iterator

SLOTS_A_SLAB_MAX = 256
SLABS_MAX = 65_535
CORES_MAX = 63
KEEP_ALWAYS = 0xFFFFFF
HOUR_S = 3600

# Kinds of records; with core number 0 a state is free, or TAKEN: reserved or being erased, neither free nor findable.
PROMISED, QUARANTINED, TRASH, CACHED = 0, 1, 2, 3
TAKEN = 0x80
_KIND_AT = 30
_HEADS_MIN = 64
_NEXT = 0xFFFFFF


def key_of(shard: bytes) -> int:
    """40 bits of a shard's name, which is uniformly distributed already."""
    return int.from_bytes(shard[:5], "big")


def hours_of(keep_until: int) -> int:
    """Rounded up, so that a promise is kept up to an hour too long and never too short."""
    if keep_until == 0:
        return KEEP_ALWAYS
    return min((keep_until + HOUR_S - 1) // HOUR_S, KEEP_ALWAYS - 1)


class Index:
    """`records`: findable ones, quarantined included. `free`: free slots in each slab, by position."""

    def __init__(self) -> None:
        self.records = 0
        self.free: list[int] = []
        self._tables: list[array[int] | None] = []
        self._free_heads: list[int] = []
        self._heads = array("I", bytes(4 * _HEADS_MIN))

    def add_slab(self, slots: int) -> int:
        """Room for `slots` slots, all TAKEN; the position of the new slab."""
        for position in range(len(self._tables)):
            if self._tables[position] is None:
                break
        else:
            position = len(self._tables)
            self._tables.append(None)
            self.free.append(0)
            self._free_heads.append(0)
        self._tables[position] = array("I", bytes(array("I", [0, TAKEN << 24, 0])) * slots)
        self.free[position] = 0
        self._free_heads[position] = 0
        return position

    def remove_slab(self, position: int) -> None:
        """Forget a slab, all of whose slots are free."""
        self._tables[position] = None
        self.free[position] = 0

    def take(self, position: int) -> int:
        """A free slot of that slab, now TAKEN; -1 when there is none."""
        place = self._free_heads[position] - 1
        if place < 0:
            return -1
        table = self._table(position)
        self._free_heads[position] = table[3 * place + 1] & _NEXT
        table[3 * place + 1] = TAKEN << 24
        self.free[position] -= 1
        return position * SLOTS_A_SLAB_MAX + place

    def give(self, slot: int) -> None:
        """A TAKEN slot is free again."""
        position, place = divmod(slot, SLOTS_A_SLAB_MAX)
        table = self._table(position)
        assert table[3 * place + 1] >> 24 == TAKEN, "only a taken slot can be given back"
        table[3 * place + 1] = self._free_heads[position]
        self._free_heads[position] = place + 1
        self.free[position] += 1

    def insert(self, slot: int, key: int, core: int, note: int, kind: int) -> None:
        """A TAKEN slot becomes a record of core number `core` (1..CORES_MAX)."""
        if self.records >= 2 * len(self._heads):
            self.hang_up(2 * len(self._heads))
        table, at = self._words(slot)
        assert table[at + 1] >> 24 == TAKEN, "only a taken slot can become a record"
        bucket = key & (len(self._heads) - 1)
        table[at] = key & 0xFFFFFFFF
        table[at + 1] = kind << _KIND_AT | core << 24 | self._heads[bucket]
        table[at + 2] = (key >> 32) << 24 | note
        self._heads[bucket] = slot + 1
        self.records += 1

    def remove(self, slot: int) -> None:
        """A record becomes TAKEN."""
        table, at = self._words(slot)
        following = table[at + 1] & _NEXT
        bucket = table[at] & (len(self._heads) - 1)
        if self._heads[bucket] == slot + 1:
            self._heads[bucket] = following
        else:
            before, before_at = self._words(self._heads[bucket] - 1)
            while before[before_at + 1] & _NEXT != slot + 1:
                before, before_at = self._words((before[before_at + 1] & _NEXT) - 1)
            before[before_at + 1] = before[before_at + 1] & ~_NEXT | following
        table[at + 1] = TAKEN << 24
        self.records -= 1

    def find(self, key: int, core: int) -> list[int]:
        """Slots of that core whose 40 bits agree; nearly always none or one."""
        low, high = key & 0xFFFFFFFF, key >> 32
        found = []
        link = self._heads[key & (len(self._heads) - 1)]
        while link:
            table, at = self._words(link - 1)
            word = table[at + 1]
            if table[at] == low and table[at + 2] >> 24 == high and word >> 24 & CORES_MAX == core:
                found.append(link - 1)
            link = word & _NEXT
        return found

    def is_record(self, slot: int, key: int, core: int) -> bool:
        """Whether the slot still is what `find` said it was; its slab may be gone meanwhile."""
        position, place = divmod(slot, SLOTS_A_SLAB_MAX)
        if place >= self.slots_in(position):
            return False
        table, at = self._words(slot)
        if table[at + 1] >> 24 & CORES_MAX != core:
            return False
        return table[at] == key & 0xFFFFFFFF and table[at + 2] >> 24 == key >> 32

    def key(self, slot: int) -> int:
        """The 40 bits of a record."""
        table, at = self._words(slot)
        return table[at + 2] >> 24 << 32 | table[at]

    def core_of(self, slot: int) -> int:
        """Core number of a record; 0 for a slot that is free or taken."""
        table, at = self._words(slot)
        return table[at + 1] >> 24 & CORES_MAX

    def kind(self, slot: int) -> int:
        table, at = self._words(slot)
        return table[at + 1] >> _KIND_AT

    def set_kind(self, slot: int, kind: int) -> None:
        table, at = self._words(slot)
        table[at + 1] = table[at + 1] & ~(3 << _KIND_AT) | kind << _KIND_AT

    def note(self, slot: int) -> int:
        """The hour until which it is kept, or the cache's own 24 bits."""
        table, at = self._words(slot)
        return table[at + 2] & 0xFFFFFF

    def set_note(self, slot: int, note: int) -> None:
        table, at = self._words(slot)
        table[at + 2] = table[at + 2] & ~0xFFFFFF | note

    def slots_in(self, position: int) -> int:
        """How many slots that slab has; 0 when it was removed."""
        table = self._tables[position]
        return 0 if table is None else len(table) // 3

    def records_in(self, position: int) -> "Iterator[int]":
        """Slots of that slab that hold records, quarantined ones included."""
        for place in range(self.slots_in(position)):
            if self._table(position)[3 * place + 1] >> 24 & CORES_MAX:
                yield position * SLOTS_A_SLAB_MAX + place

    def keys_in(self, position: int, core: int) -> "Iterator[tuple[int, int]]":
        """(slot, 40 bits) of that core's records in a slab, without quarantined ones."""
        for slot in self.records_in(position):
            table, at = self._words(slot)
            if core and table[at + 1] >> 24 == core:
                yield slot, self.key(slot)

    def _table(self, position: int) -> "array[int]":
        table = self._tables[position]
        assert table is not None, "a slab that was removed"
        return table

    def _words(self, slot: int) -> "tuple[array[int], int]":
        return self._table(slot // SLOTS_A_SLAB_MAX), slot % SLOTS_A_SLAB_MAX * 3

    def table(self, position: int) -> "tuple[array[int], int]":
        """What a checkpoint keeps of a slab: its table, and the first free place (+1, 0 = none)."""
        return self._table(position), self._free_heads[position]

    def adopt(self, position: int, table: "array[int]", free_head: int, free: int) -> None:
        """A slab's table as `table` gave it in an earlier process, no slot TAKEN; `hang_up` when all are there."""
        self._tables[position] = table
        self._free_heads[position] = free_head
        self.free[position] = free
        self.records += len(table) // 3 - free

    def states_in(self, position: int) -> "list[tuple[int, int, int]]":
        """(kind, core, how many) of a slab's records."""
        table, counts = self._table(position), [0] * 256
        for at in range(1, len(table), 3):
            counts[table[at] >> 24] += 1
        return [
            (state >> 6, state & CORES_MAX, count) for state, count in enumerate(counts) if count and state & CORES_MAX
        ]

    def hang_up(self, buckets: int) -> None:
        """All records in chains of at least `buckets` buckets."""
        size = len(self._heads)
        while size < buckets:
            size *= 2
        heads = array("I", bytes(4 * size))
        last, slot = size - 1, 0
        for position, table in enumerate(self._tables):
            slot = position * SLOTS_A_SLAB_MAX
            for at in range(0, 0 if table is None else len(table), 3):
                slot += 1
                word = table[at + 1]  # type: ignore[index]
                if word >> 24 & CORES_MAX:
                    bucket = table[at] & last  # type: ignore[index]
                    table[at + 1] = word & ~_NEXT | heads[bucket]  # type: ignore[index]
                    heads[bucket] = slot
        self._heads = heads
