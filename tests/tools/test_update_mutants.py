"""The judge of tests/sim/updating.py must see what is wrong: each mutant of the install path below makes a story fail.
(The note on updates names the first eight.)"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from ota import boot, content, delta, fetch, install, pack, slots
from ota.disk import Disk
from ota.errors import CoreletError, PortError, TrustError
from ota.slots import Effect, Journal
from tests.sim.chance import Xorshift32
from tests.sim.updating import SEGMENT_BYTES, Scene

STORIES = 400


def without(steps: "Callable[..., Any]", is_unwanted: "Callable[[Effect], bool]") -> "Callable[..., Any]":
    """The same machine, some of whose effects never happen."""

    def changed(*arguments: Any) -> Any:
        machine = steps(*arguments)
        sent = None
        while True:
            try:
                effect = machine.send(sent)
            except StopIteration as end:
                return end.value
            sent = None if is_unwanted(effect) else (yield effect)

    return changed


def in_place(self: Journal) -> Any:
    self._sector = 1  # so that 0 is the only one that is written
    yield from REAL_WRITE(self)


def no_sum(self: Journal, data: bytes) -> bool:
    real, slots.crc32 = slots.crc32, lambda _: int.from_bytes(data[-4:], "big")  # type: ignore[assignment]
    try:
        return REAL_READ(self, data)
    finally:
        slots.crc32 = real


def late_charge(self: Journal) -> Any:
    """Charged in memory, written never."""
    self.tries -= 1
    yield from ()


def no_swap(self: Journal, floor: int) -> Any:
    yield from REAL_CONFIRM(self, floor)
    self.active = 1 - self.active
    yield from self.save()


def early_copy(self: Journal, floor: int) -> Any:
    """The floor's copy is ahead of the journal."""
    ahead = Journal("floor")
    ahead.take(self)
    ahead.generation, ahead.active, ahead.floor = self.generation + 1, self.target, floor
    yield from ahead.write()
    yield from REAL_CONFIRM(self, floor)


def never_bad(self: Journal, is_bad: bool) -> Any:
    yield from REAL_GIVE_UP(self, False)


def always_whole(slot: str, found: "dict[int, Any]") -> Any:
    yield from ()
    return True


def is_written(slot: str) -> "Callable[[Effect], bool]":
    return lambda effect: effect.kind == "flush" and effect.file != "journal"


REAL_WRITE, REAL_READ, REAL_CONFIRM, REAL_GIVE_UP = Journal.write, Journal.read, Journal.confirm, Journal.give_up
REAL_DO = Disk._do
REAL_APPLY, REAL_PATCH = delta.apply, fetch.Fetch._patch
REAL_STAGE, REAL_FETCH = install.Install.stage, fetch.Fetch.run


def hurried_stage(self: install.Install, envelope: bytes, sources: int = 1) -> Any:
    """On trial before it is whole."""
    yield from self.journal.stage(self.digest, self.manifest.sequence)
    yield from self.journal.begin_trial()
    self.journal.state = slots.IDLE
    yield from REAL_STAGE(self, envelope)


def any_segment(self: fetch.Fetch, uri: str) -> Any:
    """Without a look at what arrived."""
    machine = REAL_FETCH(self, uri)
    sent, fetched = None, None
    while True:
        try:
            effect = machine.send(sent)
        except StopIteration:
            return
        if effect.kind == "hash" and fetched == effect.offset and self.pack:
            number = (effect.offset - content.PACK_OFFSET - self.pack.head_bytes) // 1024
            sent = self.pack.segment(number)[2]
        else:
            sent = yield effect
        fetched = effect.offset if effect.kind in ("fetch", "patch") and not sent else fetched


def any_record(*arguments: Any) -> None:
    """What a wrong delta makes is taken."""
    with suppress(TrustError):
        REAL_APPLY(*arguments)


def believed(self: fetch.Fetch, number: int, segment: "tuple[int, int, bytes]", bytes_max: int) -> Any:
    """A delta that is wrong ends the update."""
    was = self._faults
    made = yield from REAL_PATCH(self, number, segment, bytes_max)
    if self._faults > was:
        raise TrustError("digest", "expected a right delta, got a wrong one")
    return made


def no_trial(self: Journal) -> Any:
    self.state, self.active = slots.IDLE, self.target
    yield from self.save()


def endless(self: boot.Boot) -> Any:
    found = yield from self._whole(self.journal.target)
    return boot.Choice(slots.SLOTS[self.journal.target], "trial", found.sequence)


def heedless(self: Disk, effect: Effect) -> Any:
    try:
        return REAL_DO(self, effect)
    except PortError:
        return None


MUTANTS: "dict[str, tuple[tuple[Any, str, Any], ...]]" = {
    "one record, in place": ((Journal, "write", in_place),),
    "the journal is not flushed": ((Journal, "write", without(REAL_WRITE, lambda effect: effect.kind == "flush")),),
    "no checksum": ((Journal, "read", no_sum),),
    "the try is not charged first": ((Journal, "charge", late_charge),),
    "the running slot is written": ((Journal, "target", property(lambda self: 0 if self.active == 0 else 1)),),
    "confirmed before it ran": ((Journal, "begin_trial", no_trial),),
    "the slot is not flushed": ((install.Install, "stage", without(REAL_STAGE, is_written("slot"))),),
    "not proven before the trial": ((content, "is_image", always_whole), (fetch.Fetch, "run", any_segment)),
    "a wrong delta ends an update": ((fetch.Fetch, "_patch", believed),),
    "what a delta made is not proven": (
        (delta, "apply", any_record),
        (content, "is_image", always_whole),
        (fetch.Fetch, "run", any_segment),
    ),
    "on trial before it is whole": ((install.Install, "stage", hurried_stage),),
    "confirmed without a swap": ((Journal, "confirm", no_swap),),
    "the copy is ahead": ((Journal, "confirm", early_copy),),
    "what failed is not marked": ((Journal, "give_up", never_bad),),
    "the floor does not rise": ((Journal, "confirm", lambda self, floor: REAL_CONFIRM(self, 0)),),
    "boot runs what is on trial for ever": ((boot.Boot, "_try", endless),),
    "a full disk is not noticed": ((Disk, "_do", heedless),),
    "a try is lost with each refund": ((Journal, "refund", late_charge),),
}


@contextmanager
def changed(places: "tuple[tuple[Any, str, Any], ...]") -> Iterator[None]:
    real = [(owner, name, owner.__dict__[name]) for owner, name, _ in places]
    try:
        for owner, name, value in places:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in real:
            setattr(owner, name, value)


def stories(seed: int, count: int) -> None:
    random = Xorshift32(seed)
    scene = Scene(random)
    for _ in range(count):
        story = scene.story()
        story.cuts = [random.between(1, 60) for _ in range(random.between(1, 2))]
        if random.chance(500):
            story.source.forget_deltas()
        story.source._lies, story.refunds_wanted, story.full = 30, 1, 30
        story.live()


@pytest.fixture(autouse=True)
def segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Scene sets them; other tests of this process want theirs."""
    monkeypatch.setattr(pack, "SEGMENT_BYTES", SEGMENT_BYTES)


def test_the_real_code_passes() -> None:
    stories(1, STORIES)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_seen(name: str) -> None:
    with changed(MUTANTS[name]), pytest.raises((AssertionError, CoreletError, KeyError)):
        stories(1, STORIES)
