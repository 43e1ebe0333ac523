"""The shard store as a machine: what is kept where, and when a put may be acknowledged. No bytes of shards pass here.

A request is a Ticket. The driver (service/slabs.py, or a simulator) takes `effects`, carries each one out and answers
`done(effect, result, now)`: the bytes of a READ, the SHA-256 of a HASH, a PortError when it failed, else None. A
ticket is at rest when it has a `result` or an `error`; every one that came to rest is appended to `ended`. One that was
"found" has a `slot`, or verified bytes in memory as `body`.

    put     -> "ready": send the body with `receive` and `commit`, or `abort`; then "stored". Or "present".
    get     -> "found" (`slot`, `length`) after its SHA-256 was checked, "absent", "corrupt". head: the same, unchecked.
    delete  -> "deleted", "absent": it can be taken back by a put for a week (room.py).    forget -> "forgotten".
    offer   -> as a put without a promise: "cached" (also for what is here already), or "declined".

Order of a put: payload, header, flush, then the answer. All puts whose header was written share the next flush of their
slab (group commit). A failed write or flush makes the store read-only until the next start (`fault`): after a failed
fsync nobody knows what the medium holds. Reading goes on, and what verifies is served. "present" is answered only after
the stored bytes were hashed and their slab was flushed once in this process: an earlier one may have been killed.

Bounds: one ticket a request (the listener bounds those), one put or delete at a time for a shard, CORES_MAX cores.
"""

from agent.core.shards.flash import PAGE_BYTES, PUT, TIDY, Flash
from agent.core.shards.header import HEADER_BYTES, Header
from agent.core.shards.index import CACHED, PROMISED, QUARANTINED, TRASH, hours_of, key_of
from agent.core.shards.steps import Steps
from agent.core.shards.ticket import CACHING, CHECKPOINT, CREATE, FLUSH, HASH, MEMO, READ, REMOVE, WRITE, Effect, Ticket
from agent.errors import LimitError, PeerError, PortError, TrustError, UsageError

if False:
    from typing import Any

PUT_MS_MAX = 600_000  # a body that is not here by then gives its slot back


