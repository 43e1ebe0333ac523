"""Slots for whole images, where the board's own boot side chooses between them and counts the tries. Without I/O.

One interface, the words of `Slots`, and a form of what is kept for each kind of boot side:

    initramfs   a line of text, read and charged by initramfs.sh before it mounts the root
    grub        an environment block, read and charged by grub.cfg
    uboot       U-Boot's redundant environment, charged by U-Boot itself (`bootcount`)
    tryboot     Raspberry Pi: autoboot.txt chooses, a line of text counts

Each keeps two copies, and what changes is written over the older one, then flushed: the newest valid copy counts. What
ends a trial is written twice, so that between trials both copies say the same and one that rots costs nothing.

The journal (ota/slots.py) says which release that is. It has its back end as `Journal.backend`: what begins or ends a
trial is written there first, except a failure that has to be remembered, and `follow` brings the journal to what the
boot side did since. Only what a board's settings name is loaded. UsageError("state"): not from this state.
"""

from ota import content
from ota.errors import UsageError
from ota.slots import IDLE, NONE, SLOTS, STAGE, TRIAL, TRIES, Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ota.slots import Journal, Steps

    Place = tuple[str, int, int]  # file, offset, bytes

NAMES = ("initramfs", "grub", "uboot", "tryboot")
TRIES_MAX = 9  # one digit


class Slots:
    """`good` runs where nothing is on trial; `trial` (or NONE) runs while `tries` are left. Where no copy is valid slot
    a is the one that runs. `places`: of both copies."""

    NAME = ""
    REBOOT = ""  # what to restart with so that the slot on trial runs; empty: the boot side starts it anyway

    GENERATION_MAX = 999_999_999

    def __init__(self, places: "list[Place]") -> None:
        self.places = places
        self.good, self.trial, self.tries = 0, NONE, 0
        self.generation, self._newest = 0, 1
        self._copies: list[Any] = [None, None]
        self.reboot = ""

    @property
    def is_formatted(self) -> bool:
        """Whether there is anything of ours that is whole."""
        return self._copies != [None, None]

    def encode(self) -> bytes:
        """One copy of what is kept, of the length of its place."""
        raise NotImplementedError

    def decode(self, data: bytes) -> "tuple[int, int, int, int] | None":
        """(generation, good, trial, tries), or None where it is not whole."""
        raise NotImplementedError

    def said(self) -> "Any":
        """What both copies say between trials, without their generation."""
        return self.good, self.trial, self.tries

    def load(self) -> "Steps":
        for number in range(2):
            file, offset, length = self.places[number]
            found = self.decode((yield Effect("read", file, offset, length)))
            self._copies[number] = None if found is None else found[1:]
            if found is not None and self.is_newer(found[0]):
                self.generation, self.good, self.trial, self.tries = found
                self._newest = number

    def is_newer(self, generation: int) -> bool:
        return generation > self.generation

    def begin(self, slot: int, tries: int = TRIES) -> "Steps":
        """`slot` is whole, proven and flushed. Nothing to do where it is on trial already: its tries are counted."""
        if slot == self.good or not 0 < tries <= TRIES_MAX:
            raise _wrong("the slot that is not confirmed, and a try", self)
        if self.trial != slot:
            yield from self._save(self.good, slot, tries)

    def charge(self) -> "Steps":
        """What the boot side does first, and which slot it then runs."""
        if self.tries:
            yield from self._save(self.good, self.trial, self.tries - 1)
            return self.trial
        return self.good

    def confirm(self) -> "Steps":
        if self.trial == NONE:
            raise _wrong("a slot on trial", self)
        yield from self._settle(self.trial)

    def give_up(self) -> "Steps":
        """The good slot it is; nothing to do where it is already."""
        if self.trial != NONE:
            yield from self._settle(self.good)

    def format(self, good: int) -> "Steps":
        """The first copies, or after both were lost."""
        yield from self._settle(good)

    def mend(self) -> "Steps":
        """The other copy, where it is damaged or was not reached when a trial ended."""
        for _ in range(2):
            if self.is_formatted and self.trial == NONE and self._copies[0] != self._copies[1]:
                yield from self._save(self.good, NONE, 0)

    def shown(self) -> "dict[str, Any]":
        """For `status`. `reboot`: what to restart with now, or nothing."""
        trial = None if self.trial == NONE else SLOTS[self.trial]
        good = SLOTS[self.good]
        return {"name": self.NAME, "good": good, "trial": trial, "tries": self.tries, "reboot": self.reboot}

    def _settle(self, good: int) -> "Steps":
        yield from self._save(good, NONE, 0)
        yield from self._save(good, NONE, 0)

    def _save(self, good: int, trial: int, tries: int) -> "Steps":
        self.good, self.trial, self.tries = good, trial, tries
        self.generation = self.following()
        self._newest = 1 - self._newest
        yield from self._write()

    def following(self) -> int:
        if self.generation >= self.GENERATION_MAX:
            raise UsageError("state", f"expected at most {self.GENERATION_MAX} changes, got one more; init anew")
        return self.generation + 1

    def _write(self) -> "Steps":
        """Over the copy `_newest`."""
        file, offset, _ = self.places[self._newest]
        data = self.encode()
        self._copies[self._newest] = self.said()
        yield Effect("write", file, offset, data)
        yield Effect("flush", file, 0, None)


def follow(journal: "Journal", running: int) -> "Steps":
    """After both are loaded, at a start: the journal learns what the boot side did. `running`: the slot of this image.
    True while a release is on trial, with the slot that runs or with a try left."""
    backend: Slots = journal.backend
    target = journal.target
    yield from backend.mend()
    is_on_trial = backend.trial == target != backend.good
    if journal.state == STAGE and is_on_trial:  # power went between the two
        yield from journal.begin_trial()
    if journal.state == TRIAL and is_on_trial:
        journal.tries = backend.tries
        if running == target or backend.tries:
            return True
        yield from journal.give_up(True)
    elif journal.state == TRIAL and backend.good == target:
        manifest = yield from content.read(SLOTS[target], journal.digests[target])
        journal.tries = 0
        yield from journal.confirm(journal.floor if manifest is None else manifest.security_floor)
    elif journal.state == TRIAL:  # it did not fail: it was called off, or the copy that began it was lost
        yield from journal.give_up(False)
    yield from backend.give_up()
    if journal.active != backend.good:
        journal.active, journal.state = backend.good, IDLE
        yield from journal.save()
    return False


def letter(slot: int) -> str:
    return "-" if slot == NONE else SLOTS[slot]


def slot_of(text: str) -> int:
    """-1: no such slot."""
    return NONE if text == "-" else SLOTS.index(text) if text in SLOTS else -1


def is_state(good: int, trial: int, tries: int) -> bool:
    """Whether it can be: a trial is of the other slot."""
    return good in (0, 1) and trial in (1 - good, NONE) and 0 <= tries <= TRIES_MAX and (trial != NONE or tries == 0)


def _wrong(expected: str, backend: Slots) -> UsageError:
    found = f"good {letter(backend.good)}, trial {letter(backend.trial)}, tries {backend.tries}"
    return UsageError("state", f"expected {expected}, got {found}")
