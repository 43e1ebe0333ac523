"""The start of the store: what an earlier process left, from the memo, the checkpoint and the headers.

    recall_memo(records)                 when there is a memo's file
    count = recall_head(data)            when there is a checkpoint's; then for each of its parts, in order:
    slab = attach(...); adopt(slab, number, head, data)     where `is_fresh(number)` and the slab's file is there
    attach(...), load(...)               for each other slab, its slots from the last to the first
    start()

A checkpoint that the memo does not name, or a part that is damaged, is as good as none: the headers say it all.
"""

from agent.core.shards import checkpoint
from agent.core.shards.flash import Flash
from agent.core.shards.header import ERASED
from agent.core.shards.index import CACHED, SLOTS_A_SLAB_MAX, hours_of, key_of
from agent.core.shards.space import Slab
from agent.core.shards.steps import Steps
from agent.core.shards.ticket import Ticket
from agent.errors import LimitError, PortError


class Recall(Steps):
    """Not yet a store that serves."""

    def limit(self, flash_day_bytes: int, cache_ram_bytes: int) -> None:
        """Before the start. Bytes that may be written to the flash in a day (0 = any number), and how much memory the
        cache may use (too little for a few shards: it uses none)."""
        self.flash = Flash(flash_day_bytes)
        self._cache_ram_bytes = cache_ram_bytes

    def recall_memo(self, records: list[bytes]) -> bool:
        """Both records of the memo's file. False: neither is good, remove it; the flash counts as used up then. One
        that is damaged may have been the newer one: no checkpoint counts."""
        good = self.memo.decode(records)
        if not good:
            self.flash.exhaust()
            return False
        self.flash.recall(self.memo.hours, good < len(records))
        if good < len(records):
            self.distrust()
        return True

    def distrust(self) -> None:
        """The checkpoint was not used, as a whole or in part: it never counts again, even if it can be read later."""
        self._is_distrusted = self.memo.serial > 0 and not self.memo.is_all
        self.memo.is_all = True

    def recall_head(self, data: bytes) -> int:
        """How many parts of this checkpoint count; 0 when none does."""
        head = checkpoint.decode_head(data)
        if head is None or (head[0], head[3]) != (self.memo.generation, self.memo.checkpoint) or self.memo.is_all:
            self.distrust()
            return 0
        self._sequence = head[1]
        self.cores.recall(head[4])
        return head[2]

    def is_fresh(self, number: int) -> bool:
        """Whether no header of that slab is newer than the checkpoint."""
        return not self.memo.is_marked(number)

    def adopt(self, slab: Slab, number: int, head: bytes, data: bytes) -> bool:
        """The records of a slab that was attached, from part `number`. False: it is damaged, load the headers."""
        slab.mark = number
        found = checkpoint.table_of(head, data, self.memo.checkpoint)
        if found is None:
            return False
        self.space.adopt(slab, found[0], found[1], found[2])
        return True

    def adopted(self) -> None:
        """After the last part."""
        self.index.hang_up(self.index.records // 2)

    def attach(self, slot_bytes: int, number: int, slots: int) -> Slab:
        """A slab file was found."""
        slab = Slab(slot_bytes, number, slots)
        self.space.allocated_bytes += slab.bytes
        self.space.attach(slab)
        return slab

    def load(self, slab: Slab, place: int, data: bytes) -> list[int]:
        """The header of one slot. Slots whose 40 bits are the same: give both headers to `settle_twins`."""
        slot = slab.position * SLOTS_A_SLAB_MAX + place
        header = self._parse(slot, data)
        if header is None:
            if data != ERASED:
                self._report("", b"", "header")
            self.space.give(slot)
            return []
        self._sequence = max(self._sequence, header.sequence)
        try:
            number = self.cores.number(header.core.hex())
        except LimitError:
            self._report(header.core.hex(), header.shard, "cores")
            return []
        key = key_of(header.shard)
        twins = self.index.find(key, number)
        self.space.insert(slot, key, number, hours_of(header.keep_until), header.flags)
        return twins

    def settle_twins(self, slot: int, data: bytes, other: int, other_data: bytes) -> None:
        """Two headers name one shard (a lost erasure of an expired one): the older one is erased."""
        header, other_header = self._parse(slot, data), self._parse(other, other_data)
        if header is None or other_header is None or header.shard != other_header.shard:
            return
        loser = slot if header.sequence < other_header.sequence else other
        self.space.withdraw(loser)
        self._erase(Ticket("erase", header.core.hex(), 0, header.shard), loser)

    def skip(self, error: PortError) -> None:
        """A header cannot be read: its slot stays unused, and what it held is lost unless a later start reads it."""
        self._report("", b"", error.code)

    def start(self) -> None:
        """All slabs are loaded."""
        if self.space.kinds[CACHED][0]:
            self._open_cache()
        self.room.shrink()

    def _open_cache(self) -> None:
        if self.cache is None:
            from agent.core.shards.cache import Cache  # here: most devices are never offered anything

            self.cache = Cache(self, self._cache_ram_bytes)
