"""How room is made in a log (log.py): the segment with the least to keep is emptied and its file removed.

What gives way (room.py) is not moved but goes with its segment, a cached shard's turn or a deleted one's age
notwithstanding. Each other record is copied to a free slot and hashed on the way; then flush,
header, flush, tombstone of the old one, flush: at any cut one copy that is whole is found, and what is deleted after
that stays so. Room is left for it at all times (Log.slab_bytes), and a cleaning that was cut short goes first.
MOVES_MAX records move at once; one segment at a time. Its bytes are counted as the put's that needs the room: when the
day's are spent, the put is refused.
"""

from agent.core.shards.flash import CACHE, PAGE_BYTES, PUT, in_pages
from agent.core.shards.header import ERASED, HEADER_BYTES
from agent.core.shards.index import CACHED, PROMISED, QUARANTINED, TRASH, key_of
from agent.core.shards.room import RETRY_MS, TRASH_HOURS, Room
from agent.core.shards.space import Slab
from agent.core.shards.ticket import CACHING, CREATE, READ, WRITE, Effect, Ticket
from agent.errors import PortError

if False:
    from collections.abc import Callable, Iterator
    from typing import Any

    from agent.core.shards.header import Header
    from agent.core.shards.log import Log
    from agent.core.shards.log_store import LogStore

MOVES_MAX = 8
GAIN = 16  # a segment is worth it when this part of it comes free


