"""Invariant: after a power cycle, flushed bytes are there, and each unflushed sector is old or new, never a mixture.
(tests/sim/flash.py; here, because a referee that is wrong proves nothing.)"""

from tests.sim.chance import Xorshift32
from tests.sim.flash import OUTCOMES, SECTOR_BYTES, Flash, PowerCut

LENGTH = 8 * SECTOR_BYTES


def cut_and_reopen(flash, path):
    flash.power_cycle()
    return flash.open(path)


def test_flushed_bytes_survive() -> None:
    flash = Flash(Xorshift32(1))
    slab = flash.create("a", LENGTH)
    slab.write(1000, b"kept over a sector's edge" * 3)
    slab.flush_now()
    assert cut_and_reopen(flash, "a").read(1000, 75) == b"kept over a sector's edge" * 3


def test_unflushed_bytes_are_visible_then_any_subset_of_sectors_survives() -> None:
    outcomes = set()
    for seed in range(60):
        flash = Flash(Xorshift32(seed))
        slab = flash.create("a", LENGTH)
        slab.write(0, b"x" * 3 * SECTOR_BYTES)
        assert slab.read(0, 3 * SECTOR_BYTES) == b"x" * 3 * SECTOR_BYTES
        after = cut_and_reopen(flash, "a").read(0, 3 * SECTOR_BYTES)
        sectors = [after[start : start + SECTOR_BYTES] for start in range(0, len(after), SECTOR_BYTES)]
        assert all(sector in (b"x" * SECTOR_BYTES, bytes(SECTOR_BYTES)) for sector in sectors)
        outcomes.add("".join(["x" if sector[0] else "." for sector in sectors]))
    assert len(outcomes) == 8, outcomes


def test_a_later_write_may_survive_an_earlier_one() -> None:
    seen = set()
    for seed in range(60):
        flash = Flash(Xorshift32(seed))
        slab = flash.create("a", LENGTH)
        slab.write(0, b"1" * 10)
        slab.write(5, b"2" * 10)
        seen.add(cut_and_reopen(flash, "a").read(0, 15))
    assert seen == {bytes(15), b"1" * 10 + bytes(5), bytes(5) + b"2" * 10, b"1" * 5 + b"2" * 10}


def test_each_operation_can_be_the_last() -> None:
    def script(flash):
        slab = flash.create("a", LENGTH)
        slab.write(0, b"old")
        slab.flush_now()
        slab.write(0, b"new")
        slab.flush_now()
        flash.create("b", SECTOR_BYTES)
        flash.rename("b", "c")
        flash.remove("c")

    whole = Flash(Xorshift32(1))
    script(whole)
    assert whole.operations == 8
    for operation in range(1, whole.operations + 1):
        flash = Flash(Xorshift32(operation))
        flash.cut_at = operation
        try:
            script(flash)
            raise AssertionError("the power did not go")
        except PowerCut:
            pass
        flash.power_cycle()
        if operation > 3:
            content = flash.open("a").read(0, 3)
            assert content == b"new" or (operation <= 5 and content == b"old")
        assert flash.cut_at == 0


def test_nothing_happens_after_the_cut() -> None:
    flash = Flash(Xorshift32(1))
    slab = flash.create("a", LENGTH)
    flash.cut_at = 2
    for _ in range(3):
        try:
            slab.write(0, b"x")
            raise AssertionError("the power did not go")
        except PowerCut:
            pass
    assert flash.operations == 2


def test_rotten_bits_stay() -> None:
    flash = Flash(Xorshift32(1))
    flash.create("a", LENGTH)
    flash.flip_bit("a", 700, 3)
    assert cut_and_reopen(flash, "a").read(699, 3) == b"\x00\x08\x00"


def test_an_outcome_that_is_asked_for() -> None:
    seen = {name: set() for name in OUTCOMES}
    for name in seen:
        for seed in range(60):
            flash = Flash(Xorshift32(seed))
            flash.outcome = name
            slab = flash.create("a", LENGTH)
            slab.write(0, b"x" * 2 * SECTOR_BYTES)
            seen[name].add(cut_and_reopen(flash, "a").read(0, 2 * SECTOR_BYTES))
    old, new = bytes(SECTOR_BYTES), b"x" * SECTOR_BYTES
    assert seen["none"] == {old + old} and seen["all"] == {new + new}
    assert seen["subset"] == {old + old, old + new, new + old, new + new}
    assert len(seen["torn"]) > 20, "garbage after what was kept"
