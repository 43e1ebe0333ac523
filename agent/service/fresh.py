"""Shards that are asked for often, where the heap has no room for them: they are sent from their slots without another
hash, for FRESH_MS after they were verified and as long as the file system says that their slab was not written since.

Its word has the grain of a second: only a slab that was last written in an earlier second than the hash began counts,
and its time must be the same after each read. So what is overwritten through the file system, by whomever, is noticed;
what the medium itself spoils is noticed by the next hash, FRESH_MS later at most, and by who reads it (names are
hashes). Bounds: `most` shards, 500 bytes of heap each.
"""

from agent import port
from agent.errors import PortError
from agent.service import shard_answers
from agent.wire import http

if False:
    from collections.abc import Callable
    from typing import Any

    from agent.core.shards.ticket import Effect, Ticket

FRESH_MS = 60_000


class Kept:
    """One verified shard in its slot. `reads`: how often it was asked for since the store heard of it."""

    def __init__(self, home: "Fresh", ticket: "Ticket", effect: "Effect", changed_s: int) -> None:
        self.home = home
        self.reads = 0
        self.core = ticket.core
        self.slot = ticket.slot
        self.slab = effect.slab
        self.path = home.slabs.path(*effect.slab.name)
        self.offset = effect.offset
        self.length = ticket.length
        self.changed_s = changed_s
        self.until = port.clock.now_ms() + FRESH_MS
        self.head = http.encode_response(200, shard_answers.headers_of(ticket.shard), ticket.length)

    def fill(self, at: int, view: memoryview) -> bool:
        """Bytes of the shard from `at` on. False: they may be others by now."""
        home = self.home
        try:
            home.slabs.file(self.slab).readinto(self.offset + at, view)
            if self.slot in home.slots and home.changed_s(self.path) == self.changed_s:
                return True
        except PortError:  # who asks next is answered after a hash, or told what is wrong
            pass
        home.drop(self.slot)
        return False


class Fresh:
    """`slabs`: slabs.Slabs. `changed_s(path)`: when a file was written last, in unix seconds."""

    def __init__(self, slabs: "Any", changed_s: "Callable[[str], int]", most: int) -> None:
        self.held: dict[bytes, Kept] = {}  # by shard
        self.slots: dict[int, bytes] = {}
        self.slabs = slabs
        self.changed_s = changed_s
        self._most = most

    def begin(self, effect: "Effect") -> "tuple[Effect, int] | None":
        """A shard is being read; then `end`. None: its slab was written just now."""
        changed_s = self.changed_s(self.slabs.path(*effect.slab.name))
        return (effect, changed_s) if changed_s < port.clock.unix_time() else None

    def end(self, ticket: "Ticket", begun: "tuple[Effect, int]", is_right: bool) -> None:
        self.drop(ticket.slot)
        if not is_right:
            return
        if len(self.held) >= self._most:
            self.held.clear()
            self.slots.clear()
        self.held[ticket.shard] = Kept(self, ticket, begun[0], begun[1])
        self.slots[ticket.slot] = ticket.shard

    def take(self, shard: bytes, kept: Kept) -> bool:
        """Whether it may be sent, if `fill` finds the bytes right."""
        if port.clock.now_ms() < kept.until:
            kept.reads += 1
            return True
        self.drop(kept.slot)
        return False

    def drop(self, slot: int) -> None:
        """What that slot held is not to be answered any more. Any slot."""
        shard = self.slots.pop(slot, None)
        if shard is not None:
            self.held.pop(shard, None)

    def forget(self, core: str) -> None:
        for kept in list(self.held.values()):
            if kept.core == core:
                self.drop(kept.slot)
