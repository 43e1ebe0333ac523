"""Carries the shard store's effects to slab files, and bodies in pieces of at most PIECE_BYTES_MAX.

Not a place for decisions: what is kept where and when a put is acknowledged is agent/core/shards/. How it starts:
slab_start.py. About OPEN_MAX slab files are open at once, DIRTY_MAX at most: one with unflushed writes stays open,
because old kernels tell an error of its flush to that descriptor only. Reads, writes, the making of a slab and a
checkpoint wait for the disk in the loop; flushes may run beside it (contract.Slab).
"""

import asyncio
import hashlib
from binascii import crc32

from agent.core.shards import memo
from agent.core.shards.header import HEADER_BYTES
from agent.core.shards.index import SLOTS_A_SLAB_MAX
from agent.core.shards.ticket import CREATE, FLUSH, HASH, MEMO, READ, REMOVE, WRITE, Effect, Ticket
from agent.errors import PortError
from agent.service.hashing import exactly, verify

if False:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from agent.core.shards.space import Slab
    from agent.core.shards.store import Store
    from agent.port import contract

OPEN_MAX = 32
DIRTY_MAX = 128
PIECE_BYTES_MAX = 16384
PIECE_BYTES_MIN = 2048
SPARE_BYTES = 1 << 20  # of the disk, left for what is worth more than shards: identities and counters
TIDY_S = 3600
CHECKPOINT_TIDIES = 6  # every so often, if anything changed: a start after a power cut reads less


