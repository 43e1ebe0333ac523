"""A store with its driver on a small disk of its own: sparse files in memory, nothing is ever lost. (Power cuts are in
tests/sim, whose disk does not fit 128 KiB beside the driver.)"""

import asyncio
import gc
import hashlib
import sys

from agent.errors import PortError
from agent.service.slabs import PIECE_BYTES_MAX, Slabs, piece_bytes

# Later than the driver, which is a large file: it is compiled while the heap is empty.
from agent.core.shards.store import Store  # isort: skip

CORE = "00112233445566aa"
FOLDER = "shards"
SLOT = 65536
PIECE = piece_bytes(SLOT)
BLOCK = 256
STARTING = (("agent.service", "slab_start"), ("agent.core.shards", "recall"), ("agent.core.shards", "checkpoint"))


class Disk:
    """contract.Files as far as the driver needs it. `failing`: operation -> PortError code. `log`: operations."""

    def __init__(self):
        self.files = {}  # path -> [length, block number -> bytes]
        self.failing = {}
        self.log = []
        self.flush_turns = 2
        self.free = 1 << 40

    def may_fail(self, operation):
        self.log.append(operation)
        if len(self.log) > 200:
            del self.log[:100]
        if operation in self.failing:
            raise PortError(self.failing[operation], "the test said so")

    def make_folder(self, path):
        assert path == FOLDER

    def exists(self, path):
        return path in self.files

    def list(self, path):
        return sorted([name[len(path) + 1 :] for name in self.files])

    def size(self, path):
        return self.files[path][0]

    def free_bytes(self, path):
        return self.free

    def remove(self, path):
        self.may_fail("remove")
        self.files.pop(path, None)

    def write_pieces(self, path, pieces):
        self.may_fail("pieces")
        data = b"".join([bytes(piece) for piece in pieces])
        self.files[path] = [len(data), {}]
        File(self, path).write(0, data)

    def create_slab(self, path, length, _=False):
        self.may_fail("create")
        assert path not in self.files
        self.files[path] = [length, {}]
        return File(self, path)

    def open_slab(self, path):
        if path not in self.files:
            raise PortError("not_found", path)
        return File(self, path)


class File:
    """contract.Slab."""

    def __init__(self, disk, path):
        self._disk = disk
        self._length, self._blocks = disk.files[path]

    def read(self, offset, length):
        self._disk.may_fail("read")
        length = max(0, min(length, self._length - offset))
        number, start = divmod(offset, BLOCK)
        made = b""
        while len(made) < start + length:
            made += self._blocks.get(number, bytes(BLOCK))
            number += 1
        return made[start : start + length]

    def readinto(self, offset, view):
        view[:] = self.read(offset, len(view))

    def write(self, offset, data):
        self._disk.may_fail("header" if len(data) == 128 else "write")
        assert 0 <= offset <= self._length - len(data)
        done = 0
        while done < len(data):
            number, start = divmod(offset + done, BLOCK)
            piece = bytes(data[done : done + BLOCK - start])
            old = self._blocks.get(number, bytes(BLOCK))
            made = old[:start] + piece + old[start + len(piece) :]
            if any(made):  # zeros need no room of this heap
                self._blocks[number] = made
            else:
                self._blocks.pop(number, None)
            done += len(piece)

    async def flush(self):
        for _ in range(self._disk.flush_turns):
            await asyncio.sleep(0)
        self._disk.may_fail("flush")

    def close(self):
        pass


class Bench:
    """`disk`: of an earlier one, for a restart."""

    def __init__(self, quota=20 * SLOT, disk=None, flash_day=0, slot=SLOT):
        self.disk = disk or Disk()
        self.store = Store(quota, (slot,), lambda core: 1_000_000)
        self.store.limit(flash_day, 0)
        self.slabs = Slabs(self.disk, FOLDER, self.store, lambda: 0, asyncio.create_task)

    async def open(self):
        """Then without what only a start needs, as in the product: this heap is small."""
        await self.slabs.open()
        if sys.implementation.name == "micropython":
            for package, part in STARTING:
                sys.modules.pop(package + "." + part, None)
                if hasattr(sys.modules[package], part):
                    delattr(sys.modules[package], part)
            gc.collect()

    async def put(self, data, read=None):
        """`read` replaces the client's body."""
        self.left = data
        ticket = self.store.put(CORE, sha256(data), len(data), 0, 0)
        try:
            result = await self.slabs.wait(ticket)
            return await self.slabs.take_body(ticket, read or self.body) if result == "ready" else result
        finally:
            self.store.abort(ticket)

    async def body(self, bytes_max):
        assert bytes_max <= PIECE_BYTES_MAX
        await asyncio.sleep(0)
        piece, self.left = self.left[:bytes_max], self.left[bytes_max:]
        return piece

    async def get(self, data):
        ticket = self.store.get(CORE, sha256(data), False)
        result = await self.slabs.wait(ticket)
        if result != "found":
            return result
        count = (ticket.length + ticket.piece_bytes - 1) // ticket.piece_bytes
        return b"".join([self.slabs.read_piece(ticket, number) for number in range(count)])


def sha256(data):
    return hashlib.sha256(data).digest()


def data_of(number, length=2560):
    return (b"shard %d " % number * (length // 8 + 1))[:length]
