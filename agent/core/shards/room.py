"""Makes room: a free slot, a new slab, what has expired or was deleted, what is cached, the bytes of an idle slab, a
larger slot.

In that order, and never above the quota or the day's flash bytes; when nothing helps, the put is refused ("quota",
"flash", or "disk_full" when the disk has less than the quota promises). Puts wait here while room is being made. What
is offered to the cache takes free slots and those of other cached shards, nothing else.

Deleted shards and promises that have ended stay until their room is needed, TRASH_HOURS at most: a core that deleted
one by mistake, or was late with a renewal, still finds it with a PUT.
"""

from agent.core.shards.flash import CACHE, PAGE_BYTES, PUT
from agent.core.shards.header import ERASED, HEADER_BYTES
from agent.core.shards.index import CACHED, HOUR_S, KEEP_ALWAYS, SLOTS_A_SLAB_MAX, TRASH
from agent.core.shards.space import Slab
from agent.core.shards.ticket import CACHING, CREATE, REMOVE, WRITE, Effect, Ticket
from agent.errors import LimitError, PortError

if False:
    from collections.abc import Callable

    from agent.core.shards.commits import Commits

SWEEP_MAX = 8  # slots freed at once for a put: not more than will be needed soon
RETRY_MS = 60_000  # after the disk was full, or nothing had expired
TRASH_HOURS = 7 * 24


