"""How a ticket of the store moves on: locate, verify, write the header, flush, rest. Store (store.py) is the door.

put      locate -> (hash -> present) or (erase a bad copy) -> room -> [body] -> commit -> flush -> stored
get      locate -> hash -> found          head    locate -> found
delete   locate -> erase -> flush -> deleted
forget   slab by slab: erase -> flush
"""

from binascii import unhexlify

from agent.core.shards.cores import Cores
from agent.core.shards.header import ERASED, HEADER_BYTES, Header, decode_header, encode_header
from agent.core.shards.index import SLOTS_A_SLAB_MAX, Index, hours_of, key_of
from agent.core.shards.room import Room
from agent.core.shards.space import Slab, Space
from agent.core.shards.ticket import FLUSH, HASH, READ, WRITE, Effect, Report, Ticket
from agent.errors import LimitError, PeerError, PortError, TrustError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

REPORTS_MAX = 64


class Steps:
    """`effects`: work for the driver. `ended`: tickets that came to rest. `reports`: for the core and the owner.
    `fault`: the code of what made the store read-only, "" while nothing did."""

    def __init__(self, quota_bytes: int, slot_bytes: tuple[int, ...], core_time: "Callable[[str], int | None]") -> None:
        self.index = Index()
        self.space = Space(self.index, quota_bytes, slot_bytes)
        self.cores = Cores()
        self.room = Room(self.index, self.space, self.cores, core_time)
        self.effects = self.room.effects
        self.ended: list[Ticket] = []
        self.reports: list[Report] = []
        self.fault = ""
        self._core_time = core_time
        self._busy: dict[tuple[int, bytes], Ticket] = {}
        self._sequence = 0
        self._now = 0

    def _begin(self, operation: str, core: str, number: int, shard: bytes) -> Ticket:
        """A ticket that excludes other writers of that shard."""
        if (number, shard) in self._busy:
            raise LimitError("busy", "Another PUT or DELETE of this shard is under way; try again.", 1)
        ticket = Ticket(operation, core, number, shard)
        self._busy[(number, shard)] = ticket
        return ticket

    def _rest(self, ticket: Ticket, result: str) -> None:
        """`ticket` has its result, or `error` is set."""
        ticket.result = result
        self.ended.append(ticket)
        if result == "ready":
            if ticket.is_abandoned:
                self._give_up(ticket)
        elif self._busy.get((ticket.number, ticket.shard)) is ticket:
            del self._busy[(ticket.number, ticket.shard)]

    def _give_up(self, ticket: Ticket) -> None:
        """A put whose body will not come: nothing of it is in a header, so its slot is free again."""
        self.space.give(ticket.slot)
        ticket.result = "aborted"
        self._busy.pop((ticket.number, ticket.shard), None)

    # Locate and verify.

    def _locate(self, ticket: Ticket) -> None:
        ticket.step = "locate"
        ticket.slots = self.index.find(key_of(ticket.shard), ticket.number) if ticket.number else []
        self._try_next(ticket)

    def _try_next(self, ticket: Ticket) -> None:
        if ticket.slots:
            ticket.slot = ticket.slots.pop()
            self._emit(READ, ticket, HEADER_BYTES)
        elif ticket.operation == "put":
            self._reserve(ticket)
        else:
            self._rest(ticket, "absent")

    def _located(self, ticket: Ticket, data: bytes, error: PortError | None) -> None:
        """The header of a slot that the index named is here."""
        header = None if error is not None else self._parse(ticket.slot, data)
        other = self._busy.get((ticket.number, ticket.shard))
        is_changing = other is not None and other is not ticket and other.step in ("erase", "commit")
        if not self._is_mine(ticket) or (header is None and is_changing):
            self._try_next(ticket)
        elif header is None:
            self._bad(ticket, "header" if error is None else "io")
        elif header.shard != ticket.shard:
            self._try_next(ticket)
        elif self.index.is_quarantined(ticket.slot):
            self._bad(ticket, "")
        elif ticket.operation == "delete":
            self._erase(ticket, ticket.slot)
        elif ticket.operation == "put" and header.length != ticket.length:
            ticket.error = PeerError("digest", f"This shard has {header.length} bytes, not {ticket.length}.")
            self._rest(ticket, "")
        else:
            ticket.length = header.length
            self._verify(ticket, header)

    def _verify(self, ticket: Ticket, header: Header) -> None:
        if ticket.operation == "head":
            self._rest(ticket, "found")
            return
        ticket.header = header
        self._emit(HASH, ticket, header.length, HEADER_BYTES)

    def _hashed(self, ticket: Ticket, digest: bytes, error: PortError | None) -> None:
        """The stored bytes have been read."""
        if not self._is_mine(ticket):
            self._try_next(ticket)
        elif error is not None or digest != ticket.shard:
            self._bad(ticket, "sha256" if error is None else "io")
        elif ticket.operation == "get":
            self._rest(ticket, "found")
        else:
            self._keep(ticket)

    def _bad(self, ticket: Ticket, reason: str) -> None:
        """What the slot holds must not be served. A put writes a fresh copy elsewhere once this one is gone."""
        if not self.index.is_quarantined(ticket.slot):
            self.space.quarantine(ticket.slot)
            self._report(ticket.core, ticket.shard, reason)
        if ticket.operation in ("put", "delete"):
            self._erase(ticket, ticket.slot)
        else:
            self._rest(ticket, "corrupt")

    # Writing.

    def _reserve(self, ticket: Ticket) -> None:
        ticket.step = "body"
        self.room.reserve(ticket, self._now)
        if ticket.is_at_rest:
            self._rest(ticket, ticket.result)

    def _keep(self, ticket: Ticket) -> None:
        """The shard of a put is here already: extend the promise if need be, and be sure that it is on the medium."""
        kept = ticket.header.keep_until
        until = 0 if kept == 0 or ticket.keep_until == 0 else max(kept, ticket.keep_until)
        ticket.step = "keep"
        if until != kept:
            ticket.keep_until = until
            self.index.set_hours(ticket.slot, hours_of(until))
            self._write_header(ticket)
        elif not self.space.slab_of(ticket.slot).is_synced:
            self._want_flush(ticket)
        else:
            self._rest(ticket, "present")

    def _write_header(self, ticket: Ticket) -> None:
        self._sequence += 1
        place = ticket.slot % SLOTS_A_SLAB_MAX
        log2 = 0
        while 1 << log2 < self.space.slab_of(ticket.slot).slot_bytes:
            log2 += 1
        core = unhexlify(ticket.core)
        header = Header(log2, ticket.length, place, ticket.keep_until, self._sequence, core, ticket.shard)
        self._emit(WRITE, ticket, HEADER_BYTES, 0, encode_header(header))

    def _erase(self, ticket: Ticket, slot: int) -> None:
        ticket.step = "erase"
        ticket.slot = slot
        self._emit(WRITE, ticket, HEADER_BYTES, 0, ERASED)

    def _want_flush(self, ticket: Ticket) -> None:
        """Part of the next flush of the slot's slab, which starts now unless one is under way."""
        if self.fault:
            self._failed(ticket, self._fault_error())
            return
        slab = self.space.slab_of(ticket.slot)
        slab.waiting.append(ticket)
        if not slab.batch:
            self._flush(slab)

    def _flush(self, slab: Slab) -> None:
        slab.batch, slab.waiting = slab.waiting, []
        self.effects.append(Effect(FLUSH, slab, 0, 0, None, None))

    def _flushed(self, slab: Slab, error: PortError | None) -> None:
        batch, slab.batch = slab.batch, []
        if error is not None:
            # Those who wait had written before it failed: a later flush that succeeds proves nothing about them.
            batch, slab.waiting = batch + slab.waiting, []
        for ticket in batch:
            if error is not None:
                self._failed(ticket, error)
            else:
                slab.is_synced = True
                self._durable(ticket)
        if slab.waiting and not slab.batch:
            self._flush(slab)

    def _durable(self, ticket: Ticket) -> None:
        if ticket.step in ("commit", "keep"):
            if self._is_mine(ticket):
                self._rest(ticket, "stored" if ticket.step == "commit" else "present")
            else:
                ticket.error = self._left_error()
                self._rest(ticket, "")
        elif ticket.step == "forget":
            for slot in ticket.slots:
                if self.index.core_of(slot) == ticket.number:
                    self._free(slot)
            self._forget_next(ticket)
        elif ticket.operation == "erase":
            self.space.give(ticket.slot)
            self._rest(ticket, "deleted")
        else:
            if self._is_mine(ticket):
                self._free(ticket.slot)
            if ticket.operation == "put":
                self._reserve(ticket)
            else:
                self._rest(ticket, "deleted")

    def _free(self, slot: int) -> None:
        """The erased header of a record is on the medium."""
        self.space.withdraw(slot)
        self.space.give(slot)

    def _forget_next(self, ticket: Ticket) -> None:
        """Erase what the core has in the next slab that has any of it; `length` is the slab's position."""
        while ticket.length < len(self.space.slabs):
            position = ticket.length
            ticket.slots = [
                slot for slot in self.index.records_in(position) if self.index.core_of(slot) == ticket.number
            ]
            if ticket.slots:
                ticket.step = "forget"
                ticket.received = len(ticket.slots)
                for slot in ticket.slots:
                    ticket.slot = slot
                    self._emit(WRITE, ticket, HEADER_BYTES, 0, ERASED)
                return
            ticket.length += 1
        self.cores.release(ticket.number)
        self._rest(ticket, "forgotten")

    def _failed(self, ticket: Ticket, error: PortError) -> None:
        """A write or flush of `ticket` failed: no acknowledgement. Its slot is not used again before the next start."""
        if ticket.error is not None:
            return
        if ticket.step == "body":
            if error.code == "disk_full":
                self._give_up(ticket)
        elif ticket.step == "commit" and self._is_mine(ticket):
            self.space.withdraw(ticket.slot)
        if error.code != "disk_full" or ticket.step != "body":
            self._set_fault(error)
        ticket.error = error
        self._rest(ticket, "")

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

    def _parse(self, slot: int, data: bytes) -> Header | None:
        """None unless it is a header made for this very slot."""
        header = decode_header(data)
        if header is None or header.place != slot % SLOTS_A_SLAB_MAX:
            return None
        return header if 1 << header.slot_log2 == self.space.slab_of(slot).slot_bytes else None

    def _is_mine(self, ticket: Ticket) -> bool:
        """Whether the ticket's slot is still a record of its core with its 40 bits."""
        is_record = self.index.is_record(ticket.slot, key_of(ticket.shard), ticket.number)
        return is_record and self.cores.find(ticket.core) == ticket.number and not ticket.has_left

    def _report(self, core: str, shard: bytes, reason: str) -> None:
        if len(self.reports) < REPORTS_MAX:
            self.reports.append(Report(core, shard, reason))

    def _offset(self, slot: int) -> int:
        return slot % SLOTS_A_SLAB_MAX * self.space.slab_of(slot).slot_bytes

    def _emit(self, kind: str, ticket: Ticket, length: int, inner: int = 0, data: bytes | None = None) -> None:
        """An effect on the ticket's slot, `inner` bytes after its start."""
        slab = self.space.slab_of(ticket.slot)
        self.effects.append(Effect(kind, slab, self._offset(ticket.slot) + inner, length, data, ticket))
