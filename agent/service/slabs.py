"""Carries the shard store's effects to slab files, and bodies in pieces of at most PIECE_BYTES_MAX.

Not a place for decisions: what is kept where and when a put is acknowledged is agent/core/shards/. Headers are read at
the start, bodies never. About OPEN_MAX slab files are open at once, DIRTY_MAX at most: one with unflushed writes stays
open, because old kernels tell an error of its flush to that descriptor only. Reads, writes and the making of a slab
wait for the disk in the loop; flushes may run beside it (contract.Slab).
"""

import asyncio
import hashlib
from array import array
from binascii import crc32

from agent.core.shards.header import HEADER_BYTES
from agent.core.shards.index import SLOTS_A_SLAB_MAX
from agent.core.shards.store import Store
from agent.core.shards.ticket import CREATE, FLUSH, HASH, READ, REMOVE, WRITE, Effect, Ticket
from agent.errors import PortError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from agent.core.shards.space import Slab
    from agent.port import contract

OPEN_MAX = 32
DIRTY_MAX = 128
NAME_CHARS_MAX = 30
PIECE_BYTES_MAX = 16384
PIECE_BYTES_MIN = 2048
SPARE_BYTES = 1 << 20  # of the disk, left for what is worth more than shards: identities and counters
LOADS_A_TURN = 64  # headers read before other tasks have their turn


