"""Which slot runs: the journal of two alternating records, and the states of an update. Without I/O.

A journal is one preallocated file with a record at 0 and another at SECTOR_BYTES. Each change makes one record, one
generation up, over the older of the two, and flushes it: the highest valid generation wins, so that a torn write is as
if it had not been. No rename, no folder.

    IDLE   `active` runs; -> STAGE once all checks passed
    STAGE  `active` runs; `target` is being written, segment by segment; -> TRIAL once all of it is proven
    TRIAL  `tries` are left; a boot takes one away first, then runs `target`; -> IDLE by `confirm` (one record: target
           becomes active, the floor rises) or, with no try left or a damaged copy, by `give_up`

`floor`: nothing of a lower sequence number runs. `bad`: the highest sequence number that failed a trial; nothing up to
it is installed again. `sequence`: of what was staged last. `digests`: of the releases in both slots as they were
proven, zeros = none. A second file of the same form, "floor", gets a copy of each confirmed state under the generation
that the journal has then: where it is ahead, the journal has lost something.

Everything that changes is a generator of Effect; who drives it sends the result of each into it (ota/disk.py; in tests
a simulated flash). UsageError("state"): not from this state. On a board whose boot side chooses and counts, that is
`backend` (ota/backends): it is written first, and the journal follows.
"""

import struct
from binascii import crc32
from collections import namedtuple

from ota.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    Steps = Generator["Effect", Any, Any]

# `kind` and what is sent back: "read" (value: length; sent: bytes), "write" (bytes), "flush", "hash" (length; SHA-256),
# "replace" (bytes: all of a small file), and from sources, where an error is sent back instead of raised: "fetch"
# (which source, uri, start, length: that range of it is written at `offset`), "delta" (which source, uri; `offset`:
# length of the base in `file`; sent: its Delta, ota/delta.py), "patch" (number of a record of that delta, segment, most
# bytes: what it makes is written at `offset`).
Effect = namedtuple("Effect", ("kind", "file", "offset", "value"))

IDLE, STAGE, TRIAL = 0, 1, 2
STATES = ("idle", "stage", "trial")
NONE = 255  # no slot was ever confirmed: what came with the image or the package runs
SLOTS = ("a", "b")
TRIES, REFUNDS_MAX = 3, 5

SECTOR_BYTES = 4096
JOURNAL_BYTES = 2 * SECTOR_BYTES
MAGIC = b"CLJ1"
RECORD = ">4sIBBBBQQQ32s32s"  # magic, generation, state, active, tries, refunds, floor, bad, sequence, digests
RECORD_BYTES = struct.calcsize(RECORD) + 4  # and CRC-32
NO_DIGEST = bytes(32)