class Room:
    """`core_time(core id)`: unix seconds of that core or None."""

    def __init__(self, store: "Commits", core_time: "Callable[[str], int | None]") -> None:
        self._store = store
        self._index = store.index
        self._space = store.space
        self._core_time = core_time
        self._waiting: list[Ticket] = []
        self._coming: dict[int, int] = {}  # slot size -> effects under way that may give such slots
        self._full_until = 0
        self._swept_until = 0
        self._is_spent = False

    def reserve(self, ticket: Ticket, now: int) -> None:
        """Give `ticket` a slot, or an error; else it waits and `done` will return it later."""
        wanted = self._space.size_for(ticket.length, HEADER_BYTES)
        is_cache = ticket.operation in CACHING
        slot = self._space.take(wanted)
        self._is_spent = False
        if slot < 0 and self._is_coming(wanted, is_cache, now):
            self._waiting.append(ticket)
            return
        for size in self._space.sizes:
            if slot < 0 and size > wanted and not is_cache:
                slot = self._space.take(size)
        if slot >= 0:
            ticket.slot = slot
            ticket.result = "ready"
        elif self._is_spent:
            ticket.error = self._store.flash.refusal(self._space.slab_bytes(wanted), CACHE if is_cache else PUT, now)
        elif now < self._full_until:
            ticket.error = LimitError("disk_full", "The device's disk is full; store the shard elsewhere.", 60)
        else:
            quota = self._space.quota_bytes
            ticket.error = LimitError(
                "quota", f"The device keeps {quota} bytes of shards already, which is all it may."
            )

    def done(self, effect: Effect, error: PortError | None, now: int) -> list[Ticket]:
        """A CREATE, REMOVE or sweeping WRITE has ended. Tickets that came to rest by it."""
        wanted = effect.length if effect.kind == REMOVE else effect.slab.slot_bytes
        self._coming[wanted] = self._coming.get(wanted, 1) - 1
        if effect.kind == CREATE:
            self._created(effect.slab, error, now)
        elif effect.kind == REMOVE:
            if error is None:
                self._space.dropped(effect.slab)
        elif error is None:
            self._space.give(effect.ticket.slot)
        waiting, self._waiting = self._waiting, []
        for ticket in waiting:
            self.reserve(ticket, now)
        return [ticket for ticket in waiting if ticket.is_at_rest]

    def shrink(self) -> None:
        """Remove idle slabs while there is more than the quota (the owner lowered it)."""
        excess = self._space.allocated_bytes - self._space.quota_bytes
        for slab in self._space.idle_slabs(0) if excess > 0 else []:
            if excess > 0 and not self._store.is_in_use(slab):
                excess -= slab.bytes
                self._remove(slab, 0)

    def trashed(self) -> None:
        """Something can be swept again."""
        self._swept_until = 0

    def _created(self, slab: Slab, error: PortError | None, now: int) -> None:
        if error is not None:
            self._space.dropped(slab)
            self._full_until = now + RETRY_MS
            return
        self._space.attach(slab)
        slab.is_synced = True
        for place in range(slab.slots - 1, -1, -1):
            self._space.give(slab.position * SLOTS_A_SLAB_MAX + place)

    def _is_coming(self, wanted: int, is_cache: bool, now: int) -> bool:
        """Whether a slot of that size is being made; starts making one if that is possible."""
        if self._coming.get(wanted, 0) > 0:
            return True
        if now >= self._full_until and self._is_planned(wanted, CACHE if is_cache else PUT, now):
            return True
        if is_cache:
            return self._evict(wanted)
        if self._sweep(wanted, now) or self._evict(wanted):
            return True
        return now >= self._full_until and not self._is_spent and self._swap(wanted)

    def _is_planned(self, wanted: int, purpose: str, now: int) -> bool:
        """Begin a new slab, if quota and flash allow it."""
        cost = self._space.slab_bytes(wanted)
        if not cost:
            return False
        if self._store.flash.left(purpose, now) < cost + PAGE_BYTES:
            self._is_spent = True
            return False
        slab = self._space.plan(wanted)
        self._store.flash.spend(cost + PAGE_BYTES)
        self._start(wanted, Effect(CREATE, slab, 0, slab.bytes, None, None))
        return True

    def _sweep(self, wanted: int, now: int) -> bool:
        """Free slots that were deleted or whose promise has ended, longest ago first. No flush: an erasure that is lost
        brings such a record back."""
        if now < self._swept_until:
            return False
        ended: list[tuple[int, int]] = []
        for slab in self._space.slabs:
            if slab is not None and slab.slot_bytes == wanted:
                for slot in self._index.records_in(slab.position):
                    left = self.left_hours(slot, TRASH_HOURS if self._index.kind(slot) != TRASH else 0)
                    if left <= TRASH_HOURS and (len(ended) < SWEEP_MAX or left < ended[-1][0]):
                        ended = sorted(ended + [(left, slot)])[:SWEEP_MAX]
        for _, slot in ended:
            self.free(slot)
        if not ended:
            self._swept_until = now + RETRY_MS
        return bool(ended)

    def left_hours(self, slot: int, more: int) -> int:
        """How long a record stays, `more` hours after its time included; KEEP_ALWAYS where nobody can say."""
        hours = self._index.note(slot)
        if self._index.kind(slot) == CACHED or hours == KEEP_ALWAYS:
            return KEEP_ALWAYS
        core_now = self._core_time(self._store.cores.name(self._index.core_of(slot)))
        left = KEEP_ALWAYS if core_now is None else max(0, hours + more - core_now // HOUR_S)
        return min(left, TRASH_HOURS) if self._index.kind(slot) == TRASH else left

    def _evict(self, wanted: int) -> bool:
        """Free the slot of the cached shard whose turn it is."""
        slot = self._store.cache.victim(wanted) if self._store.cache is not None else -1
        if slot >= 0:
            self.free(slot)
        return slot >= 0

    def free(self, slot: int) -> None:
        """Erase the header; then the slot is free."""
        ticket = Ticket("sweep", "", 0, b"")
        ticket.slot = slot
        slab = self._space.slab_of(slot)
        self._space.withdraw(slot)
        self._store.flash.spend(PAGE_BYTES)
        slab.writes += 1
        offset = slot % SLOTS_A_SLAB_MAX * slab.slot_bytes
        self._start(slab.slot_bytes, Effect(WRITE, slab, offset, HEADER_BYTES, ERASED, ticket))

    def _swap(self, wanted: int) -> bool:
        """Remove as many idle slabs of other slot sizes as one slot of the wanted size needs."""
        needed = wanted - (self._space.quota_bytes - self._space.allocated_bytes)
        chosen: list[Slab] = []
        for slab in self._space.idle_slabs(wanted):
            if needed > 0 and not self._store.is_in_use(slab):
                needed -= slab.bytes
                chosen.append(slab)
        if needed > 0:
            return False
        for slab in chosen:
            self._remove(slab, wanted)
        return bool(chosen)

    def _remove(self, slab: Slab, wanted: int) -> None:
        slots = list(self._index.records_in(slab.position))
        self._store.uncache(slots)
        for slot in slots:
            self._space.withdraw(slot)
            self._space.give(slot)
        self._space.detach(slab)
        self._store.flash.spend(PAGE_BYTES)
        self._start(wanted, Effect(REMOVE, slab, 0, wanted, None, None))

    def _start(self, wanted: int, effect: Effect) -> None:
        self._coming[wanted] = self._coming.get(wanted, 0) + 1
        self._store.emit(effect)