def piece_bytes(slot_bytes: int) -> int:
    """Small slots mean a small board, and one piece is one buffer."""
    return min(max(slot_bytes // 32, PIECE_BYTES_MIN), PIECE_BYTES_MAX)


class Slabs:
    """`now_ms`: a monotonic clock. `spawn`: starts a task."""

    def __init__(
        self,
        files: "contract.Files",
        folder: str,
        store: Store,
        now_ms: "Callable[[], int]",
        spawn: "Callable[..., Any]",
    ) -> None:
        self._files = files
        self._folder = folder
        self._store = store
        self._now_ms = now_ms
        self._spawn = spawn
        self._open: list[tuple[Slab, contract.Slab]] = []  # used longest ago first
        self._dirty: list[Slab] = []  # slabs that were written since their last flush began
        self._running = 0
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Make the folder, read all headers, tidy up."""
        self._files.make_folder(self._folder)
        found = []
        for name in self._files.list(self._folder):
            kind_number = _parse_name(name)
            if kind_number is not None:
                found.append(kind_number)
            elif name.startswith("slab.") and name.endswith(".new"):
                self._files.remove(self._folder + "/" + name)  # a slab whose making was cut
        for slot_bytes, number in sorted(found):
            length = self._files.size(self._path(slot_bytes, number))
            slots = length // slot_bytes
            if 0 < slots <= SLOTS_A_SLAB_MAX:
                length -= slots * slot_bytes
                await self._load(self._store.attach(slot_bytes, number, slots))
            self._store.space.allocated_bytes += length  # what is not ours to use counts, too
        self._store.start()
        self.pump()

    async def close(self) -> None:
        """After the flushes under way."""
        while self._running:
            self._changed.clear()
            await self._changed.wait()
        for _, file in self._open:
            file.close()
        self._open = []

    async def wait(self, ticket: Ticket) -> str:
        """The ticket's result when it has come to rest; raises its error."""
        self.pump()
        while not ticket.is_at_rest:
            notice = asyncio.Event()
            ticket.notice = notice
            await notice.wait()
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    async def take_body(self, ticket: Ticket, read: "Callable[[int], Awaitable[bytes]]") -> str:
        """Stream the body of a put that is "ready" into its slot, verify, commit, wait for "stored". Whatever goes
        wrong, the slot is free again unless the header was written already."""
        try:
            digest = hashlib.sha256()
            piece_max = piece_bytes(self._store.space.slab_of(ticket.slot).slot_bytes)
            while ticket.received < ticket.length:
                piece = await read(min(piece_max, ticket.length - ticket.received))
                if not piece:
                    break
                digest.update(piece)
                now = self._now_ms()
                effect = self._store.receive(ticket, len(piece), now)
                self._store.done(effect, self._attempt(self._write, effect, piece), now)
                if ticket.error is not None:
                    raise ticket.error
            self._store.commit(ticket, digest.digest(), self._now_ms())
            return await self.wait(ticket)
        finally:
            self._store.abort(ticket)
            self.pump()

    def read_piece(self, ticket: Ticket, number: int) -> bytes:
        """One piece of a shard that was found, exactly as it was verified. PortError("changed" or "spoiled"): the
        shard was deleted meanwhile, or the medium gave other bytes than before."""
        if not self._store.is_current(ticket):
            raise PortError("changed", "The shard was deleted while it was being read.")
        slab = self._store.space.slab_of(ticket.slot)
        size = ticket.piece_bytes
        length = min(size, ticket.length - number * size)
        offset = ticket.slot % SLOTS_A_SLAB_MAX * slab.slot_bytes + HEADER_BYTES + number * size
        data: Any = self._attempt(self._read, Effect(READ, slab, offset, length, None, ticket), None)
        if isinstance(data, PortError):
            self._store.spoiled(ticket, "io")
            raise data
        if crc32(data) != ticket.sums[number]:
            self._store.spoiled(ticket, "sha256")
            raise PortError("spoiled", "The medium gave other bytes than when the shard was verified.")
        return bytes(data)

    def read_unverified(self, ticket: Ticket, start: int, length: int) -> bytes:
        """Part of a shard that was located: for whoever hashes it. PortError("changed"): it was deleted meanwhile."""
        if not self._store.is_current(ticket):
            raise PortError("changed", "The shard was deleted while it was being read.")
        slab = self._store.space.slab_of(ticket.slot)
        offset = ticket.slot % SLOTS_A_SLAB_MAX * slab.slot_bytes + HEADER_BYTES + start
        return _exactly(self._file(slab), offset, length)

    def pump(self) -> None:
        """Carry out all effects that are due, wake those whose tickets came to rest."""
        effects, ended = self._store.effects, self._store.ended
        while effects or ended:
            while effects:
                self._carry_out(effects.pop(0))
            while ended:
                notice = ended.pop().notice
                if notice is not None:
                    notice.set()

    def _carry_out(self, effect: Effect) -> None:
        if effect.kind in (FLUSH, HASH):
            self._running += 1
            if effect.kind == FLUSH and effect.slab in self._dirty:
                self._dirty.remove(effect.slab)
            self._spawn(self._carry_out_later(effect))
            return
        body = {READ: self._read, WRITE: self._write, CREATE: self._create, REMOVE: self._remove}[effect.kind]
        self._store.done(effect, self._attempt(body, effect, effect.data), self._now_ms())

    async def _carry_out_later(self, effect: Effect) -> None:
        """A flush or a hash. Whatever ends it, the tickets that wait for it come to rest."""
        result: object = PortError("io", "The device stopped before it was done.")
        try:
            result = await (self._file(effect.slab).flush() if effect.kind == FLUSH else self._hash(effect))
        except PortError as error:
            result = error
        finally:
            self._running -= 1
            self._store.done(effect, result, self._now_ms())
            self.pump()
            self._changed.set()

    def _attempt(self, body: "Callable[..., Any]", effect: Effect, data: bytes | None) -> "Any":
        """The result, or the PortError as a value."""
        try:
            return body(effect, data)
        except PortError as error:
            return error

    def _read(self, effect: Effect, _data: bytes | None) -> bytes:
        return _exactly(self._file(effect.slab), effect.offset, effect.length)

    def _write(self, effect: Effect, data: bytes) -> None:
        if effect.slab not in self._dirty:
            self._dirty.append(effect.slab)
        self._file(effect.slab).write(effect.offset, data)

    def _create(self, effect: Effect, _data: bytes | None) -> None:
        if self._files.free_bytes(self._folder) < effect.length + SPARE_BYTES:
            raise PortError("disk_full", "The disk has no room for another slab file.")
        self._keep_open(effect.slab, self._files.create_slab(self._path(*effect.slab.name), effect.length))

    def _remove(self, effect: Effect, _data: bytes | None) -> None:
        for entry in [entry for entry in self._open if entry[0] is effect.slab]:
            self._open.remove(entry)
            entry[1].close()
        self._files.remove(self._path(*effect.slab.name))

    async def _hash(self, effect: Effect) -> bytes:
        """SHA-256 of a payload, and the CRC-32 of each of its pieces into `ticket.sums`."""
        digest = hashlib.sha256()
        sums = array("I")
        size = piece_bytes(effect.slab.slot_bytes)
        for start in range(0, effect.length, size):
            piece = _exactly(self._file(effect.slab), effect.offset + start, min(size, effect.length - start))
            digest.update(piece)
            sums.append(crc32(piece))
            await asyncio.sleep(0)
        effect.ticket.sums = sums
        effect.ticket.piece_bytes = size
        return digest.digest()

    async def _load(self, slab: "Slab") -> None:
        """The headers of one slab, from the last to the first."""
        for place in range(slab.slots - 1, -1, -1):
            try:
                data = self.read_header(slab, place)
                for twin in self._store.load(slab, place, data):
                    other = self._store.space.slab_of(twin)
                    other_data = self.read_header(other, twin % SLOTS_A_SLAB_MAX)
                    self._store.settle_twins(slab.position * SLOTS_A_SLAB_MAX + place, data, twin, other_data)
            except PortError as error:
                self._store.skip(error)
            if place % LOADS_A_TURN == 0:
                await asyncio.sleep(0)

    def read_header(self, slab: "Slab", place: int) -> bytes:
        return _exactly(self._file(slab), place * slab.slot_bytes, HEADER_BYTES)

    def _file(self, slab: "Slab") -> "contract.Slab":
        for entry in self._open:
            if entry[0] is slab:
                self._open.remove(entry)
                self._open.append(entry)
                return entry[1]
        return self._keep_open(slab, self._files.open_slab(self._path(*slab.name)))

    def _keep_open(self, slab: "Slab", file: "contract.Slab") -> "contract.Slab":
        for entry in list(self._open):
            room = DIRTY_MAX if entry[0] in self._dirty else OPEN_MAX
            if len(self._open) >= room and not entry[0].batch:
                self._open.remove(entry)
                entry[1].close()
        self._open.append((slab, file))
        return file

    def _path(self, slot_bytes: int, number: int) -> str:
        return f"{self._folder}/slab.{slot_bytes // 1024}.{number}"


def _parse_name(name: str) -> tuple[int, int] | None:
    """(slot bytes, number) of "slab.64.3"; None for other files."""
    parts = name.split(".")
    if len(parts) != 3 or parts[0] != "slab" or [sign for sign in parts[1] + parts[2] if sign not in "0123456789"]:
        return None
    if not parts[1] or not parts[2] or len(name) > NAME_CHARS_MAX:
        return None
    kib = int(parts[1])
    return (kib * 1024, int(parts[2])) if kib and kib & (kib - 1) == 0 else None


def _exactly(file: "contract.Slab", offset: int, length: int) -> bytes:
    data = file.read(offset, length)
    if len(data) != length:
        raise PortError("io", f"The slab file ended: {length} bytes wanted, {len(data)} came.")
    return data
