"""Shards that are asked for often, held in memory as they were verified (CPython; see fresh.py for small heaps).

What is sent from here was hashed once, on its way into memory that nothing can change any more (the port's Block). Not
from the slots: what `sendfile` hands to a socket are pages of the file, and when the slot is given to another shard
while they wait there, they would leave with that shard's bytes under the old name.

Hot belongs to the control loop's thread, but for `take` and `pins`, which are the lane's. The lane pins, then looks
again; Hot takes out, then looks at the pins: what is being sent is always counted.
Bounds: `bytes_max` of bodies in whole pages, KEPT_MAX of them (each has a descriptor).
"""

from agent.errors import PortError
from agent.service import shard_answers
from agent.wire import http

if False:
    from collections.abc import Callable
    from typing import Any

    from agent.core.shards.ticket import Effect, Ticket

KEPT_MAX = 512
PAGE_BYTES = 4096


class Kept:
    """One verified shard. `pins`: how often it is being sent. `reads`: how often it was since the store heard of it."""

    def __init__(self, ticket: "Ticket", block: "Any") -> None:
        self.core = ticket.core
        self.slot = ticket.slot
        self.block = block
        self.length = ticket.length
        self.head = http.encode_response(200, shard_answers.headers_of(ticket.shard), ticket.length)
        self.pins = self.reads = 0


class Hot:
    """Of those that are not being sent, the one that came first goes first. `make_block`: the port's."""

    def __init__(self, bytes_max: int, make_block: "Callable[[bytearray], Any]") -> None:
        self.held: dict[bytes, Kept] = {}  # by shard; of one that several cores have, the last one's
        self._bytes_max = bytes_max
        self._make_block = make_block
        self._bytes = 0  # held, reserved or leaving
        self._slots: dict[int, bytes] = {}
        self._leaving: list[Kept] = []

    def begin(self, effect: "Effect") -> bytearray | None:
        """A shard is being read: where its bytes go. None: there is no room. Then `end`."""
        for kept in [kept for kept in self._leaving if not kept.pins]:
            self._leaving.remove(kept)
            self._free(kept)
        for kept in [] if self._has_room(effect.length) else list(self.held.values()):
            if not kept.pins:
                self.drop(kept.slot)
            if self._has_room(effect.length):
                break
        if not self._has_room(effect.length):
            return None
        self._bytes += _in_pages(effect.length)
        return bytearray(effect.length)

    def end(self, ticket: "Ticket", data: bytearray, is_right: bool) -> None:
        """It was read; `is_right`: what came is the shard, and it is still there."""
        if is_right:
            self.drop(ticket.slot)
            if ticket.shard in self.held:
                self.drop(self.held[ticket.shard].slot)
            try:
                self.held[ticket.shard] = Kept(ticket, self._make_block(data))
                self._slots[ticket.slot] = ticket.shard
                return
            except PortError:  # it is served from the disk
                pass
        self._bytes -= _in_pages(len(data))

    def take(self, shard: bytes, kept: Kept) -> bool:
        """To be sent; then its `pins` are one less. False: it is gone."""
        kept.pins += 1
        if self.held.get(shard) is kept:
            kept.reads += 1
            return True
        kept.pins -= 1
        return False

    def drop(self, slot: int) -> None:
        """What that slot held is not to be answered any more. Any slot."""
        shard = self._slots.pop(slot, None)
        if shard is not None:
            kept = self.held.pop(shard)
            if kept.pins:
                self._leaving.append(kept)
            else:
                self._free(kept)

    def forget(self, core: str) -> None:
        for kept in list(self.held.values()):
            if kept.core == core:
                self.drop(kept.slot)

    def _has_room(self, length: int) -> bool:
        is_few = len(self.held) + len(self._leaving) < KEPT_MAX
        return is_few and self._bytes + _in_pages(length) <= self._bytes_max

    def _free(self, kept: Kept) -> None:
        self._bytes -= _in_pages(kept.length)
        kept.block.close()


def _in_pages(length: int) -> int:
    """With one for what the kernel keeps of it."""
    return (length // PAGE_BYTES + 2) * PAGE_BYTES