class Journal:
    def __init__(self, file: str, backend: "Any" = None) -> None:
        self.file, self.backend = file, backend
        self.generation, self._sector = 0, 0  # 0: nothing valid was found
        self.state, self.active, self.tries, self.refunds = IDLE, NONE, 0, 0
        self.floor, self.bad, self.sequence = 0, 0, 0
        self.digests = [NO_DIGEST, NO_DIGEST]

    @property
    def target(self) -> int:
        """The slot that may be written: never the active one."""
        return 1 if self.active == 0 else 0

    def load(self) -> "Steps":
        for sector in range(2):
            data = yield Effect("read", self.file, sector * SECTOR_BYTES, RECORD_BYTES)
            if self.read(data):
                self._sector = sector

    def read(self, data: bytes) -> bool:
        """Takes a record over if it is valid and newer."""
        if len(data) != RECORD_BYTES or crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
            return False
        magic, generation, state, active, tries, refunds, floor, bad, sequence, a, b = struct.unpack(RECORD, data[:-4])
        if magic != MAGIC or generation <= self.generation or state > TRIAL or active not in (0, 1, NONE):
            return False
        if tries > TRIES or refunds > REFUNDS_MAX:
            return False
        self.generation, self.state, self.active, self.tries, self.refunds = generation, state, active, tries, refunds
        self.floor, self.bad, self.sequence, self.digests = floor, bad, sequence, [a, b]
        return True

    def save(self) -> "Steps":
        self.generation += 1
        yield from self.write()

    def write(self) -> "Steps":
        """One record. When power goes, it is there or the one before is."""
        self._sector = 1 - self._sector
        data = struct.pack(
            RECORD, MAGIC, self.generation, self.state, self.active, self.tries, self.refunds,
            self.floor, self.bad, self.sequence, self.digests[0], self.digests[1],
        )  # fmt: skip
        data += crc32(data).to_bytes(4, "big")
        yield Effect("write", self.file, self._sector * SECTOR_BYTES, data)
        yield Effect("flush", self.file, 0, None)

    def stage(self, digest: bytes, sequence: int) -> "Steps":
        """From here on the target may be written. Nothing to save where the same release is staged on."""
        if self.state == TRIAL:
            raise _wrong("a release to stage", self)
        if (self.state, self.sequence, self.digests[self.target]) != (STAGE, sequence, digest):
            self.state, self.sequence, self.digests[self.target] = STAGE, sequence, digest
            yield from self.save()

    def begin_trial(self) -> "Steps":
        """The target is whole, proven and flushed."""
        if self.state != STAGE:
            raise _wrong("a staged release", self)
        if self.backend:
            yield from self.backend.begin(self.target, TRIES)
        self.state, self.tries, self.refunds = TRIAL, TRIES, 0
        yield from self.save()

    def charge(self) -> "Steps":
        """Before the target runs."""
        if self.state != TRIAL or self.tries == 0:
            raise _wrong("a release on trial with a try left", self)
        self.tries -= 1
        yield from self.save()

    def refund(self) -> "Steps":
        """After an orderly end; False if there was nothing to give back."""
        if self.state != TRIAL or self.tries == TRIES or self.refunds == REFUNDS_MAX or self.backend:
            return False
        self.tries += 1
        self.refunds += 1
        yield from self.save()
        return True

    def confirm(self, floor: int) -> "Steps":
        """`floor`: the security floor of the target's manifest."""
        if self.state != TRIAL or self.tries == TRIES:
            raise _wrong("a release on trial that was started", self)
        if self.backend and self.backend.trial != NONE:
            yield from self.backend.confirm()
        self.state, self.active, self.tries, self.floor = IDLE, self.target, 0, max(self.floor, floor)
        yield from self.save()

    def give_up(self, is_bad: bool) -> "Steps":
        """The active slot it is. `is_bad`: the release failed, it is not a damaged copy nor called off."""
        if self.state == IDLE:
            raise _wrong("a release that is staged or on trial", self)
        if self.backend and not is_bad:
            yield from self.backend.give_up()
        self.state, self.tries = IDLE, 0
        if is_bad:
            self.bad = max(self.bad, self.sequence)
            self.digests[self.target] = NO_DIGEST
        yield from self.save()
        if self.backend:  # a failure is remembered here before it is forgotten there
            yield from self.backend.give_up()

    def take(self, other: "Journal") -> None:
        """What is confirmed, as another file has it."""
        self.generation, self.state, self.tries = other.generation, IDLE, 0
        self.active, self.digests, self.sequence = other.active, list(other.digests), other.sequence
        self.floor, self.bad = max(self.floor, other.floor), max(self.bad, other.bad)


def load(journal: Journal, copy: Journal) -> "Steps":
    """Both files. False: the journal had lost something, and `journal` is now what the copy had."""
    yield from journal.load()
    yield from copy.load()
    if journal.backend:
        yield from journal.backend.load()
    is_whole = copy.generation <= journal.generation
    if not is_whole:
        journal.take(copy)
    if journal.backend and journal.state == TRIAL:
        journal.tries = min(journal.backend.tries, TRIES)
    return is_whole


def keep(journal: Journal, copy: Journal) -> "Steps":
    """The copy of what is confirmed, where it changed; never before the journal has it."""
    if journal.state == IDLE and (copy.active, copy.floor, copy.bad, copy.digests) != (
        journal.active, journal.floor, journal.bad, journal.digests,
    ):  # fmt: skip
        copy.take(journal)
        yield from copy.write()


def _wrong(expected: str, journal: Journal) -> UsageError:
    return UsageError("state", f"expected {expected}, got a device in state {STATES[journal.state]}")
