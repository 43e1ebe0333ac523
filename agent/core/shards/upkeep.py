"""What is done now and then, and at an orderly stop: checkpoints, and freeing what has waited long enough.

Loaded for that only, because it takes memory: `Upkeep(store)`, and nothing of it is kept.
"""

from agent.core.shards import checkpoint
from agent.core.shards.flash import PAGE_BYTES, REPLACE_BYTES, TIDY, in_pages
from agent.core.shards.index import TAKEN
from agent.core.shards.room import TRASH_HOURS
from agent.core.shards.ticket import CHECKPOINT, Effect

if False:
    from collections.abc import Iterator

    from agent.core.shards.space import Slab
    from agent.core.shards.store import Store

PURGE_MAX = 64


class Upkeep:
    """Of one store."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def purge(self, now: int) -> bool:
        """Free what was deleted, or not renewed, a week ago; whether there may be more of it."""
        store, count = self._store, 0
        store.now = now
        for slab in store.space.slabs if not store.fault else ():
            for slot in () if slab is None else store.index.records_in(slab.position):
                more = 0 if store.index.kind(slot) else TRASH_HOURS
                if count < PURGE_MAX and store.room.left_hours(slot, more) == 0:
                    if store.flash.left(TIDY, now) < PAGE_BYTES:
                        return False
                    count += 1
                    store.room.free(slot)
        return count == PURGE_MAX

    def checkpoint(self, now: int) -> bool:
        """Write one, if anything has changed and the flash may be written. False: nothing was begun."""
        store = self._store
        store.now = now
        slabs = [slab for slab in store.space.slabs if slab is not None]
        size = checkpoint.HEAD_BYTES
        size += sum([checkpoint.PART_BYTES + 12 * slab.slots + checkpoint.CRC_BYTES for slab in slabs])
        cost = in_pages(size) + REPLACE_BYTES + 2 * PAGE_BYTES
        is_same = not store.memo.is_all and not [slab for slab in slabs if slab.is_marked or slab.mark < 0]
        if store.fault or is_same or store.is_memo_coming or store.flash.left(TIDY, now) < cost:
            return False
        store.flash.spend(cost)
        store.memo.generation += 1
        head = checkpoint.encode_head(store.memo.generation, store.sequence, len(slabs), store.cores)
        crc = int.from_bytes(head[-4:], "little")
        store.memo.begin(crc)
        for number, slab in enumerate(slabs):
            slab.mark = number
            slab.is_marked = self._is_moving(slab)
            if slab.is_marked:
                store.memo.mark(number)
        pieces = _pieces(head, checkpoint.parts(slabs, store.index, crc))
        store.effects.insert(0, Effect(CHECKPOINT, None, 0, size, pieces, None))  # before the index changes
        return True

    def _is_moving(self, slab: "Slab") -> bool:
        """Whether the index and the medium may differ: what is written was not flushed, or a slot is in use."""
        store = self._store
        if slab.waiting or slab.batch or slab.writes:
            return True
        table = store.index.table(slab.position)[0]
        return len([at for at in range(1, len(table), 3) if table[at] >> 24 == TAKEN]) > slab.dead

    def finish(self, now: int) -> None:
        """Orderly stop, when nothing is under way any more: the memo says exactly how much flash was written."""
        store = self._store
        store.now = now
        if not store.fault and store.memo.serial and not store.is_memo_coming:
            store.write_memo(True)

    def flush_all(self, now: int) -> None:
        """Orderly stop: headers that nobody waits for."""
        store = self._store
        store.now = now
        for slab in store.space.slabs:
            if slab is not None and slab.writes and not slab.batch and not store.fault:
                store.flush(slab)


def _pieces(head: bytes, rest: "Iterator[bytes]") -> "Iterator[bytes]":
    yield head
    yield from rest
