"""How a ticket of the store moves on: locate, verify, write the header, flush, rest. Store (store.py) is the door.

put      locate -> (hash -> present) or (erase a bad copy) -> room -> [body] -> commit -> flush -> stored
get      locate -> hash -> found          head    locate -> found
delete   locate -> mark as deleted -> flush -> deleted
forget   slab by slab: erase -> flush
offer    locate -> (cached) or the cache's policy (cache.py): declined, or as a put, or into memory -> cached
"""

from agent.core.shards.commits import Commits
from agent.core.shards.flash import CACHE, PAGE_BYTES, PUT, in_pages
from agent.core.shards.header import ERASED, HEADER_BYTES, Header
from agent.core.shards.index import CACHED, PROMISED, QUARANTINED, TRASH, hours_of, key_of
from agent.core.shards.room import TRASH_HOURS
from agent.core.shards.ticket import CACHING, HASH, READ, WRITE, Ticket
from agent.errors import CoreletError, LimitError, PeerError, PortError

TRASH_S = (TRASH_HOURS - 1) * 3600  # an hour less than the window: hours are rounded up


class Steps(Commits):
    """All but the requests' beginnings."""

    def _begin(self, operation: str, core: str, number: int, shard: bytes) -> Ticket:
        """A ticket that excludes other writers of that shard."""
        if (number, shard) in self._busy:
            raise LimitError("busy", "Another PUT or DELETE of this shard is under way; try again.", 1)
        ticket = Ticket(operation, core, number, shard)
        self._busy[(number, shard)] = ticket
        return ticket

    def rest(self, ticket: Ticket, result: str) -> None:
        """`ticket` has its result, or `error` is set."""
        if result == "ready" and not self.flash.is_covered():
            ticket.result = ""
            self._hold(ticket)
            return
        ticket.result = result
        if result == "ready" and ticket.operation == "promote":
            self.cache.write(ticket)
            return
        self.ended.append(ticket)
        if result == "ready":
            if ticket.is_abandoned:
                self._give_up(ticket)
        elif self._busy.get((ticket.number, ticket.shard)) is ticket:
            del self._busy[(ticket.number, ticket.shard)]

    def _refuse(self, ticket: Ticket, error: CoreletError) -> None:
        ticket.error = error
        self.rest(ticket, "")

    def _give_up(self, ticket: Ticket) -> None:
        """A put whose body will not come: nothing of it is in a header, so its slot is free again."""
        if ticket.slot >= 0:
            self.space.give(ticket.slot)
        if not ticket.received:
            self.flash.give_back(ticket.cost)
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
            self.write(READ, ticket, HEADER_BYTES)
            return
        ticket.slot = -1
        if ticket.operation == "put":
            self.reserve(ticket)
        elif ticket.operation == "offer":
            self.cache.offered(ticket)
        else:
            self.rest(ticket, "absent" if ticket.body is None else "deleted")

    def _located(self, ticket: Ticket, data: bytes, error: PortError | None) -> None:
        """The header of a slot that the index named is here."""
        header = None if error is not None else self._parse(ticket.slot, data)
        other = self._busy.get((ticket.number, ticket.shard))
        is_changing = other is not None and other is not ticket and other.step in ("erase", "commit")
        if not self._is_mine(ticket) or (header is None and is_changing):
            self._try_next(ticket)
        elif error is not None and error.code == "stopped":
            self._refuse(ticket, error)
        elif header is None and ticket.operation != "put" and self.index.kind(ticket.slot) == TRASH:
            self._try_next(ticket)
        elif header is None:
            self._bad(ticket, "header" if error is None else "io")
        elif header.shard != ticket.shard or (header.flags == TRASH and ticket.operation != "put"):
            self._try_next(ticket)
        elif ticket.operation == "offer":
            self.rest(ticket, "cached")
        elif self.index.kind(ticket.slot) == QUARANTINED:
            self._bad(ticket, "")
        elif ticket.operation == "delete":
            self._delete(ticket, header)
        elif ticket.operation == "put" and header.length != ticket.length:
            self._refuse(ticket, PeerError("digest", f"This shard has {header.length} bytes, not {ticket.length}."))
        else:
            ticket.length = header.length
            self._verify(ticket, header)

    def _verify(self, ticket: Ticket, header: Header) -> None:
        if ticket.operation == "head":
            self.rest(ticket, "found")
            return
        ticket.header = header
        self.write(HASH, ticket, header.length, HEADER_BYTES)

    def _hashed(self, ticket: Ticket, digest: bytes, error: PortError | None) -> None:
        """The stored bytes have been read."""
        if not self._is_mine(ticket):
            self._try_next(ticket)
        elif error is not None and error.code == "stopped":
            self._refuse(ticket, error)  # no memory or descriptor for it, or the end: nothing is wrong with the bytes
        elif error is not None or digest != ticket.shard:
            self._bad(ticket, "sha256" if error is None else "io")
        elif ticket.operation == "put":
            self._keep(ticket)
        else:
            if self.cache is not None:
                self.cache.touch(ticket.slot, 1)
            self.rest(ticket, "found")

    def _bad(self, ticket: Ticket, reason: str) -> None:
        """What the slot holds must not be served. A put writes a fresh copy elsewhere once this one is gone. What was
        deleted is nobody's loss; what was only cached is given up at once."""
        if ticket.operation in ("put", "delete"):
            if self.index.kind(ticket.slot) in (PROMISED, CACHED):
                self._report(ticket.core, ticket.shard, reason)
            self._erase(ticket, ticket.slot)
        else:
            self._condemn(ticket, reason)
            self.rest(ticket, "corrupt")

    def _condemn(self, ticket: Ticket, reason: str) -> None:
        kind, slot = self.index.kind(ticket.slot), ticket.slot
        if kind == PROMISED:
            self.space.change(slot, QUARANTINED)
            self._report(ticket.core, ticket.shard, reason)
        elif kind == CACHED:
            self._report(ticket.core, ticket.shard, reason)
            self.uncache([slot])
            self.space.withdraw(slot)
            self._erase(Ticket("erase", ticket.core, 0, ticket.shard), slot)

    # Writing.

    def reserve(self, ticket: Ticket) -> None:
        ticket.step = "body"
        purpose = CACHE if ticket.operation in CACHING else PUT
        cost = in_pages(HEADER_BYTES + ticket.length)
        if self.flash.left(purpose, self.now) < cost:
            self._refuse(ticket, self.flash.refusal(cost, purpose, self.now))
            return
        ticket.cost = cost
        self.flash.spend(cost)
        self.room.reserve(ticket, self.now)
        if ticket.is_at_rest:
            self._reserved(ticket)

    def _reserved(self, ticket: Ticket) -> None:
        if ticket.error is not None:
            self.flash.give_back(ticket.cost)
        self.rest(ticket, ticket.result)

    def _keep(self, ticket: Ticket) -> None:
        """The shard of a put is here already: extend the promise if need be, take it out of trash or cache, and be
        sure that it is on the medium."""
        is_kept = self.index.kind(ticket.slot) == PROMISED
        kept = ticket.header.keep_until if is_kept else ticket.keep_until
        until = 0 if kept == 0 or ticket.keep_until == 0 else max(kept, ticket.keep_until)
        ticket.step = "keep"
        if until != kept or not is_kept:
            if self.flash.left(PUT, self.now) < PAGE_BYTES:
                self._refuse(ticket, self.flash.refusal(PAGE_BYTES, PUT, self.now))
                return
            self.flash.spend(PAGE_BYTES)
            ticket.keep_until = until
            self.uncache([ticket.slot])
            self.space.change(ticket.slot, PROMISED)
            self.index.set_note(ticket.slot, hours_of(until))
            self._write_header(ticket, PROMISED)
        elif not self.space.slab_of(ticket.slot).is_synced:
            self._want_flush(ticket)
        else:
            self.rest(ticket, "present")

    def _delete(self, ticket: Ticket, header: Header) -> None:
        """A promised shard goes to the trash, a cached one for good."""
        if self.index.kind(ticket.slot) == CACHED:
            self._erase(ticket, ticket.slot)
            return
        self.flash.spend(PAGE_BYTES)
        ticket.step = "trash"
        ticket.length = header.length
        ticket.keep_until = (self._core_time(ticket.core) or 0) + TRASH_S
        self._write_header(ticket, TRASH)

    def _durable(self, ticket: Ticket) -> None:
        if ticket.step in ("commit", "keep"):
            self._kept(ticket)
        elif ticket.step == "forget":
            for slot in ticket.slots:
                if self.index.core_of(slot) == ticket.number:
                    self._free(slot)
            self._forget_next(ticket)
        elif ticket.operation == "erase":
            self.space.give(ticket.slot)
            self.rest(ticket, "deleted")
        elif ticket.step == "trash":
            if self._is_mine(ticket):
                self.space.change(ticket.slot, TRASH)
                self.index.set_note(ticket.slot, hours_of(ticket.keep_until))
                self.room.trashed()
            self.rest(ticket, "deleted")
        else:
            if self._is_mine(ticket):
                self._free(ticket.slot)
            if ticket.operation == "put":
                self.reserve(ticket)
            else:
                self.rest(ticket, "deleted")

    def promote(self, number: int, shard: bytes, body: bytes) -> None:
        """A cached shard goes from memory to a slot, if there is one for it."""
        if self.cores.name(number) and (number, shard) not in self._busy:
            ticket = self._begin("promote", self.cores.name(number), number, shard)
            ticket.length = len(body)
            ticket.body = body
            self.reserve(ticket)

    def _kept(self, ticket: Ticket) -> None:
        if not self._is_mine(ticket):
            self._refuse(ticket, self._left_error())
        elif ticket.operation in CACHING:
            self.cache.insert(ticket.slot)
            self.rest(ticket, "cached")
        else:
            self.rest(ticket, "stored" if ticket.step == "commit" else "present")

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
                self.uncache(ticket.slots)
                self.flash.spend(PAGE_BYTES * len(ticket.slots))
                for slot in ticket.slots:
                    ticket.slot = slot
                    self.write(WRITE, ticket, HEADER_BYTES, 0, ERASED)
                return
            ticket.length += 1
        self.cores.release(ticket.number)
        self.rest(ticket, "forgotten")

    def _failed(self, ticket: Ticket, error: PortError) -> None:
        """A write or flush of `ticket` failed: no acknowledgement. Its slot is not used again before the next start."""
        if ticket.error is not None:
            return
        if ticket.step == "body":
            if error.code in ("disk_full", "stopped"):
                self._give_up(ticket)
        elif ticket.step == "commit" and self._is_mine(ticket):
            self.space.withdraw(ticket.slot)
        if error.code not in ("disk_full", "stopped") or ticket.step != "body":
            self._set_fault(error)
        self._refuse(ticket, error)

    def _is_mine(self, ticket: Ticket) -> bool:
        """Whether the ticket's slot is still a record of its core with its 40 bits."""
        is_record = self.index.is_record(ticket.slot, key_of(ticket.shard), ticket.number)
        return is_record and self.cores.find(ticket.core) == ticket.number and not ticket.has_left