class Store(Steps):
    """`Store(quota_bytes, slot_bytes, core_time)`; `core_time(core id)`: unix seconds of that core or None."""

    def limit(self, flash_day_bytes: int, cache_ram_bytes: int) -> None:
        """Before the start. Bytes that may be written to the flash in a day (0 = any number), and how much memory the
        cache may use (too little for a few shards: it uses none)."""
        self.flash = Flash(flash_day_bytes)
        self._cache_ram_bytes = cache_ram_bytes

    def start(self) -> None:
        """All slabs are loaded."""
        if self.space.kinds[CACHED][0]:
            self._open_cache()
        self.room.shrink()

    def _open_cache(self) -> None:
        if self.cache is None:
            from agent.core.shards.cache import Cache  # here: most devices are never offered anything

            self.cache = Cache(self, self._cache_ram_bytes)

    # Requests.

    def put(self, core: str, shard: bytes, length: int, keep_until: int, now: int) -> Ticket:
        """PeerError "too_big", "keep_until"; LimitError "busy", "cores"; PortError (the fault). The ticket's own:
        LimitError "quota", "flash", "disk_full"."""
        self.now = now
        self._refuse_fault()
        self._check_length(length)
        core_now = self._core_time(core)
        if keep_until and core_now is not None and keep_until < core_now:
            raise PeerError("keep_until", f"keep_until is {core_now - keep_until} s in the past; 0 = until deleted.")
        ticket = self._begin("put", core, self.cores.number(core), shard)
        ticket.length = length
        ticket.keep_until = keep_until
        ticket.deadline = now + PUT_MS_MAX
        self._locate(ticket)
        return ticket

    def _check_length(self, length: int) -> None:
        if not self.space.size_for(length, HEADER_BYTES):
            most = self.space.sizes[-1] - HEADER_BYTES
            raise PeerError("too_big", f"A shard has at most {most} bytes here, this one has {length}.")

    def offer(self, core: str, shard: bytes, length: int, now: int) -> Ticket:
        """A shard for the cache, without a promise. PeerError "too_big"; LimitError "busy", "cores"; PortError (the
        fault)."""
        self.now = now
        self._refuse_fault()
        self._check_length(length)
        self._open_cache()
        ticket = self._begin("offer", core, self.cores.number(core), shard)
        ticket.length = length
        ticket.deadline = now + PUT_MS_MAX
        if self.cache.held(ticket.number, shard) is None:
            self._locate(ticket)
        else:
            self.rest(ticket, "cached")
        return ticket

    def delete(self, core: str, shard: bytes, now: int) -> Ticket:
        """LimitError "busy", "flash"; PortError (the fault)."""
        self.now = now
        self._refuse_fault()
        if self.flash.left(TIDY, now) < PAGE_BYTES:
            raise self.flash.refusal(PAGE_BYTES, TIDY, now)
        ticket = self._begin("delete", core, self.cores.find(core), shard)
        if self.cache is not None and self.cache.drop(ticket.number, shard):
            ticket.body = b""  # something was here
        self._locate(ticket)
        return ticket

    def get(self, core: str, shard: bytes, is_head: bool) -> Ticket:
        """A ticket for reading; nothing has to be given back afterwards."""
        ticket = Ticket("head" if is_head else "get", core, self.cores.find(core), shard)
        body = None if self.cache is None else self.cache.held(ticket.number, shard)
        if body is None:
            self._locate(ticket)
        else:
            ticket.body = body
            ticket.length = ticket.piece_bytes = len(body)
            self.rest(ticket, "found")
        return ticket

    def forget(self, core: str, now: int) -> Ticket:
        """Free all that this core has here. Uploads of it under way are refused when they end."""
        self.now = now
        ticket = Ticket("forget", core, self.cores.find(core), b"")
        if ticket.number:
            self.cores.retire(ticket.number)
            if self.cache is not None:
                self.cache.forget(ticket.number)
            for other in self._busy.values():
                other.has_left = other.has_left or other.number == ticket.number
            self._busy[(ticket.number, b"")] = ticket
            self._forget_next(ticket)
        else:
            self.rest(ticket, "forgotten")
        return ticket

    def receive(self, ticket: Ticket, length: int, now: int) -> Effect | None:
        """Where the next `length` bytes of the body go: a WRITE for the driver, None: into the ticket's `body`, which
        is a bytearray. LimitError "slow"."""
        if ticket.result != "ready" or length > ticket.length - ticket.received:
            raise UsageError("body", "more bytes than announced, or a body that nobody waits for")
        if now > ticket.deadline:
            raise LimitError("slow", f"The body took longer than {PUT_MS_MAX // 1000} s.")
        ticket.received += length
        if ticket.slot < 0:
            return None
        offset = self._offset(ticket.slot) + HEADER_BYTES + ticket.received - length
        return Effect(WRITE, self.space.slab_of(ticket.slot), offset, length, None, ticket)

    def commit(self, ticket: Ticket, digest: bytes, now: int) -> None:
        """The body is written; `digest` is its SHA-256. Raises, and gives the slot back: PeerError "short", "digest",
        TrustError "core" (forgotten meanwhile), PortError (the fault)."""
        self.now = now
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
        if ticket.slot < 0:
            self.cache.hold(ticket)
        else:
            self._commit(ticket)

    def _commit(self, ticket: Ticket) -> None:
        ticket.step = "commit"
        kind = CACHED if ticket.operation in CACHING else PROMISED
        self.space.insert(ticket.slot, key_of(ticket.shard), ticket.number, hours_of(ticket.keep_until), kind)
        self._write_header(ticket, kind)

    def abort(self, ticket: Ticket) -> None:
        """Nobody waits for this put any more. A slot without a header is given back; what was committed goes on."""
        ticket.is_abandoned = True
        if ticket.result == "ready":
            self._give_up(ticket)

    def is_current(self, ticket: Ticket) -> bool:
        """Whether a found slot still holds that shard: ask before each piece that is read from it."""
        if ticket.body is not None:
            return True
        return self._is_mine(ticket) and self.index.kind(ticket.slot) in (PROMISED, CACHED)

    def spoiled(self, ticket: Ticket, reason: str) -> None:
        """The driver found wrong or unreadable bytes in a slot that had verified before."""
        if ticket.body is None and self.is_current(ticket):
            self._condemn(ticket, reason)

    def check_header(self, slot: int, data: bytes) -> Header | None:
        """`data` was read from the start of a record's slot. None when it is not its header: then it is quarantined and
        reported by the 40 bits that are left of its name, unless it is just being erased."""
        header = self._parse(slot, data)
        key = self.index.key(slot)
        if header is not None and key_of(header.shard) == key:
            return header
        core = self.cores.name(self.index.core_of(slot))
        is_changing = [ticket for ticket in self._busy.values() if ticket.slot == slot]
        if len(core) > 1 and self.index.kind(slot) == PROMISED and not is_changing:
            self.space.change(slot, QUARANTINED)
            self._report(core, key.to_bytes(5, "big"), "header")
        return None

    def is_quarantined(self, core: str, shard: bytes) -> bool:
        """By the 40 bits that the index has of a name."""
        slots = self.index.find(key_of(shard), self.cores.find(core))
        return bool([slot for slot in slots if self.index.kind(slot) == QUARANTINED])

    # Answers of the driver.

    def done(self, effect: Effect, result: "Any", now: int) -> None:
        """An effect has ended."""
        self.now = now
        error = result if isinstance(result, PortError) else None
        ticket = effect.ticket
        if effect.kind == MEMO:
            self._memo_written(error)
        elif effect.kind == CHECKPOINT:
            self._checkpoint_written(error)
        elif effect.kind in (CREATE, REMOVE) or (ticket is not None and ticket.operation == "sweep"):
            if error is not None and error.code not in ("disk_full", "stopped"):
                self._set_fault(error)
            for rested in self.room.done(effect, error, now):
                self._reserved(rested)
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
        elif ticket.operation == "promote":
            self._commit(ticket)

    def usage(self, now: int | None = None) -> "dict[str, Any]":
        """`used`: bytes of slots that hold promises and uploads; `trash`, `cache`: of those that give way to them;
        `cache_ram`: bytes cached in memory; `allocated`: bytes of slab files; `flash_left`: bytes that may be written
        now for promises (`flash_day` 0: any number); `cores`: slot bytes by id."""
        kinds = self.space.kinds
        return {
            "quota": self.space.quota_bytes,
            "used": self.space.kept_bytes(),
            "allocated": self.space.allocated_bytes,
            "shards": kinds[PROMISED][0] + kinds[QUARANTINED][0],
            "free_slots": self.space.free_slots(),
            "quarantined": kinds[QUARANTINED][0],
            "trash": kinds[TRASH][1],
            "cache": kinds[CACHED][1],
            "cache_ram": 0 if self.cache is None else self.cache.ram_bytes(),
            "flash_day": self.flash.day_bytes,
            "flash_left": self.flash.left(PUT, self.now if now is None else now) if self.flash.day_bytes else 0,
            "read_only": self.fault != "",
            "cores": {name: self.space.core_bytes[number] for number, name in self.cores.named()},
        }
