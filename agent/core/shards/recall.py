"""The start of the store: what an earlier process left, from the memo, the checkpoint and the headers.

    recall_memo(records)                 when there is a memo's file
    count = recall_head(data)            when there is a checkpoint's; then for each of its parts, in order:
    slab = attach(...); adopt(slab, number, head, data)     where `is_fresh(number)` and the slab's file is there
    attach(...), load(...)               for each other slab, its slots from the last to the first
    store.start()

A checkpoint that the memo does not name, or a part that is damaged, is as good as none: the headers say it all.
"""

from agent.core.shards import checkpoint
from agent.core.shards.header import ERASED
from agent.core.shards.index import SLOTS_A_SLAB_MAX, hours_of, key_of
from agent.core.shards.space import Slab
from agent.core.shards.ticket import Ticket
from agent.errors import LimitError, PortError

if False:
    from agent.core.shards.store import Store


class Recall:
    """What fills a store that does not serve yet. Not needed any more after the start."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def recall_memo(self, records: list[bytes]) -> bool:
        """Both records of the memo's file. False: neither is good, remove it; the flash counts as used up then. One
        that is damaged may have been the newer one: no checkpoint counts."""
        store = self._store
        good = store.memo.decode(records)
        if not good:
            store.flash.exhaust()
            return False
        store.flash.recall(store.memo.hours, good < len(records))
        if good < len(records):
            self.distrust()
        return True

    def distrust(self) -> None:
        """The checkpoint was not used, as a whole or in part: it never counts again, even if it can be read later."""
        store = self._store
        store.is_distrusted = store.memo.serial > 0 and not store.memo.is_all
        store.memo.is_all = True

    def recall_head(self, data: bytes) -> int:
        """How many parts of this checkpoint count; 0 when none does."""
        store = self._store
        head = checkpoint.decode_head(data)
        if head is None or (head[0], head[3]) != (store.memo.generation, store.memo.checkpoint) or store.memo.is_all:
            self.distrust()
            return 0
        store.sequence = head[1]
        store.cores.recall(head[4])
        return head[2]

    def is_fresh(self, number: int) -> bool:
        """Whether no header of that slab is newer than the checkpoint."""
        store = self._store
        return not store.memo.is_marked(number)

    def adopt(self, slab: Slab, number: int, head: bytes, data: bytes) -> bool:
        """The records of a slab that was attached, from part `number`. False: it is damaged, load the headers."""
        store = self._store
        slab.mark = number
        found = checkpoint.table_of(head, data, store.memo.checkpoint)
        if found is None:
            return False
        slab.notes = found[3]
        store.space.adopt(slab, found[0], found[1], found[2])
        return True

    def adopted(self) -> None:
        """After the last part."""
        store = self._store
        store.index.hang_up(store.index.records // 2)

    def attach(self, slot_bytes: int, number: int, slots: int) -> Slab:
        """A slab file was found."""
        store = self._store
        slab = Slab(slot_bytes, number, slots)
        slab.notes_bytes = store.space.notes_bytes
        store.space.allocated_bytes += slab.bytes
        store.space.attach(slab)
        return slab

    def load(self, slab: Slab, place: int, data: bytes) -> list[int]:
        """The header of one slot. Slots whose 40 bits are the same: give both headers to `settle_twins`."""
        store = self._store
        slot = slab.position * SLOTS_A_SLAB_MAX + place
        if store.space.notes_bytes:
            data = store.space.latest(slot, data)  # type: ignore[attr-defined]
        header = store._parse(slot, data)
        if header is None:
            if data != ERASED:
                store._report("", b"", "header")
            store.space.give(slot)
            return []
        store.sequence = max(store.sequence, header.sequence)
        try:
            number = store.cores.number(header.core.hex())
        except LimitError:
            store._report(header.core.hex(), header.shard, "cores")
            return []
        key = key_of(header.shard)
        twins = store.index.find(key, number)
        store.space.insert(slot, key, number, hours_of(header.keep_until), header.flags)
        return twins

    def settle_twins(self, slot: int, data: bytes, other: int, other_data: bytes) -> None:
        """Two headers name one shard (a lost erasure of an expired one): the older one is erased."""
        store = self._store
        header, other_header = store._parse(slot, data), store._parse(other, other_data)
        if header is None or other_header is None or header.shard != other_header.shard:
            return
        loser = slot if header.sequence < other_header.sequence else other
        store.space.withdraw(loser)
        store._erase(Ticket("erase", header.core.hex(), 0, header.shard), loser)

    def skip(self, error: PortError) -> None:
        """A header cannot be read: its slot stays unused, and what it held is lost unless a later start reads it."""
        store = self._store
        store._report("", b"", error.code)
