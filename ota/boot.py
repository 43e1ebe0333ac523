"""Stage-0: which code runs next. A short process of its own before each start, outside of the slots:

    python -m ota.boot STATE [--package N]      prints "WHAT OFFSET STATE WHY SEQUENCE DIGEST": what ota.mount is to run
    python -m ota.boot STATE --refund           the release on trial ended in order: its try is given back
    python -m ota.boot STATE --unconfirmed      status 0 while a release is on trial

WHAT is a or b, `package` (the code that came with the image or package: it runs where no confirmed slot has a higher
sequence number than its own, N), or `none`: status 1. A try is charged before anything of the target is read, so that
whatever goes wrong with it, also here, ends. Nothing runs whose whole image was not hashed just now.
"""

import sys
from collections import namedtuple

from ota import content, port, slots
from ota.content import PACK_OFFSET
from ota.disk import Disk
from ota.errors import CoreletError, UsageError
from ota.slots import IDLE, NO_DIGEST, NONE, SLOTS, STATES, TRIAL, Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ota.manifest import Manifest
    from ota.slots import Steps

PACKAGE, NOTHING = "package", "none"
USAGE = "usage: python -m ota.boot STATE [--package N | --refund | --unconfirmed]"

# `what`: "a", "b", PACKAGE or NOTHING. `why`: a stable word.
Choice = namedtuple("Choice", ("what", "why", "sequence"))


class Boot:
    """`package`: its sequence number, None = there is no such code. `prove(envelope)`: the manifest and digest of an
    envelope by its signatures, or None; asked only when both files of the journal are lost."""

    def __init__(self, journal: Journal, copy: Journal, package: "int | None", prove: "Any") -> None:
        self.journal, self.copy = journal, copy
        self._package, self._prove = package, prove
        self._why = "confirmed"

    def choose(self) -> "Steps":
        """The Choice."""
        journal = self.journal
        if not (yield from slots.load(journal, self.copy)):
            self._why = "journal_lost"
            yield from journal.save()
        if journal.generation == 0:
            yield from self._recover()
        if journal.state == TRIAL:
            trial = yield from self._try()
            if trial:
                return trial
        yield from slots.keep(journal, self.copy)
        found = yield from self._whole(journal.active)
        if found is None:
            found = yield from self._other()
        sequence = -1 if found is None else found.sequence
        if self._package is not None and self._package >= sequence:
            return Choice(PACKAGE, self._why, self._package)
        if found is None:
            return Choice(NOTHING, "no_slot", 0)
        return Choice(SLOTS[journal.active], self._why, sequence)

    def _try(self) -> "Steps":
        """The release on trial, or None once it is given up."""
        journal = self.journal
        if journal.tries == 0:
            self._why = "trial_failed"
            yield from journal.give_up(True)
            return None
        yield from journal.charge()
        found = yield from self._whole(journal.target)
        if found is not None:
            return Choice(SLOTS[journal.target], "trial", found.sequence)
        self._why = "trial_damaged"
        yield from journal.give_up(False)
        return None

    def _whole(self, slot: int) -> "Steps":
        """The manifest of what is in a slot, if it may run: as it was proven, not below the floor, every byte right."""
        if slot == NONE:
            return None
        found: Manifest | None = yield from content.read(SLOTS[slot], self.journal.digests[slot])
        if found is None or found.sequence < self.journal.floor:
            return None
        is_right = yield from content.is_image(SLOTS[slot], content.parameters(found))
        return found if is_right else None

    def _other(self) -> "Steps":
        """The active slot is damaged: the other one runs, if it is whole. From now on it is the one never written."""
        journal = self.journal
        found = None if journal.active == NONE else (yield from self._whole(journal.target))
        if found is not None:
            self._why = "slot_damaged"
            journal.active, journal.state = journal.target, IDLE
            yield from journal.save()
            yield from slots.keep(journal, self.copy)
        return found

    def _recover(self) -> "Steps":
        """Neither file says anything: a new device, or both are lost. Then signatures decide, and the newest wins."""
        journal, best = self.journal, -1
        for slot in range(2):
            data = yield from content.read_raw(SLOTS[slot])
            digest, manifest = self._prove(data) if data else (NO_DIGEST, None)
            if manifest is None or not (yield from content.is_image(SLOTS[slot], content.parameters(manifest))):
                continue
            journal.digests[slot] = digest
            journal.floor = max(journal.floor, manifest.security_floor)
            if manifest.sequence > best:
                journal.active, best = slot, manifest.sequence
        if best >= 0:
            self._why = "journal_lost"
            yield from journal.save()


def prover(files: "Any") -> "Any":
    """`prove` of Boot, by the root in the state folder."""

    def prove(data: bytes) -> "tuple[bytes, Manifest | None]":
        from ota import trust, verify  # here, because it is for the day when all is lost

        try:
            threshold, publics = trust.held_root(files.small("root", trust.DOCUMENT_BYTES_MAX)).roles[trust.RELEASE]
            release = verify.read_release(data, threshold, publics)
        except CoreletError:
            return NO_DIGEST, None
        return release.digest, release.manifest

    return prove


def boot(files: "Any", package: "int | None") -> "tuple[Choice, Journal]":
    journal = Journal("journal")
    machine = Boot(journal, Journal("floor"), package, prover(files))
    choice: Choice = Disk(files).run(machine.choose())
    return choice, journal


def _line(files: "Any", package: "int | None") -> int:
    choice, journal = boot(files, package)
    digest = journal.digests[SLOTS.index(choice.what)].hex() if choice.what in SLOTS else ""
    print(choice.what, PACK_OFFSET, STATES[journal.state], choice.why, choice.sequence, digest)
    return 1 if choice.what == NOTHING else 0


def main() -> int:
    port.begin()
    words = sys.argv[1:]
    try:
        files = port.Folder(words[0] if words else "")
        if len(words) == 3 and words[1] == "--package" and words[2].isdigit():
            return _line(files, int(words[2]))
        if len(words) == 1:
            return _line(files, None)
        journal, copy = Journal("journal"), Journal("floor")
        disk = Disk(files)
        disk.run(slots.load(journal, copy))
        if words[1:] == ["--refund"]:
            disk.run(journal.refund())
            return 0
        if words[1:] == ["--unconfirmed"]:
            return 0 if journal.state == TRIAL else 1
        raise UsageError("usage", USAGE)
    except CoreletError as error:
        print("none", error.code, error.text)
        return 2


if __name__ == "__main__":
    sys.exit(main())