def piece_bytes(slot_bytes: int, least: int = PIECE_BYTES_MIN) -> int:
    """Small slots: a small board, unless the interpreter has room for more."""
    return min(max(slot_bytes // 32, least), PIECE_BYTES_MAX)


class Slabs:
    """`now_ms`: a monotonic clock. `spawn`: starts a task."""

    def __init__(
        self,
        files: "contract.Files",
        folder: str,
        store: "Store",
        now_ms: "Callable[[], int]",
        spawn: "Callable[..., Any]",
    ) -> None:
        self.files = files
        self.folder = folder
        self.store = store
        self._now_ms = now_ms
        self._spawn = spawn
        self._open: list[tuple[Slab, contract.Slab]] = []  # used longest ago first
        self._dirty: list[Slab] = []  # slabs that were written since their last flush began
        self._memo: contract.Slab | None = None
        self.hot: Any = None  # hot.Hot or fresh.Fresh
        self.pieces = (PIECE_BYTES_MIN, PIECE_BYTES_MAX)
        self.turn: asyncio.Lock | None = None  # a small heap has room for one body that comes, and a flush for many
        self._running = 0
        self._changed = asyncio.Event()
        self._tidying: Any = None

    async def open(self) -> None:
        """Make the folder, find what is kept, tidy up."""
        self.files.make_folder(self.folder)
        from agent.service import slab_start  # here: it can be forgotten after the start

        await slab_start.load(self)
        self.store.start()
        self.pump()
        self._tidying = self._spawn(self._tidy())

    async def close(self) -> None:
        """After what is under way; leaves a checkpoint."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.sleep(0)  # its turn to end
        await self._settle()
        try:
            upkeep = self._upkeep()
            for step in (upkeep.flush_all, upkeep.checkpoint, upkeep.finish):
                step(self._now_ms())
                await self._settle()
        except MemoryError:
            pass  # without a checkpoint the next start reads every header
        for _, file in self._open:
            file.close()
        self._open = []
        if self._memo is not None:
            self._memo.close()

    def _upkeep(self) -> "Any":
        from agent.core.shards.upkeep import Upkeep  # here: it is needed once in hours

        return Upkeep(self.store)

    async def _settle(self) -> None:
        self.pump()
        while self._running:
            self._changed.clear()
            await self._changed.wait()

    async def _tidy(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(TIDY_S)
            upkeep = self._upkeep()
            while upkeep.purge(self._now_ms()):
                self.pump()
                await asyncio.sleep(1)
            count += 1
            if count % CHECKPOINT_TIDIES == 0:
                upkeep.flush_all(self._now_ms())
                self.pump()
                await asyncio.sleep(1)
                upkeep.checkpoint(self._now_ms())
            self.pump()

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
            if self.turn is None:
                digest = await self._receive(ticket, read)
            else:
                async with self.turn:
                    digest = await self._receive(ticket, read)
            self.store.commit(ticket, digest, self._now_ms())
            return await self.wait(ticket)
        finally:
            self.store.abort(ticket)
            self.pump()

    async def _receive(self, ticket: Ticket, read: "Callable[[int], Awaitable[bytes]]") -> bytes:
        digest = hashlib.sha256()
        most = self.piece_bytes(self.store.space.slab_of(ticket.slot))
        while ticket.received < ticket.length:
            piece = await read(min(most, ticket.length - ticket.received))
            if not piece:
                break
            digest.update(piece)
            now = self._now_ms()
            effect = self.store.receive(ticket, len(piece), now)
            if effect is None:
                ticket.body.extend(piece)
                continue
            self.store.done(effect, self._attempt(self._write, effect, piece), now)
            if ticket.error is not None:
                raise ticket.error
        return digest.digest()

    def read_piece(self, ticket: Ticket, number: int) -> bytes:
        """One piece of a shard that was found, exactly as it was verified. PortError("changed" or "spoiled"): the
        shard was deleted meanwhile, or the medium gave other bytes than before."""
        if not self.store.is_current(ticket):
            raise PortError("changed", "The shard was deleted while it was being read.")
        if ticket.body is not None:
            return bytes(ticket.body)
        slab = self.store.space.slab_of(ticket.slot)
        size = ticket.piece_bytes
        length = min(size, ticket.length - number * size)
        offset = ticket.slot % SLOTS_A_SLAB_MAX * slab.slot_bytes + HEADER_BYTES + number * size
        data: Any = self._attempt(self._read, Effect(READ, slab, offset, length, None, ticket), None)
        if isinstance(data, PortError):
            if data.code != "stopped":
                self.store.spoiled(ticket, "io")
            raise data
        if crc32(data) != ticket.sums[number]:
            self.store.spoiled(ticket, "sha256")
            raise PortError("spoiled", "The medium gave other bytes than when the shard was verified.")
        return bytes(data)

    def pump(self) -> None:
        """Carry out all effects that are due, wake those whose tickets came to rest."""
        effects, ended = self.store.effects, self.store.ended
        while effects or ended:
            while effects:
                self._carry_out(effects.pop(0))
            while ended:
                notice = ended.pop().notice
                if notice is not None:
                    notice.set()

    def _carry_out(self, effect: Effect) -> None:
        if effect.kind in (FLUSH, HASH, MEMO):
            self._running += 1
            if effect.kind == FLUSH and effect.slab in self._dirty:
                self._dirty.remove(effect.slab)
            self._spawn(self._carry_out_later(effect))
            return
        bodies = {READ: self._read, WRITE: self._write, CREATE: self._create, REMOVE: self._remove}
        body = bodies.get(effect.kind, self._checkpoint)
        self.store.done(effect, self._attempt(body, effect, effect.data), self._now_ms())

    async def _carry_out_later(self, effect: Effect) -> None:
        """A flush, a hash or a memo. Whatever ends it, the tickets that wait for it come to rest."""
        result: object = PortError("stopped", "The device stopped before it was done.")
        try:
            result = await (self._hash(effect) if effect.kind == HASH else self._flush(effect))
        except PortError as error:
            result = error
        finally:
            self._running -= 1
            self.store.done(effect, result, self._now_ms())
            self.pump()
            self._changed.set()

    def _attempt(self, body: "Callable[..., Any]", effect: Effect, data: bytes | None) -> "Any":
        """The result, or the PortError as a value."""
        try:
            return body(effect, data)
        except PortError as error:
            return error

    def _read(self, effect: Effect, _data: bytes | None) -> bytes:
        return exactly(self.file(effect.slab), effect.offset, effect.length)

    def _write(self, effect: Effect, data: bytes) -> None:
        if effect.slab not in self._dirty:
            self._dirty.append(effect.slab)
        self.file(effect.slab).write(effect.offset, data)

    def _create(self, effect: Effect, _data: bytes | None) -> None:
        if self.files.free_bytes(self.folder) < effect.length + SPARE_BYTES:
            raise PortError("disk_full", "The disk has no room for another slab file.")
        path = self.path(*effect.slab.name)
        self._keep_open(effect.slab, self.files.create_slab(path, effect.length, self.store.space.notes_bytes > 0))

    def _remove(self, effect: Effect, _data: bytes | None) -> None:
        for entry in [entry for entry in self._open if entry[0] is effect.slab]:
            self._open.remove(entry)
            entry[1].close()
        self.files.remove(self.path(*effect.slab.name))

    async def _flush(self, effect: Effect) -> None:
        file = self.memo() if effect.kind == MEMO else self.file(effect.slab)
        if effect.kind == MEMO:
            file.write(effect.offset, effect.data)
        await file.flush()

    def _checkpoint(self, _effect: Effect, data: "Any") -> None:
        self.files.write_pieces(self.folder + "/" + memo.INDEX_NAME, data)

    def memo(self) -> "contract.Slab":
        """Its file, made at first."""
        path = self.folder + "/" + memo.FILE_NAME
        if self._memo is None:
            exists = self.files.exists(path)
            self._memo = self.files.open_slab(path) if exists else self.files.create_slab(path, memo.FILE_BYTES)
        return self._memo

    async def _hash(self, effect: Effect) -> bytes:
        size = self.piece_bytes(effect.slab)
        if effect.data is None:
            return await verify(self, effect, size)
        from agent.service import log  # here: few boards have one

        return await log.verify(self, effect, size)

    def piece_bytes(self, slab: "Slab") -> int:
        return min(piece_bytes(slab.slot_bytes, self.pieces[0]), self.pieces[1])

    def file(self, slab: "Slab") -> "contract.Slab":
        for entry in self._open:
            if entry[0] is slab:
                self._open.remove(entry)
                self._open.append(entry)
                return entry[1]
        return self._keep_open(slab, self.files.open_slab(self.path(*slab.name)))

    def _keep_open(self, slab: "Slab", file: "contract.Slab") -> "contract.Slab":
        for entry in list(self._open):
            room = DIRTY_MAX if entry[0] in self._dirty else OPEN_MAX
            if len(self._open) >= room and not entry[0].batch:
                self._open.remove(entry)
                entry[1].close()
        self._open.append((slab, file))
        return file

    def path(self, slot_bytes: int, number: int) -> str:
        kind = "log" if self.store.space.notes_bytes else "slab"
        return f"{self.folder}/{kind}.{slot_bytes // 1024}.{number}"
