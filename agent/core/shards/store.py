"""The shard store as a machine: what is kept where, and when a put may be acknowledged. No bytes of shards pass here.

A request is a Ticket. The driver (service/slabs.py, or a simulator) takes `effects`, carries each one out and answers
`done(effect, result, now)`: the bytes of a READ, the SHA-256 of a HASH, a PortError when it failed, else None. A
ticket is at rest when it has a `result` or an `error`; every one that came to rest is appended to `ended`.

    put     -> "ready": send the body with `receive` and `commit`, or `abort`; then "stored". Or "present".
    get     -> "found" (`slot`, `length`) after its SHA-256 was checked, "absent", "corrupt". head: the same, unchecked.
    delete  -> "deleted", "absent".    forget -> "forgotten".

Order of a put: payload, header, flush, then the answer. All puts whose header was written share the next flush of their
slab (group commit). A failed write or flush makes the store read-only until the next start (`fault`): after a failed
fsync nobody knows what the medium holds. Reading goes on, and what verifies is served. "present" is answered only after
the stored bytes were hashed and their slab was flushed once in this process: an earlier one may have been killed.

Bounds: one ticket a request (the listener bounds those), one put or delete at a time for a shard, CORES_MAX cores.
"""

from agent.core.shards.header import ERASED, HEADER_BYTES, Header
from agent.core.shards.index import SLOTS_A_SLAB_MAX, hours_of, key_of
from agent.core.shards.space import Slab
from agent.core.shards.steps import Steps
from agent.core.shards.ticket import CREATE, FLUSH, HASH, READ, REMOVE, WRITE, Effect, Ticket
from agent.errors import LimitError, PeerError, PortError, TrustError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PUT_MS_MAX = 600_000  # a body that is not here by then gives its slot back


