"""A simulated disk: files of sectors that forget what was not flushed when the power goes.

    flash = Flash(world.random)
    slab = flash.create("slab.0", 1 << 20)     # the port's Slab: read, write, flush, close
    flash.cut_at = flash.operations + 5        # the 5th operation from now raises PowerCut
    ...
    flash.power_cycle()                        # each unflushed sector write is kept or lost by chance
    slab = flash.open("slab.0")                # what a restart finds

Rules. Operations are write, flush, create, remove and rename; each is one number. A write is visible to `read`
at once but durable only after a flush of that file. At a power cycle every 512-byte sector of every unflushed write
survives or not on its own (any subset, so reordering and torn writes are included); one sector is never torn, unless
`tears`: then what survives of a write ends in garbage, by chance. `outcome` leaves less to chance: one of OUTCOMES.
create, remove and rename are durable at once (the port's bodies flush the folder). A cut at an operation
happens *during* it: a cut write may be kept in part, a cut flush may have flushed some, a cut rename is
done or not done. Storage is sparse: a sector of zeros that was never written costs nothing.
"""

if False:
    from tests.sim.chance import Xorshift32

SECTOR_BYTES = 512
# How much survives (0 none, 1 all, 2 and 3 a coin for each sector), and permille of that which is torn.
OUTCOMES = {"none": (0, 0), "all": (1, 0), "subset": (2, 0), "torn": (3, 700)}
_ZEROS = bytes(SECTOR_BYTES)


class PowerCut(BaseException):
    """The power went. Not an Exception, so that no handler in code under test can survive it."""


class Flash:
    """`operations`: how many happened. `cut_at`: the number of the operation during which the power goes, 0 = never.
    `tears`: whether a cut can leave garbage in a sector that was being written. `outcome`: of OUTCOMES, "" by chance.
    `log`: list of (operation, path, offset, length) when `is_logging`."""

    def __init__(self, random: "Xorshift32") -> None:
        self.operations = 0
        self.cut_at = 0
        self.tears = False
        self.outcome = ""
        self.is_logging = False
        self.log: list = []
        self._random = random
        self._files: dict = {}
        self._generation = 0

    def create(self, path: str, length: int) -> "Slab":
        """A file of `length` zero bytes; replaces an older one."""
        if not self._is_cut("create", path, 0, length) or self._random.chance(500):
            self._files[path] = _File(length)
        self._stop_if_cut()
        return self.open(path)

    def open(self, path: str) -> "Slab":
        """Raises KeyError when absent."""
        return Slab(self, path, self._files[path])

    def exists(self, path: str) -> bool:
        return path in self._files

    def list(self) -> "list[str]":
        """All paths, sorted."""
        return sorted(self._files)

    def size(self, path: str) -> int:
        return self._files[path].length

    def remove(self, path: str) -> None:
        """A missing one is fine."""
        if not self._is_cut("remove", path, 0, 0) or self._random.chance(500):
            self._files.pop(path, None)
        self._stop_if_cut()

    def rename(self, old: str, new: str) -> None:
        """Replaces `new`. What was not flushed of `old` stays unflushed."""
        if not self._is_cut("rename", old, 0, 0) or self._random.chance(500):
            self._files[new] = self._files.pop(old)
        self._stop_if_cut()

    def power_cycle(self) -> None:
        """The power goes and comes back: settle every unflushed write, invalidate open slabs, forget `cut_at`."""
        for path in sorted(self._files):
            self._files[path].settle(self._random, self.fate())
        self.cut_at = 0
        self._generation += 1

    def flip_bit(self, path: str, offset: int, bit: int) -> None:
        """Bit rot, durable."""
        file = self._files[path]
        assert not file.unflushed, "flush before bits rot"
        data = bytearray(file.read(offset, 1))
        data[0] ^= 1 << bit
        file.write(offset, bytes(data))
        file.flush()

    def fate(self) -> "tuple[int, int]":
        """As in OUTCOMES. By chance it is a quarter of the time none, a quarter all, else a coin each."""
        return OUTCOMES[self.outcome] if self.outcome else (self._random.below(4), 250 if self.tears else 0)

    def _is_cut(self, operation: str, path: str, offset: int, length: int) -> bool:
        """Counts one operation; True when the power goes during it."""
        if self.cut_at and self.operations >= self.cut_at:
            raise PowerCut()
        self.operations += 1
        if self.is_logging:
            self.log.append((operation, path, offset, length))
        return self.operations == self.cut_at

    def _stop_if_cut(self) -> None:
        if self.cut_at and self.operations >= self.cut_at:
            raise PowerCut()


class Slab:
    """One open file, as agent/port/contract.py Slab, plus `flush_now` for callers without a loop."""

    def __init__(self, flash: Flash, path: str, file: "_File") -> None:
        self._flash = flash
        self._path = path
        self._file = file
        self._generation = flash._generation

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes, including what was written and not flushed."""
        self._check(offset, length)
        return self._file.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """In place; never grows the file."""
        self._check(offset, len(data))
        self._flash._is_cut("write", self._path, offset, len(data))
        self._file.write(offset, bytes(data))
        self._flash._stop_if_cut()

    def flush_now(self) -> None:
        """All earlier writes to this file are durable; one operation."""
        self._check(0, 0)
        if self._flash._is_cut("flush", self._path, 0, 0):
            self._file.settle(self._flash._random, self._flash.fate())
        else:
            self._file.flush()
        self._flash._stop_if_cut()

    async def flush(self) -> None:
        self.flush_now()

    def close(self) -> None:
        """Flushes nothing."""

    def _check(self, offset: int, length: int) -> None:
        assert self._generation == self._flash._generation, "a slab that was opened before the power cycle"
        assert 0 <= offset <= self._file.length - length, "outside the file"


class _File:
    """`durable`: sector number -> bytes. `unflushed`: list of (sector number, whole new content)."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.durable: dict = {}
        self.current: dict = {}
        self.unflushed: list = []

    def read(self, offset: int, length: int) -> bytes:
        made = bytearray()
        while len(made) < length:
            number, start = divmod(offset + len(made), SECTOR_BYTES)
            piece = self._sector(number)[start : start + length - len(made)]
            made.extend(piece)
        return bytes(made)

    def write(self, offset: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            number, start = divmod(offset + done, SECTOR_BYTES)
            piece = data[done : done + SECTOR_BYTES - start]
            old = self._sector(number)
            new = old[:start] + piece + old[start + len(piece) :]
            self.current[number] = new
            self.unflushed.append((number, start, piece))
            done += len(piece)

    def flush(self) -> None:
        for number, content in self.current.items():
            self.durable[number] = content
        self._forget()

    def settle(self, random: "Xorshift32", fate: "tuple[int, int]") -> None:
        """Keep each unflushed sector write, or not: `Flash.fate`."""
        mood, torn = fate
        for number, start, piece in self.unflushed:
            if mood == 1 or (mood > 1 and random.chance(500)):
                old = self.durable.get(number, _ZEROS)
                if torn and random.chance(torn):
                    kept = random.below(len(piece))
                    old = old[: start + kept] + random.bytes(len(piece) - kept) + old[start + len(piece) :]
                    self.durable[number] = old[:start] + piece[:kept] + old[start + kept :]
                else:
                    self.durable[number] = old[:start] + piece + old[start + len(piece) :]
        self._forget()

    def _sector(self, number: int) -> bytes:
        content: bytes = self.current.get(number) or self.durable.get(number, _ZEROS)
        return content

    def _forget(self) -> None:
        self.current = {}
        self.unflushed = []
