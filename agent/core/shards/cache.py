"""The opportunistic class of the store: shards that somebody offers and nobody was promised. Loaded when first needed.

What comes in and what gives way is a policy's matter, one for each slot size: S3-FIFO with its small queue in memory
where that has room for ENTRIES_MIN shards, else SIEVE, which needs none. Only the policy that is used is imported.
The flash is written while the cache's part of the day's bytes lasts; after that only memory is used. A body in memory
is held here for the driver; this module does not look at it.
"""

from agent.core.shards.cache_queue import READS_MAX, SLOTS_MAX
from agent.core.shards.cache_sieve import FLASH, NOWHERE, RAM
from agent.core.shards.flash import CACHE, in_pages
from agent.core.shards.header import HEADER_BYTES
from agent.core.shards.index import CACHED, SLOTS_A_SLAB_MAX, key_of
from agent.core.shards.ticket import WRITE, Ticket

if False:
    from collections.abc import Collection
    from typing import Any

    from agent.core.shards.steps import Steps

ENTRIES_MIN = 4
UPLOADS_MAX = 4  # bodies on their way into memory
RAM_SHARE = 100  # the small queue has 1 % of the slots


class Cache:
    """`ram_bytes`: of the small queues together; 0 = SIEVE."""

    def __init__(self, store: "Steps", ram_bytes: int) -> None:
        self._store = store
        self._ram_bytes = ram_bytes // len(store.space.sizes)
        self._policies: dict[int, Any] = {}
        self._uploads: list[Ticket] = []
        if store.space.kinds[CACHED][0]:
            self._recall()

    def offered(self, ticket: Ticket) -> None:
        """Nothing of it is here: its way into the cache, or "declined"."""
        store = self._store
        size = store.space.size_for(ticket.length, HEADER_BYTES)
        policy = self._policy(size)
        cost = in_pages(HEADER_BYTES + ticket.length)
        is_affordable = store.flash.left(CACHE, store.now) >= cost and not store.fault
        where = policy.admit(_key(ticket.number, ticket.shard), is_affordable and self._has_room(size))
        if where == FLASH and (not is_affordable or len(store.space.slabs) * SLOTS_A_SLAB_MAX > SLOTS_MAX):
            where = RAM if policy.ram_max else NOWHERE
        self._uploads = [other for other in self._uploads if other.result == "ready"]
        if where == FLASH:
            store.reserve(ticket)
        elif where == RAM and len(self._uploads) < UPLOADS_MAX:
            ticket.body = bytearray()
            ticket.step = "body"
            self._uploads.append(ticket)
            store.rest(ticket, "ready")
        else:
            store.rest(ticket, "declined")

    def hold(self, ticket: Ticket) -> None:
        """The body in memory is whole and right."""
        size = self._store.space.size_for(ticket.length, HEADER_BYTES)
        name, key = (ticket.number, ticket.shard), _key(ticket.number, ticket.shard)
        promoted = self._policy(size).hold(name, key, bytes(ticket.body))
        self._store.rest(ticket, "cached")
        for (number, shard), body in promoted:
            cost = in_pages(HEADER_BYTES + len(body))
            if self._store.flash.left(CACHE, self._store.now) >= cost and not self._store.fault:
                self._store.promote(number, shard, body)

    def write(self, ticket: Ticket) -> None:
        """A promoted shard has its slot."""
        ticket.step = "body"
        ticket.received = ticket.length
        self._store.write(WRITE, ticket, ticket.length, HEADER_BYTES, ticket.body)

    def held(self, number: int, shard: bytes) -> "bytes | None":
        """The body, where it is in memory."""
        for policy in self._policies.values():
            body: bytes | None = policy.held((number, shard)) if policy.ram_max else None
            if body is not None:
                return body
        return None

    def drop(self, number: int, shard: bytes) -> bool:
        """Out of the memory; whether it was there."""
        return bool([1 for policy in self._policies.values() if policy.ram_max and policy.drop((number, shard))])

    def forget(self, number: int) -> None:
        """The same for all that a core has."""
        for policy in self._policies.values():
            for name in list(policy.ram) if policy.ram_max else ():
                if name[0] == number:
                    policy.drop(name)

    def insert(self, slot: int) -> None:
        self._policy(self._store.space.slab_of(slot).slot_bytes).insert(slot)

    def touch(self, slot: int, reads: int) -> None:
        """A record, of whatever kind, was read so often."""
        for _ in range(min(reads, READS_MAX) if self._store.index.kind(slot) == CACHED else 0):
            self._policy(self._store.space.slab_of(slot).slot_bytes).touch(slot)

    def victim(self, size: int) -> int:
        """A slot of that size that gives way, -1 when there is none."""
        slot: int = self._policies[size].victim() if size in self._policies else -1
        return slot

    def discard(self, slots: "Collection[int]") -> None:
        for policy in self._policies.values():
            policy.discard(slots)

    def ram_bytes(self) -> int:
        """What is held in memory."""
        return sum(
            [len(entry[2]) for policy in self._policies.values() if policy.ram_max for entry in policy.ram.values()]
        )

    def _policy(self, size: int) -> "Any":
        found = self._policies.get(size)
        if found is None:
            slots = max(1, self._store.space.quota_bytes // size)
            entries = min(slots // RAM_SHARE, self._ram_bytes // size)
            if entries >= ENTRIES_MIN:
                from agent.core.shards.cache_s3fifo import S3Fifo

                found = S3Fifo(self._store.index, slots, entries)
            else:
                from agent.core.shards.cache_sieve import Sieve

                found = Sieve(self._store.index, slots)
            self._policies[size] = found
        return found

    def _has_room(self, size: int) -> bool:
        """Whether there is a free slot, or a new slab may be made for one."""
        space, flash = self._store.space, self._store.flash
        for slab in space.slabs:
            if slab is not None and slab.slot_bytes == size and self._store.index.free[slab.position]:
                return True
        return 0 < space.slab_bytes(size) * 2 <= flash.left(CACHE, self._store.now)

    def _recall(self) -> None:
        """What an earlier process had cached; who was older is not known any more."""
        for slab in self._store.space.slabs:
            for slot in () if slab is None else self._store.index.records_in(slab.position):
                if self._store.index.kind(slot) == CACHED:
                    self.insert(slot)


def _key(number: int, shard: bytes) -> int:
    """Cores do not share: the same shard of two cores is two."""
    return key_of(shard) ^ number << 8
