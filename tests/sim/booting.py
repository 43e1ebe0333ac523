"""A board with slots for whole images and a boot side of each kind (ota/backends), while its power goes: the machines
and the driver of ota over a simulated flash, the operator who wants one release after the other, and the judge of
every start. What a boot side writes is written by `charge`; that initramfs.sh, GRUB and U-Boot's own tools write the
same bytes is for tests/e2e/test_backends.py.

Judged at each start: the slot that runs is whole; it is the confirmed one or the one on trial; what was confirmed is
never left without a newer trial; a trial starts at most TRIES times; the confirmed slot is never written. In the end
every release is confirmed, or if it crashes marked as bad.
"""

from ota import slots
from ota.backends import follow, grub, initramfs, tryboot, uboot
from ota.disk import Disk
from ota.slots import IDLE, NONE, STAGE, TRIES, Journal
from tests.sim.flash import Flash, PowerCut
from tests.sim.updating import SimFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tests.sim.chance import Xorshift32

KINDS = {"initramfs": initramfs, "grub": grub, "uboot": uboot, "tryboot": tryboot}
ENVIRONMENT_BYTES = 1024
LIVES_MAX = 60


def places(kind: str) -> "list[Any]":
    if kind == "uboot":
        return uboot.read_config(f"env 0 {ENVIRONMENT_BYTES}\nenv 0x2000 {ENVIRONMENT_BYTES}\n")
    if kind == "grub":
        return grub.places("boot")
    found: list[Any] = initramfs.places("line")
    return found + [("autoboot", 2, 3)] if kind == "tryboot" else found


class Release:
    """`is_bad`: it crashes."""

    def __init__(self, number: int, is_bad: bool = False) -> None:
        self.number, self.is_bad = number, is_bad
        self.digest = bytes([number]) * 32


class Board:
    """`images`: per slot the release that is whole there, or None. `goals`: what the operator wants."""

    def __init__(self, kind: str, random: "Xorshift32", cuts: "list[int]") -> None:
        self.kind, self.random, self.cuts = kind, random, cuts
        self.flash = Flash(random)
        for name in ("journal", "floor", "line", "env", "boot/corelet1.env", "boot/corelet2.env", "autoboot", "a", "b"):
            self.flash.create(name, 16384)
        self.disk = Disk(SimFolder(self.flash))
        first = Release(1)
        self.images: list[Any] = [first, None]
        self.goals = [Release(2), Release(3, True), Release(4), Release(5)]
        self.allowed: list[Any] = [first]  # what may run without a trial
        self.trial: Any = None  # what may run on trial
        self.starts = self.trial_starts = self.bad_starts = self.cut_count = self.rotted = 0
        self.rot = 0  # permille of the starts between trials before which one bit turns
        self.reboot = ""
        backend = self.backend()
        backend.generation = 250  # the flag of U-Boot begins anew at 256
        self.disk.run(backend.format(0))
        journal = Journal("journal", self.loaded())
        journal.active, journal.digests[0] = 0, first.digest
        self.disk.run(journal.save())
        self.flash.operations, self.flash.tears = 0, True
        self._set_cut()

    def backend(self) -> "Any":
        return KINDS[self.kind].Backend(places(self.kind))

    def loaded(self) -> "Any":
        backend = self.backend()
        self.disk.run(backend.load())
        return backend

    def live(self) -> None:
        while self.goals:
            self.starts += 1
            assert self.starts < LIVES_MAX, "it does not come to an end"
            try:
                self._one_life()
            except PowerCut:
                self.cut_count += 1
                self.reboot = ""
                self.flash.power_cycle()
                self._set_cut()
            else:
                self._may_rot()

    def _set_cut(self) -> None:
        self.flash.cut_at = self.flash.operations + self.cuts.pop(0) if self.cuts else 0

    def _may_rot(self) -> None:
        """Of one copy between trials, when both are to say the same."""
        backend = self.loaded()
        if not self.rotted and backend.trial == NONE and self.random.chance(self.rot):
            self.rotted += 1
            file, offset, _ = backend.places[self.random.below(2)]
            self.flash.flip_bit(file, offset + self.random.below(60), self.random.below(8))

    def _boot_side(self) -> int:
        if self.kind != "tryboot":
            slot: int = self.disk.run(self.loaded().charge())
            return slot
        flag, self.reboot = self.reboot, ""
        text = self.flash.open("autoboot").read(0, tryboot.FILE_BYTES)
        for good in range(2):
            if text == tryboot.make_autoboot(2 + good, 3 - good):
                return 1 - good if flag else good
        assert self.images[0] is not None, "the first partition is not whole"
        return 0  # the first that can be started

    def _one_life(self) -> None:
        running = self._boot_side()
        release = self.images[running]
        assert release is not None, "a slot runs that is not whole"
        assert release in self.allowed or release is self.trial, "neither confirmed nor on trial"
        if release not in self.allowed:
            self.trial_starts += 1
            assert self.trial_starts <= TRIES, "too many tries"
            if release.is_bad:
                self.bad_starts += 1
                # Only a block that GRUB itself damaged makes a trial be forgotten, so that it may begin anew.
                assert self.bad_starts <= TRIES * (1 + self.cut_count * (self.kind == "grub")), "too many tries of one"
                return
        backend = self.backend()
        journal, copy = Journal("journal", backend), Journal("floor")
        self.disk.run(slots.load(journal, copy))
        is_on_trial = self.disk.run(follow(journal, running))
        self.disk.run(slots.keep(journal, copy))
        if not is_on_trial:
            self._after_trial(journal, backend, running)
        elif running == journal.target:
            self.allowed = [release, self.images[1 - running]]
            journal.tries = 0
            self.disk.run(journal.confirm(0))
            self.allowed, self.trial = [release], None
        elif backend.REBOOT and backend.tries:
            self.disk.run(backend.charge())
            self.reboot = backend.REBOOT

    def _after_trial(self, journal: Journal, backend: "Any", running: int) -> None:
        good = self.images[backend.good]
        assert good in self.allowed, "not what was confirmed"
        self.allowed, self.trial = [good], None
        assert journal.state in (IDLE, STAGE) and journal.active == backend.good
        wanted = self.goals[0]
        if good is wanted or journal.bad >= wanted.number:
            assert wanted.is_bad == (good is not wanted) or self.cut_count >= TRIES, "a good one is lost"
            self.goals.pop(0)
        elif running == backend.good:
            self._stage(journal, wanted)

    def _stage(self, journal: Journal, wanted: Release) -> None:
        slot = journal.target
        assert self.images[slot] not in self.allowed, "the confirmed slot is written"
        self.disk.run(journal.stage(wanted.digest, wanted.number))
        if self.images[slot] is not wanted:
            self.images[slot] = None
            file = self.flash.open("ab"[slot])
            file.write(0, b"image")  # where the power may go, as in a download
            file.flush_now()
            self.images[slot] = wanted
        self.trial, self.trial_starts = wanted, 0
        self.disk.run(journal.begin_trial())
