"""The port's Files over a simulated flash, and the trace of what was done to it.

    flash = Flash(random); trace = []
    files = FlashFiles(flash, trace)            # for Slabs (agent/service/slabs.py) or a scenario
    replay(trace, upto, flash)                  # the same flash again, as far as the trace's first `upto` entries

Trace entries: ("create", path, length), ("write", path, offset, data), ("remove", path), ("rename", old, new) and
("flush", path, began): a flush appends one entry when it has ended; `began` is the number of entries there were when
it began, and only writes before that are durable by it. Others ("ack", ...) are the scenario's. `failing`: operation ->
PortError code.
"""

from agent.errors import PortError
from agent.service.hashing import exactly
from tests.sim.flash import Flash

FOLDER = "shards"


class FlashFiles:
    """`flush_turns`: how many turns of the loop a flush takes (other tasks run meanwhile)."""

    def __init__(self, flash: Flash, trace: "list[tuple] | None" = None, flush_turns: int = 0) -> None:
        self.flash = flash
        self.trace = [] if trace is None else trace
        self.flush_turns = flush_turns
        self.failing: dict = {}
        self.keeps_bodies = True  # in the trace; a test that replays nothing spares the memory
        self.free = 1 << 40

    def make_folder(self, path: str) -> None:
        assert path == FOLDER

    def list(self, path: str) -> list:
        return [name[len(path) + 1 :] for name in self.flash.list()]

    def size(self, path: str) -> int:
        return self.flash.size(path)

    def free_bytes(self, path: str) -> int:
        return self.free

    def remove(self, path: str) -> None:
        self.may_fail("remove")
        self.trace.append(("remove", path))
        self.flash.remove(path)

    def exists(self, path: str) -> bool:
        return self.flash.exists(path)

    def write_pieces(self, path: str, pieces: object) -> None:
        """Each step of it is a place for a power cut."""
        self.may_fail("pieces")
        data = b"".join([bytes(piece) for piece in pieces])
        aside = path + ".new"
        self.trace.append(("create", aside, len(data)))
        self.flash.create(aside, len(data))
        file = TracedSlab(self, aside)
        file.write(0, data)
        file.end_flush(file.begin_flush())
        self.trace.append(("rename", aside, path))
        self.flash.rename(aside, path)

    def create_slab(self, path: str, length: int, is_sparse: bool = False) -> "TracedSlab":
        self.may_fail("create")
        assert not self.flash.exists(path)
        self.trace.append(("create", path, length))
        self.flash.create(path, length)
        return self.open_slab(path)

    def open_slab(self, path: str) -> "TracedSlab":
        if not self.flash.exists(path):
            raise PortError("not_found", path)
        return TracedSlab(self, path)

    def may_fail(self, operation: str) -> None:
        if operation in self.failing:
            raise PortError(self.failing[operation], "the test said so")


class TracedSlab:
    """contract.Slab."""

    def __init__(self, files: FlashFiles, path: str) -> None:
        self._files = files
        self._path = path
        self._slab = files.flash.open(path)
        self.is_open = True

    def read(self, offset: int, length: int) -> bytes:
        assert self.is_open
        self._files.may_fail("read")
        left = self._files.flash.size(self._path) - offset
        return self._slab.read(offset, min(length, left)) if left > 0 else b""

    def readinto(self, offset: int, view: memoryview) -> None:
        view[:] = exactly(self, offset, len(view))

    def write(self, offset: int, data: bytes) -> None:
        assert self.is_open
        self._files.may_fail("write")
        kept = bytes(data) if self._files.keeps_bodies or len(data) <= 128 else b""
        self._files.trace.append(("write", self._path, offset, kept))
        self._slab.write(offset, data)

    def begin_flush(self) -> int:
        """For callers without a loop: then wait, then `end_flush` with what this returned."""
        return len(self._files.trace)

    def end_flush(self, began: int) -> None:
        self._files.may_fail("flush")
        self._files.trace.append(("flush", self._path, began))
        self._slab.flush_now()

    async def flush(self) -> None:
        import asyncio

        assert self.is_open
        began = self.begin_flush()
        for _ in range(self._files.flush_turns):
            await asyncio.sleep(0)
        self.end_flush(began)

    def close(self) -> None:
        self.is_open = False


def replay(trace: "list[tuple]", upto: int, flash: Flash) -> "list[bytes]":
    """Do to `flash` what the first `upto` entries did. A flush counts from where it began, if it ended in time. What
    was in files that others replaced."""
    replaced: list = []
    flushes: dict = {}
    for entry in trace[:upto]:
        if entry[0] == "flush":
            flushes.setdefault(entry[2], []).append(entry[1])
    for number in range(upto + 1):
        for path in flushes.get(number, []):
            if flash.exists(path):
                flash.open(path).flush_now()
        if number == upto:
            break
        entry = trace[number]
        if entry[0] == "create":
            flash.create(entry[1], entry[2])
        elif entry[0] == "remove":
            flash.remove(entry[1])
        elif entry[0] == "rename":
            if flash.exists(entry[2]):
                replaced.append(flash.open(entry[2]).read(0, flash.size(entry[2])))
            flash.rename(entry[1], entry[2])
        elif entry[0] == "write":
            flash.open(entry[1]).write(entry[2], entry[3])
    return replaced
