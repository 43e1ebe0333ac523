"""What the store writes, and in which order: headers, flushes, the memo before what it allows, checkpoints.

The memo (memo.py) is on the medium before (a) a header of a slab that the checkpoint describes is changed and (b) flash
is written that the memo does not count yet. Effects, and puts that are ready, are held until it is; one memo serves
all that wait.
"""

from binascii import unhexlify

from agent.core.shards import memo
from agent.core.shards.cores import Cores
from agent.core.shards.flash import PAGE_BYTES, Flash
from agent.core.shards.header import ERASED, HEADER_BYTES, Header, decode_header, encode_header
from agent.core.shards.index import CACHED, SLOTS_A_SLAB_MAX, Index
from agent.core.shards.room import Room
from agent.core.shards.space import Slab, Space
from agent.core.shards.ticket import CREATE, FLUSH, MEMO, REMOVE, WRITE, Effect, Report, Ticket
from agent.errors import PortError, TrustError

if False:
    from collections.abc import Callable, Iterable
    from typing import Any

REPORTS_MAX = 64


class Commits:
    """`effects`: work for the driver. `ended`: tickets that came to rest. `reports`: for the core and the owner.
    `fault`: the code of what made the store read-only, "" while nothing did. `cache`: cache.Cache, once needed."""

    def __init__(self, quota_bytes: int, slot_bytes: tuple[int, ...], core_time: "Callable[[str], int | None]") -> None:
        self.index = Index()
        self.space = Space(self.index, quota_bytes, slot_bytes)
        self.cores = Cores()
        self.flash = Flash(0)
        self.memo = memo.Memo()
        self.room = Room(self, core_time)
        self.effects: list[Effect] = []
        self.ended: list[Ticket] = []
        self.reports: list[Report] = []
        self.fault = ""
        self.cache: Any = None
        self.now = 0
        self._core_time = core_time
        self.sequence = 0
        self._busy: dict[tuple[int, bytes], Ticket] = {}  # writers: core's number, shard
        self._cache_ram_bytes = 0
        self._held: list[Any] = []  # effects, and tickets that are ready
        self._marking: list[Slab] = []
        self.is_memo_coming = False
        self.is_distrusted = False  # the memo on the medium names a checkpoint that does not count any more
        self._memo_mark = 0

    def is_in_use(self, slab: Slab) -> bool:
        """Whether a writer is at one of its slots."""
        at = [ticket.slot // SLOTS_A_SLAB_MAX for ticket in self._busy.values()]
        return slab.position in at or bool(slab.waiting or slab.batch)

    # The memo goes first.

    def emit(self, effect: Effect) -> None:
        """Work for the driver, now or when the memo allows it."""
        if effect.kind not in (WRITE, CREATE, REMOVE) or self._is_clear(effect):
            self.effects.append(effect)
        else:
            self._hold(effect)

    def _is_clear(self, effect: Effect) -> bool:
        known = effect.kind == CREATE or effect.slab.mark < 0 or effect.slab.is_marked
        return known and not self.is_distrusted and self.flash.is_covered()

    def _hold(self, what: "Effect | Ticket") -> None:
        self._held.append(what)
        if not self.is_memo_coming:
            self.write_memo(False)

    def write_memo(self, is_last: bool) -> None:
        self.is_memo_coming = True
        for what in self._held:
            if isinstance(what, Effect) and what.kind != CREATE and what.slab.mark >= 0 and not what.slab.is_marked:
                self.memo.mark(what.slab.mark)
                self._marking.append(what.slab)
        self.flash.spend(PAGE_BYTES)
        self._memo_mark = self.flash.mark()
        offset, data = self.memo.encode(self.flash.pages(is_last))
        self.effects.append(Effect(MEMO, None, offset, len(data), data, None))

    def _memo_written(self, error: PortError | None) -> None:
        self.is_memo_coming = False
        held, self._held = self._held, []
        marking, self._marking = self._marking, []
        if error is None:
            self.flash.covered(self._memo_mark)
            self.is_distrusted = False
            for slab in marking:
                slab.is_marked = True
        elif error.code not in ("disk_full", "stopped"):
            self._set_fault(error)
        for what in held:
            if error is not None and isinstance(what, Effect):
                self.done(what, error, self.now)
            elif error is not None:
                self._failed(what, error)
            elif isinstance(what, Effect):
                self.emit(what)
            else:
                self.rest(what, "ready")

    def _checkpoint_written(self, error: PortError | None) -> None:
        """The memo names it at once. If it could not be written, the old one does not count any more: the memo has
        another generation, and every header is read at the next start."""
        if error is not None:
            self.memo.is_all = self.is_distrusted = True
            if error.code not in ("disk_full", "stopped"):
                self._set_fault(error)
        if not self.fault:
            self.write_memo(False)

    # Headers and flushes.

    def _write_header(self, ticket: Ticket, kind: int) -> None:
        self.sequence += 1
        place = ticket.slot % SLOTS_A_SLAB_MAX
        log2 = 0
        while 1 << log2 < self.space.slab_of(ticket.slot).slot_bytes:
            log2 += 1
        core = unhexlify(ticket.core)
        header = Header(log2, ticket.length, place, ticket.keep_until, self.sequence, core, ticket.shard, kind)
        self.write(WRITE, ticket, HEADER_BYTES, 0, encode_header(header))

    def _erase(self, ticket: Ticket, slot: int) -> None:
        self.uncache([slot])
        ticket.step = "erase"
        ticket.slot = slot
        self.flash.spend(PAGE_BYTES)
        self.write(WRITE, ticket, HEADER_BYTES, 0, ERASED)

    def uncache(self, slots: "Iterable[int]") -> None:
        """The cache's policy forgets these, those of them that are cached."""
        cached = [slot for slot in slots if self.index.kind(slot) == CACHED]
        if cached and self.cache is not None:
            self.cache.discard(cached)

    def _want_flush(self, ticket: Ticket) -> None:
        """Part of the next flush of the slot's slab, which starts now unless one is under way."""
        if self.fault:
            self._failed(ticket, self._fault_error())
            return
        slab = self.space.slab_of(ticket.slot)
        slab.waiting.append(ticket)
        if not slab.batch:
            self.flush(slab)

    def flush(self, slab: Slab) -> None:
        slab.batch, slab.waiting = slab.waiting, []
        slab.flushing = slab.writes
        self.emit(Effect(FLUSH, slab, 0, 0, None, None))

    def _flushed(self, slab: Slab, error: PortError | None) -> None:
        batch, slab.batch = slab.batch, []
        if error is not None:
            # Those who wait had written before it failed: a later flush that succeeds proves nothing about them.
            batch, slab.waiting = batch + slab.waiting, []
            self._set_fault(error)
        else:
            slab.writes -= slab.flushing
        for ticket in batch:
            if error is not None:
                self._failed(ticket, error)
            else:
                slab.is_synced = True
                self._durable(ticket)
        if slab.waiting and not slab.batch:
            self.flush(slab)

    # Faults and reports.

    def _set_fault(self, error: PortError) -> None:
        if not self.fault:
            self.fault = error.code
            self._report("", b"", error.code)

    def _refuse_fault(self) -> None:
        if self.fault:
            raise self._fault_error()

    def _left_error(self) -> TrustError:
        return TrustError("core", "This device has left the core meanwhile.")

    def _fault_error(self) -> PortError:
        text = "The store's disk failed; it serves what it has and takes nothing new until the device restarts."
        return PortError(self.fault, text)

    def _report(self, core: str, shard: bytes, reason: str) -> None:
        if len(self.reports) < REPORTS_MAX:
            self.reports.append(Report(core, shard, reason))

    def _parse(self, slot: int, data: bytes) -> Header | None:
        """None unless it is a header made for this very slot."""
        header = decode_header(data)
        if header is None or header.place != slot % SLOTS_A_SLAB_MAX:
            return None
        return header if 1 << header.slot_log2 == self.space.slab_of(slot).slot_bytes else None

    def _offset(self, slot: int) -> int:
        return slot % SLOTS_A_SLAB_MAX * self.space.slab_of(slot).slot_bytes

    def write(self, kind: str, ticket: Ticket, length: int, inner: int = 0, data: bytes | None = None) -> None:
        """An effect on the ticket's slot, `inner` bytes after its start."""
        slab = self.space.slab_of(ticket.slot)
        if kind == WRITE:
            slab.writes += 1
        self.emit(Effect(kind, slab, self._offset(ticket.slot) + inner, length, data, ticket))

    if False:  # of those that build upon it

        def done(self, effect: Effect, result: Any, now: int) -> None: ...
        def rest(self, ticket: Ticket, result: str) -> None: ...
        def _failed(self, ticket: Ticket, error: PortError) -> None: ...
        def _durable(self, ticket: Ticket) -> None: ...
