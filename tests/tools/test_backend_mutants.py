"""The judge of tests/sim/booting.py must see what is wrong: each mutant of the slot back ends below makes a board fail
to do what it should. (Those of the journal are in test_update_mutants.py.)"""

from typing import Any

import pytest

from ota.backends import Slots, grub, tryboot, uboot
from ota.errors import CoreletError
from ota.slots import NONE, TRIAL, Effect, Journal
from tests.sim import booting
from tests.sim.booting import KINDS, Board
from tests.sim.chance import Xorshift32
from tests.tools.test_update_mutants import changed, without

STORIES = 300

REAL_WRITE, REAL_BEGIN, REAL_GIVE_UP = Slots._write, Slots.begin, Journal.give_up


def is_flush(effect: Effect) -> bool:
    return effect.kind == "flush"


def in_place(self: Slots) -> Any:
    """Over the copy that counts."""
    self._newest = 1 - self._newest
    yield from REAL_WRITE(self)


def free_try(self: Slots) -> Any:
    """Never charged."""
    yield from ()
    return self.trial if self.tries else self.good


def no_check(self: grub.Backend, data: bytes) -> Any:
    """What GRUB itself takes for a block: good is whatever can be read."""
    found = dict([line.split(b"=", 1) for line in data.split(b"\n") if b"=" in line])
    values = [found.get(b"corelet_" + name.encode(), b"") for name in grub.FIELDS]
    tries = int(values[3]) if values[3].isdigit() else 0
    slots = [value in (b"a", b"b") and "ab".index(value.decode()) for value in values[1:3]]
    trial = int(slots[1]) if values[2] in (b"a", b"b") else NONE
    return int(values[0]) if values[0].isdigit() else 0, int(slots[0]), trial, tries


def once(self: Slots, good: int) -> Any:
    """The older copy still says what was before."""
    yield from self._save(good, NONE, 0)


def anew(self: Slots, slot: int, tries: int = 3) -> Any:
    """Its tries are counted from the beginning."""
    self.trial = NONE
    yield from REAL_BEGIN(self, slot, tries)


def forgotten_first(self: Journal, is_bad: bool) -> Any:
    yield from self.backend.give_up()
    yield from REAL_GIVE_UP(self, is_bad)


def unmoved(journal: Journal, running: int) -> Any:
    yield from ()
    return journal.state == TRIAL


# Name: (kinds, places). A back end that inherits a word is not named twice.
ALL = tuple(sorted(KINDS))
MUTANTS: "dict[str, tuple[tuple[str, ...], tuple[tuple[Any, str, Any], ...]]]" = {
    "the copy that counts is overwritten": (
        ("initramfs", "grub", "uboot"),
        ((Slots, "_write", in_place),),
    ),
    "nothing is flushed": (ALL, ((Slots, "_write", without(REAL_WRITE, is_flush)),)),
    "a try is never charged": (
        ALL,
        ((Slots, "charge", free_try), (grub.Backend, "charge", free_try), (uboot.Backend, "charge", free_try)),
    ),
    "a block of GRUB is believed": (("grub",), ((grub.Backend, "decode", no_check),)),
    "the second copy is left as it was": (("initramfs", "grub", "uboot"), ((Slots, "_settle", once),)),
    "a trial that is begun again gets new tries": (("initramfs", "grub"), ((Slots, "begin", anew),)),
    "a failure is forgotten before it is remembered": (
        ("initramfs", "uboot", "tryboot"),
        ((Journal, "give_up", forgotten_first),),
    ),
    "a damaged autoboot.txt stays": (("tryboot",), ((tryboot.Backend, "mend", Slots.mend),)),
    "the journal does not follow": (ALL, ((booting, "follow", unmoved),)),
}


def stories(kind: str) -> None:
    random = Xorshift32(1)
    for _ in range(STORIES):
        board = Board(kind, random, [random.between(1, 25) for _ in range(random.between(1, 3))])
        board.rot = 250
        board.live()


@pytest.mark.parametrize("kind", ALL)
def test_the_real_code_passes(kind: str) -> None:
    stories(kind)


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, row in MUTANTS.items() for kind in row[0]])
def test_a_mutant_is_seen(name: str, kind: str) -> None:
    with changed(MUTANTS[name][1]), pytest.raises((AssertionError, CoreletError)):
        stories(kind)
