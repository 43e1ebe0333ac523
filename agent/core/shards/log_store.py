"""The store over a log: the same requests and steps as store.py, whose bytes never change where they lie.

Three things differ: a header that changes is written as a note (log.py), the index says what the notes said, and
records move (cleaning.py). One that moves is a ticket "move", a writer like any other: locate -> copy to a free slot ->
flush -> commit -> flush -> erase the old one -> flush.
"""

from agent.core.shards.cleaning import Cleaning
from agent.core.shards.header import HEADER_BYTES, Header
from agent.core.shards.index import CACHED, HOUR_S, KEEP_ALWAYS
from agent.core.shards.log import Log
from agent.core.shards.store import Store
from agent.core.shards.ticket import HASH, READ, WRITE, Effect, Ticket
from agent.errors import PortError

if False:
    from collections.abc import Callable
    from typing import Any


class LogStore(Store):
    def __init__(self, quota_bytes: int, slot_bytes: tuple[int, ...], core_time: "Callable[[str], int | None]") -> None:
        super().__init__(quota_bytes, slot_bytes, core_time)
        self.space: Log = Log(self.index, quota_bytes, slot_bytes)
        self.room: Cleaning = Cleaning(self, core_time)

    def write(self, kind: str, ticket: Ticket, length: int, inner: int = 0, data: bytes | None = None) -> None:
        if kind == WRITE and inner == 0 and ticket.step != "commit" and data is not None:  # a header that changes
            self.sequence += 1
            inner, data = self.space.rewrite(ticket.slot, data, self.sequence)
        super().write(kind, ticket, length, inner, data)

    def _parse(self, slot: int, data: bytes) -> Header | None:
        header = super()._parse(slot, data)
        if header is None or not self.index.core_of(slot):
            return header
        kind, hours = self.index.kind(slot), self.index.note(slot)
        until = header.keep_until if kind == CACHED else 0 if hours == KEEP_ALWAYS else hours * HOUR_S
        return Header(*header[:3], until, *header[4:7], kind)

    def emit(self, effect: Effect) -> None:
        if effect.kind == HASH and effect.data is not None and not self._is_clear(effect):
            self._hold(effect)
        else:
            super().emit(effect)

    def copy(self, ticket: Ticket, source: int, length: int) -> None:
        """The payload of slot `source` to the ticket's slot."""
        slab, at = self.space.slab_of(ticket.slot), (self.space.slab_of(source), self._offset(source) + HEADER_BYTES)
        self.emit(Effect(HASH, slab, self._offset(ticket.slot) + HEADER_BYTES, length, at, ticket))

    def done(self, effect: Effect, result: "Any", now: int) -> None:
        ticket = effect.ticket
        if effect.kind in (READ, HASH) and ticket.operation == "move":
            self.now = now
            self.room.move(effect, result, result if isinstance(result, PortError) else None)
        else:
            super().done(effect, result, now)

    def rest(self, ticket: Ticket, result: str) -> None:
        super().rest(ticket, result)
        for waiting in self.room.rested(ticket):
            self._reserved(waiting)

    def _durable(self, ticket: Ticket) -> None:
        if ticket.operation == "move" and ticket.step != "erase":
            self.room.settle(ticket)
        else:
            super()._durable(ticket)

    def is_current(self, ticket: Ticket) -> bool:
        """It may have moved since it was found."""
        if ticket.body is None and not self._is_mine(ticket):
            ticket.slot = self.room.moved.get(ticket.slot, ticket.slot)
        return super().is_current(ticket)
