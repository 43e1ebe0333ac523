"""SIEVE (Zhang et al., NSDI 2024) for boards with little memory: who in the cache gives way, and what may come in.

One bit a slot says that it was read. A hand walks from the oldest to the newest and round again, clears the bits it
finds and stops at the first slot without one; what is new comes in at the newest end.

To spare the flash a shard comes in at its second request only, while the ghost remembers the first; freely while there
is room. `ghost_entries` 0: plain SIEVE, everything comes in.
"""

from agent.core.shards.cache_queue import Ghost, Queue

if False:
    from collections.abc import Collection

    from agent.core.shards.cache_queue import Notes

FLASH, RAM, NOWHERE = "flash", "ram", ""


class Sieve:
    """`notes`: see cache_queue.py."""

    ram_max = 0

    def __init__(self, notes: "Notes", ghost_entries: int) -> None:
        self._queue = Queue(notes)
        self._ghost = Ghost(ghost_entries, ghost_entries) if ghost_entries else None
        self._hand = -1  # the next one to be asked, -1 = the oldest
        self._before = -1  # the one that is just older than the hand

    def admit(self, key: int, is_room: bool) -> str:
        """Where a shard goes that somebody offers: FLASH, or NOWHERE (remembered)."""
        if self._ghost is None or is_room or self._ghost.take(key):
            return FLASH
        self._ghost.add(key)
        return NOWHERE

    def insert(self, slot: int) -> None:
        """It is in that slot."""
        if self._hand < 0 and self._before >= 0:
            self._hand, self._before = -1, -1
        self._queue.push(slot, 0)

    def touch(self, slot: int) -> None:
        """It was read."""
        if not self._queue.reads(slot):
            self._queue.set_reads(slot, 1)

    def victim(self) -> int:
        """The slot that gives way, taken out of the queue; -1 when nothing is cached."""
        queue = self._queue
        slot, before = self._hand, self._before
        if slot < 0:
            slot, before = queue.oldest, -1
        while slot >= 0 and queue.reads(slot):
            queue.set_reads(slot, 0)
            before, slot = slot, queue.newer(slot)
            if slot < 0:
                before, slot = -1, queue.oldest
        if slot >= 0:
            self._hand, self._before = queue.newer(slot), before
            queue.cut(before, slot)
            if self._hand < 0:
                self._before = -1
        return slot

    def discard(self, slots: "Collection[int]") -> None:
        """These are gone for another reason."""
        for slot, before in self._queue.discard(slots):
            if slot == self._hand:
                self._hand = self._queue.newer(slot)
            if slot == self._before or self._hand < 0:
                self._before = before
        if self._hand < 0:
            self._before = -1
