"""S3-FIFO (Yang et al., SOSP 2023) with its small queue in memory: the flash is written for what was asked for again.

What is offered comes into the small queue; when it leaves that one unread it is only remembered (the ghost), when it
was read, or is offered again while it is remembered, it goes to the main queue, which is the flash. Freely while there
is room. The main queue is first in, first out, and what was read goes round once more for each read.
"""

from agent.core.shards.cache_queue import READS_MAX, Ghost, Queue
from agent.core.shards.cache_sieve import FLASH, RAM

if False:
    from collections.abc import Collection
    from typing import Any

    from agent.core.shards.cache_queue import Notes


class S3Fifo:
    """`ram_max`: entries of the small queue. `ram`: what is in it, [key, times read, the caller's own] by name."""

    def __init__(self, notes: "Notes", ghost_entries: int, ram_max: int, reads_wanted: int = 2) -> None:
        self.ram_max = ram_max
        self.ram: dict[Any, list[Any]] = {}
        self._order: list[Any] = []
        self._main = Queue(notes)
        self._ghost = Ghost(ghost_entries, ghost_entries * 3 // 2)
        self._reads_wanted = reads_wanted

    def admit(self, key: int, is_room: bool) -> str:
        """Where a shard goes that somebody offers: FLASH or RAM."""
        return FLASH if self._ghost.take(key) or is_room else RAM

    def hold(self, name: object, key: int, body: object) -> "list[tuple[Any, Any]]":
        """Into the small queue; (name, body) of those that leave it for the flash."""
        self.ram[name] = [key, 0, body]
        self._order.append(name)
        promoted = []
        while len(self._order) > self.ram_max:
            oldest = self._order.pop(0)
            entry = self.ram.pop(oldest)
            if entry[1] >= self._reads_wanted:
                promoted.append((oldest, entry[2]))
            else:
                self._ghost.add(entry[0])
        return promoted

    def held(self, name: object) -> "Any":
        """What `hold` was given, counted as a read; None when it is not in the small queue."""
        entry = self.ram.get(name)
        if entry is None:
            return None
        entry[1] += 1
        return entry[2]

    def drop(self, name: object) -> bool:
        """Out of the small queue."""
        if self.ram.pop(name, None) is None:
            return False
        self._order.remove(name)
        return True

    def insert(self, slot: int) -> None:
        """It is in that slot."""
        self._main.push(slot, 0)

    def touch(self, slot: int) -> None:
        """It was read."""
        self._main.set_reads(slot, min(self._main.reads(slot) + 1, READS_MAX))

    def victim(self) -> int:
        """The slot that gives way, taken out of the queue; -1 when nothing is cached."""
        slot = self._main.oldest
        while slot >= 0:
            reads = self._main.reads(slot)
            self._main.cut(-1, slot)
            if not reads:
                return slot
            self._main.push(slot, reads - 1)
            slot = self._main.oldest
        return -1

    def discard(self, slots: "Collection[int]") -> None:
        """These are gone for another reason."""
        self._main.discard(slots)