class Cleaning(Room):
    """`_targets`: slots for what moves. `_sources`: slots whose records are on their way. `moved`: slot -> where its
    record is now, of the last segment."""

    def __init__(self, store: "LogStore", core_time: "Callable[[str], int | None]") -> None:
        super().__init__(store, core_time)
        self._store: LogStore = store
        self._space: Log = store.space
        self._victim: Slab | None = None
        self._is_for_cache = False
        self._is_broken = False
        self._targets: list[int] = []
        self._sources: list[int] = []
        self.moved: dict[int, int] = {}

    def reserve(self, ticket: Ticket, now: int) -> None:
        wanted = self._space.size_for(ticket.length, HEADER_BYTES)
        ticket.slot = -1
        is_crowded = self._victim is None and self._spare(wanted) < 0
        if is_crowded and self._clean(wanted, ticket.operation in CACHING, now):
            self._waiting.append(ticket)
        else:
            super().reserve(ticket, now)

    def done(self, effect: Effect, error: PortError | None, now: int) -> list[Ticket]:
        return super().done(effect, error, now) + self._go_on()

    def rested(self, ticket: Ticket) -> list[Ticket]:
        if ticket.operation == "move":
            self._sources.remove(ticket.slots[0])
            if ticket.error is not None:
                self._is_broken = True
                self._full_until = self._store.now + RETRY_MS
        return self._go_on()

    # Which segment, and when.

    def _is_coming(self, wanted: int, is_cache: bool, now: int) -> bool:
        if self._coming.get(wanted, 0) > 0 or self._victim is not None:
            return True
        if self._store.fault or now < self._full_until:
            return False
        if self._is_planned(wanted, CACHE if is_cache else PUT, now) or self._clean(wanted, is_cache, now):
            return True
        if is_cache:
            return False
        return self._sweep(wanted, now) or (not self._is_spent and self._swap(wanted))

    def _swap(self, wanted: int) -> bool:
        """Idle segments of other slot sizes, until there is room for one of this size beside the one for cleaning."""
        needed = self._space.whole_bytes(wanted) - self._spare(wanted)
        chosen = []
        for slab in self._space.idle_slabs(wanted):
            if needed > 0 and not self._store.is_in_use(slab):
                needed -= slab.bytes
                chosen.append(slab)
        for slab in chosen if needed <= 0 else []:
            self._remove(slab, wanted)
        return bool(chosen) and needed <= 0

    def free(self, slot: int) -> None:
        """By a tombstone."""
        ticket = Ticket("sweep", "", 0, b"")
        ticket.slot = slot
        self._space.withdraw(slot)
        self._store.flash.spend(PAGE_BYTES)
        size = self._space.slab_of(slot).slot_bytes
        self._coming[size] = self._coming.get(size, 0) + 1
        self._store.write(WRITE, ticket, HEADER_BYTES, 0, ERASED)

    def _is_planned(self, wanted: int, purpose: str, now: int) -> bool:
        """A segment costs next to nothing: it is not written in advance."""
        if not self._space.slab_bytes(wanted) or self._store.flash.left(purpose, now) < PAGE_BYTES:
            return False
        self._add(wanted)
        return True

    def _add(self, wanted: int) -> None:
        made = self._space.plan(wanted)
        self._store.flash.spend(PAGE_BYTES)
        self._start(wanted, Effect(CREATE, made, 0, made.bytes, None, None))

    def _spare(self, wanted: int) -> int:
        """What the quota has left above the room for a segment. Below 0: a cleaning was cut short, or the quota was
        lowered."""
        return self._space.quota_bytes - self._space.allocated_bytes - self._space.whole_bytes(wanted)

    def _clean(self, wanted: int, is_cache: bool, now: int) -> bool:
        """Begin, if there is a segment worth it."""
        victim = self._emptiest(wanted)
        kept = 0 if victim is None else len(list(self._kept(victim, is_cache)))
        if victim is None or self._store.fault or victim.slots - kept < max(1, victim.slots // GAIN):
            return False
        cost = kept * (in_pages(wanted) + 2 * PAGE_BYTES) + 2 * PAGE_BYTES
        if self._store.flash.left(CACHE if is_cache else PUT, now) < cost:
            self._is_spent = True
            return False
        lacking = self._take(wanted, kept)
        if lacking and (self._spare(wanted) < 0 or lacking > self._space.whole_slots(wanted)):
            self._give_back()
            return False
        self._victim, self._is_for_cache, self._is_broken, self.moved = victim, is_cache, False, {}
        if lacking:
            self._add(wanted)
        self._go_on()
        return True

    def _emptiest(self, wanted: int) -> Slab | None:
        """The oldest of those with the fewest records that must move."""
        found, least = None, (0, 0)
        for slab in self._space.slabs:
            if slab is not None and slab.slot_bytes == wanted and not self._index.free[slab.position]:
                rank = (slab.slots - slab.dead - self._space.yielding.get(slab.number, 0), slab.number)
                if (found is None or rank < least) and not self._store.is_in_use(slab):
                    found, least = slab, rank
        return found

    def _kept(self, slab: Slab, is_cache: bool) -> "Iterator[int]":
        """Slots of it whose records do not give way."""
        for slot in self._index.records_in(slab.position):
            kind = self._index.kind(slot)
            more = 0 if kind == TRASH else TRASH_HOURS
            if kind != CACHED and (is_cache or self.left_hours(slot, more) > TRASH_HOURS):
                yield slot

    def _take(self, wanted: int, count: int) -> int:
        """Up to so many targets; how many are lacking."""
        while len(self._targets) < count:
            slot = self._space.take(wanted)
            if slot < 0:
                break
            self._targets.append(slot)
        return max(0, count - len(self._targets))

    def _give_back(self) -> None:
        for slot in self._targets:
            self._space.give(slot)
        self._targets = []

    def _created(self, slab: Slab, error: PortError | None, now: int) -> None:
        """Before anyone else takes the new slots."""
        super()._created(slab, error, now)
        victim = self._victim
        if victim is not None and slab.slot_bytes == victim.slot_bytes:
            self._is_broken = error is not None
            self._take(slab.slot_bytes, len(list(self._kept(victim, self._is_for_cache))))

    # Moving.

    def _go_on(self) -> list[Ticket]:
        """Move what can be moved; an effect or a writer under way will call again. Tickets that came to rest."""
        victim = self._victim
        if victim is None or self._coming.get(victim.slot_bytes, 0) > 0:
            return []
        kept = [slot for slot in self._kept(victim, self._is_for_cache) if slot not in self._sources]
        for slot in kept:
            is_free = len(self._sources) < MOVES_MAX and not self._is_broken and not self._is_busy(slot)
            if is_free and not self._take(victim.slot_bytes, 1):
                self._begin(victim, slot)
        is_stuck = self._is_broken or self._store.fault or (kept and self._take(victim.slot_bytes, 1))
        if self._sources or (not is_stuck and (kept or self._store.is_in_use(victim))):
            return []
        self._victim = None
        self._give_back()
        if is_stuck:
            waiting, self._waiting = self._waiting, []
            for ticket in waiting:
                self.reserve(ticket, self._store.now)
            return [ticket for ticket in waiting if ticket.is_at_rest]
        self._remove(victim, victim.slot_bytes)
        return []

    def _is_busy(self, slot: int) -> bool:
        key, number = self._index.key(slot), self._index.core_of(slot)
        is_leaving = len(self._store.cores.name(number)) < 2
        return is_leaving or (number, key) in [(other, key_of(shard)) for other, shard in self._store._busy]

    def _begin(self, victim: Slab, slot: int) -> None:
        number = self._index.core_of(slot)
        ticket = Ticket("move", self._store.cores.name(number), number, b"")
        ticket.slot, ticket.slots, ticket.step = self._targets.pop(0), [slot], "body"
        self._sources.append(slot)
        self._store.emit(Effect(READ, victim, self._store._offset(slot), HEADER_BYTES, None, ticket))

    def move(self, effect: Effect, result: "Any", error: PortError | None) -> None:
        ticket = effect.ticket
        if effect.kind == READ:
            self._found(ticket, None if error is not None else self._store._parse(ticket.slots[0], result))
        elif error is not None:
            self._store._failed(ticket, error)
        else:
            if result != ticket.shard:  # it stays what it is: something that must be told of and is not served
                ticket.slot, slot = ticket.slots[0], ticket.slot
                self._store.spoiled(ticket, "sha256" if result else "io")
                ticket.slot = slot
            ticket.step = "copied"
            self._store._want_flush(ticket)

    def _found(self, ticket: Ticket, header: "Header | None") -> None:
        """What its old slot begins with."""
        source, store = ticket.slots[0], self._store
        if self._index.core_of(source) != ticket.number:
            self._drop(ticket)
        elif header is None or key_of(header.shard) != self._index.key(source):
            store.check_header(source, b"")
            key, note = self._index.key(source), self._index.note(source)
            self._space.withdraw(source)
            self._space.give(source)
            self._space.insert(ticket.slot, key, ticket.number, note, QUARANTINED)
            store.rest(ticket, "moved")
        elif (ticket.number, header.shard) in store._busy:
            self._drop(ticket)
        else:
            ticket.shard = header.shard
            store._busy[(ticket.number, header.shard)] = ticket
            ticket.length = header.length
            ticket.keep_until = header.keep_until
            store.flash.spend(in_pages(HEADER_BYTES + header.length))
            store.copy(ticket, source, header.length)

    def _drop(self, ticket: Ticket) -> None:
        """Its record is gone, or somebody is at it."""
        self._space.give(ticket.slot)
        self._store.rest(ticket, "aborted")

    def settle(self, ticket: Ticket) -> None:
        source, store = ticket.slots[0], self._store
        if ticket.step == "commit":
            if store._is_mine(ticket):
                self.moved[source] = ticket.slot
                store._erase(ticket, source)
            else:
                store.rest(ticket, "aborted")  # its core has left: both are being erased
        elif ticket.has_left or not self._index.is_record(source, key_of(ticket.shard), ticket.number):
            self._drop(ticket)
        else:
            kind = self._index.kind(source)
            ticket.step = "commit"
            self._space.insert(ticket.slot, key_of(ticket.shard), ticket.number, self._index.note(source), kind)
            store._write_header(ticket, PROMISED if kind == QUARANTINED else kind)