class Store(Steps):
    """`Store(quota_bytes, slot_bytes, core_time)`; `core_time(core id)`: unix seconds of that core or None."""

    # Start: for each slab file `attach`, then `load` for each of its slots from the last to the first, then `start`.

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
        self.space.insert(slot, key, number, hours_of(header.keep_until))
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
        self.room.shrink()

    # Requests.

    def put(self, core: str, shard: bytes, length: int, keep_until: int, now: int) -> Ticket:
        """PeerError "too_big", "keep_until"; LimitError "busy", "cores"; PortError (the fault)."""
        self._now = now
        self._refuse_fault()
        if not self.space.size_for(length, HEADER_BYTES):
            most = self.space.sizes[-1] - HEADER_BYTES
            raise PeerError("too_big", f"A shard has at most {most} bytes here, this one has {length}.")
        core_now = self._core_time(core)
        if keep_until and core_now is not None and keep_until < core_now:
            raise PeerError("keep_until", f"keep_until is {core_now - keep_until} s in the past; 0 = until deleted.")
        ticket = self._begin("put", core, self.cores.number(core), shard)
        ticket.length = length
        ticket.keep_until = keep_until
        ticket.deadline = now + PUT_MS_MAX
        self._locate(ticket)
        return ticket

    def delete(self, core: str, shard: bytes, now: int) -> Ticket:
        """LimitError "busy"; PortError (the fault)."""
        self._now = now
        self._refuse_fault()
        ticket = self._begin("delete", core, self.cores.find(core), shard)
        self._locate(ticket)
        return ticket

    def get(self, core: str, shard: bytes, is_head: bool) -> Ticket:
        """A ticket for reading; nothing has to be given back afterwards."""
        ticket = Ticket("head" if is_head else "get", core, self.cores.find(core), shard)
        self._locate(ticket)
        return ticket

    def forget(self, core: str, now: int) -> Ticket:
        """Free all that this core has here. Uploads of it under way are refused when they end."""
        self._now = now
        ticket = Ticket("forget", core, self.cores.find(core), b"")
        if ticket.number:
            self.cores.retire(ticket.number)
            for other in self._busy.values():
                other.has_left = other.has_left or other.number == ticket.number
            self._forget_next(ticket)
        else:
            self._rest(ticket, "forgotten")
        return ticket

    def receive(self, ticket: Ticket, length: int, now: int) -> Effect:
        """Where the next `length` bytes of the body go: a WRITE for the driver. LimitError "slow"."""
        if ticket.result != "ready" or length > ticket.length - ticket.received:
            raise UsageError("body", "more bytes than announced, or a body that nobody waits for")
        if now > ticket.deadline:
            raise LimitError("slow", f"The body took longer than {PUT_MS_MAX // 1000} s.")
        offset = self._offset(ticket.slot) + HEADER_BYTES + ticket.received
        ticket.received += length
        return Effect(WRITE, self.space.slab_of(ticket.slot), offset, length, None, ticket)

    def commit(self, ticket: Ticket, digest: bytes, now: int) -> None:
        """The body is written; `digest` is its SHA-256. Raises, and gives the slot back: PeerError "short", "digest",
        TrustError "core" (forgotten meanwhile), PortError (the fault)."""
        self._now = now
        if ticket.error is not None:
            raise ticket.error
        try:
            self._refuse_fault()
            if ticket.received != ticket.length:
                raise PeerError("short", f"The body ended after {ticket.received} of {ticket.length} bytes.")
            if digest != ticket.shard:
                raise PeerError("digest", f"The body's SHA-256 is {digest.hex()}, not the shard's name.")
            if ticket.has_left:
                raise self._left_error()
        except (PeerError, TrustError, PortError):
            self.abort(ticket)
            raise
        ticket.result = ""
        ticket.step = "commit"
        self.space.insert(ticket.slot, key_of(ticket.shard), ticket.number, hours_of(ticket.keep_until))
        self._write_header(ticket)

    def abort(self, ticket: Ticket) -> None:
        """Nobody waits for this put any more. A slot without a header is given back; what was committed goes on."""
        ticket.is_abandoned = True
        if ticket.result == "ready":
            self._give_up(ticket)

    def is_current(self, ticket: Ticket) -> bool:
        """Whether a found slot still holds that shard: ask before each piece that is read from it."""
        return self._is_mine(ticket) and not self.index.is_quarantined(ticket.slot)

    def spoiled(self, ticket: Ticket, reason: str) -> None:
        """The driver found wrong or unreadable bytes in a slot that had verified before."""
        if self.is_current(ticket):
            self.space.quarantine(ticket.slot)
            self._report(ticket.core, ticket.shard, reason)

    def check_header(self, slot: int, data: bytes) -> Header | None:
        """`data` was read from the start of a record's slot. None when it is not its header: then it is quarantined and
        reported by the 40 bits that are left of its name, unless it is just being erased."""
        header = self._parse(slot, data)
        key = self.index.key(slot)
        if header is not None and key_of(header.shard) == key:
            return header
        core = self.cores.name(self.index.core_of(slot))
        is_changing = [ticket for ticket in self._busy.values() if ticket.slot == slot]
        if len(core) > 1 and not self.index.is_quarantined(slot) and not is_changing:
            self.space.quarantine(slot)
            self._report(core, key.to_bytes(5, "big"), "header")
        return None

    def is_quarantined(self, core: str, shard: bytes) -> bool:
        """By the 40 bits that the index has of a name."""
        slots = self.index.find(key_of(shard), self.cores.find(core))
        return bool([slot for slot in slots if self.index.is_quarantined(slot)])

    # Answers of the driver.

    def done(self, effect: Effect, result: "Any", now: int) -> None:
        """An effect has ended."""
        self._now = now
        error = result if isinstance(result, PortError) else None
        ticket = effect.ticket
        if effect.kind in (CREATE, REMOVE) or (ticket is not None and ticket.operation == "sweep"):
            if error is not None and error.code != "disk_full":
                self._set_fault(error)
            for rested in self.room.done(effect, error, now):
                self._rest(rested, rested.result)
        elif effect.kind == FLUSH:
            self._flushed(effect.slab, error)
        elif effect.kind == READ:
            self._located(ticket, result, error)
        elif effect.kind == HASH:
            self._hashed(ticket, result, error)
        elif error is not None:
            self._failed(ticket, error)
        elif ticket.step == "forget":
            ticket.received -= 1
            if ticket.received == 0:
                self._want_flush(ticket)
        elif ticket.step != "body":
            self._want_flush(ticket)

    def usage(self) -> "dict[str, Any]":
        """`used`: bytes of slots that are not free; `allocated`: bytes of slab files; `cores`: slot bytes by id."""
        return {
            "quota": self.space.quota_bytes,
            "used": self.space.used_bytes,
            "allocated": self.space.allocated_bytes,
            "shards": self.index.records,
            "free_slots": self.space.free_slots(),
            "quarantined": self.space.quarantined,
            "read_only": self.fault != "",
            "cores": {name: self.space.core_bytes[number] for number, name in self.cores.named()},
        }
