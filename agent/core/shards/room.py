"""Makes room for puts: a free slot, a new slab, a promise that has expired, the bytes of an empty slab, a larger slot.

In that order, and never above the quota; when nothing helps, the put is refused ("quota", or "disk_full" when the
disk has less than the quota promises). Puts wait here while room is being made.
"""

from agent.core.shards.cores import Cores
from agent.core.shards.header import ERASED, HEADER_BYTES
from agent.core.shards.index import HOUR_S, KEEP_ALWAYS, SLOTS_A_SLAB_MAX, Index
from agent.core.shards.space import Slab, Space
from agent.core.shards.ticket import CREATE, REMOVE, WRITE, Effect, Ticket
from agent.errors import LimitError, PortError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SWEEP_MAX = 64  # slots freed at once
RETRY_MS = 60_000  # after the disk was full, or nothing had expired


class Room:
    """`effects`: the store's list of them. `cores`, `core_time(core id)`: whose promises have expired."""

    def __init__(self, index: Index, space: Space, cores: Cores, core_time: "Callable[[str], int | None]") -> None:
        self.effects: list[Effect] = []
        self._index = index
        self._space = space
        self._cores = cores
        self._core_time = core_time
        self._waiting: list[Ticket] = []
        self._coming: dict[int, int] = {}  # slot size -> effects under way that may give such slots
        self._full_until = 0
        self._swept_until = 0

    def reserve(self, ticket: Ticket, now: int) -> None:
        """Give `ticket` a slot, or an error; else it waits and `settle` will return it later."""
        wanted = self._space.size_for(ticket.length, HEADER_BYTES)
        slot = self._space.take(wanted)
        if slot < 0 and self._is_coming(wanted, now):
            self._waiting.append(ticket)
            return
        for size in self._space.sizes:
            if slot < 0 and size > wanted:
                slot = self._space.take(size)
        if slot >= 0:
            ticket.slot = slot
            ticket.result = "ready"
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
        """Remove empty slabs while there is more than the quota (the owner lowered it)."""
        excess = self._space.allocated_bytes - self._space.quota_bytes
        for slab in self._space.empty_slabs(0):
            if excess > 0:
                excess -= slab.bytes
                self._remove(slab, 0)

    def _created(self, slab: Slab, error: PortError | None, now: int) -> None:
        if error is not None:
            self._space.dropped(slab)
            self._full_until = now + RETRY_MS
            return
        self._space.attach(slab)
        slab.is_synced = True
        for place in range(slab.slots - 1, -1, -1):
            self._space.give(slab.position * SLOTS_A_SLAB_MAX + place)

    def _is_coming(self, wanted: int, now: int) -> bool:
        """Whether a slot of that size is being made; starts making one if that is possible."""
        if self._coming.get(wanted, 0) > 0:
            return True
        if now >= self._full_until:
            slab = self._space.plan(wanted)
            if slab is not None:
                self._start(wanted, Effect(CREATE, slab, 0, slab.bytes, None, None))
                return True
        return self._sweep(wanted, now) or (now >= self._full_until and self._swap(wanted))

    def _sweep(self, wanted: int, now: int) -> bool:
        """Free slots whose promise has expired. No flush: an erasure that is lost brings an expired record back."""
        if now < self._swept_until:
            return False
        expired: list[int] = []
        for slab in self._space.slabs:
            if slab is not None and slab.slot_bytes == wanted and len(expired) < SWEEP_MAX:
                expired += [slot for slot in self._index.records_in(slab.position) if self._is_expired(slot)]
        for slot in expired[:SWEEP_MAX]:
            ticket = Ticket("sweep", "", 0, b"")
            ticket.slot = slot
            self._space.withdraw(slot)
            offset = slot % SLOTS_A_SLAB_MAX * wanted
            self._start(wanted, Effect(WRITE, self._space.slab_of(slot), offset, HEADER_BYTES, ERASED, ticket))
        if not expired:
            self._swept_until = now + RETRY_MS
        return bool(expired)

    def _is_expired(self, slot: int) -> bool:
        hours = self._index.hours(slot)
        if hours == KEEP_ALWAYS:
            return False
        core_now = self._core_time(self._cores.name(self._index.core_of(slot)))
        return core_now is not None and core_now >= hours * HOUR_S

    def _swap(self, wanted: int) -> bool:
        """Remove as many empty slabs of other slot sizes as one slot of the wanted size needs."""
        needed = wanted - (self._space.quota_bytes - self._space.allocated_bytes)
        chosen: list[Slab] = []
        for slab in self._space.empty_slabs(wanted):
            if needed > 0:
                needed -= slab.bytes
                chosen.append(slab)
        if needed > 0:
            return False
        for slab in chosen:
            self._remove(slab, wanted)
        return bool(chosen)

    def _remove(self, slab: Slab, wanted: int) -> None:
        self._space.detach(slab)
        self._start(wanted, Effect(REMOVE, slab, 0, wanted, None, None))

    def _start(self, wanted: int, effect: Effect) -> None:
        self._coming[wanted] = self._coming.get(wanted, 0) + 1
        self.effects.append(effect)
