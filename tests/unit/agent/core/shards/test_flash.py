"""The day's flash bytes: never more than a day's in any 24 hours, whatever happens in between."""

from agent.core.shards.flash import CACHE, HOUR_MS, PAGE_BYTES, PUT, TIDY, Flash
from tests.sim.chance import Xorshift32

DAY = 1 << 24
MOST = DAY - DAY // 128


def test_without_a_limit():
    flash = Flash(0)
    flash.spend(1 << 50)
    assert flash.left(PUT, 0) > 1 << 50 and flash.is_covered()


def test_promises_go_before_the_cache_and_tidying_before_both():
    flash = Flash(DAY)
    assert [flash.left(what, 0) for what in (TIDY, PUT, CACHE)] == [MOST, MOST - DAY // 16, MOST - DAY // 4]
    flash.spend(MOST - DAY // 4)
    assert flash.left(CACHE, 0) == 0 and flash.left(PUT, 0) == DAY * 3 // 16
    flash.spend(1)
    assert flash.left(TIDY, 0) == DAY // 4 - PAGE_BYTES, "in whole pages"
    flash.give_back(1)
    assert flash.left(TIDY, 0) == DAY // 4


def test_another_limit_counts_what_was_written_before_it():
    flash = Flash(DAY)
    flash.left(PUT, 0)
    flash.spend(DAY // 2)
    flash.limit(DAY // 4)
    assert flash.left(TIDY, 1) == 0 and flash.day_bytes == DAY // 4
    flash.limit(DAY)
    assert flash.left(TIDY, 2) == MOST - DAY // 2


def test_any_24_hours():
    random, flash, now, spent = Xorshift32(3), Flash(DAY), 77, []
    for _ in range(800):
        now += random.below(HOUR_MS // 3)
        count = random.below(DAY // 20)
        if flash.left(PUT, now) >= count:
            flash.spend(count)
            spent.append((now, count))
        spent = [(when, bytes_) for when, bytes_ in spent if when > now - 24 * HOUR_MS]
        assert sum([bytes_ for _, bytes_ in spent]) <= MOST
    assert len(spent) > 10, "and it does come back"


def test_when_there_will_be_enough():
    flash = Flash(DAY)
    assert flash.left(PUT, 0) and not flash.spend(DAY * 15 // 16)
    error = flash.refusal(4096, PUT, 1800_000)
    assert error.code == "flash" and error.retry_s == 24 * 3600 + 1800 + 1
    assert flash.left(PUT, 1800_000 + (error.retry_s - 2) * 1000) == 0
    assert flash.left(PUT, 1800_000 + error.retry_s * 1000) >= 4096


def test_a_restart_gives_nothing_back():
    flash = Flash(DAY)
    assert flash.left(PUT, 0) and flash.is_covered()
    flash.spend(4096)
    assert not flash.is_covered()
    hours, mark = flash.pages(False), flash.mark()
    flash.covered(mark)
    assert flash.is_covered()
    while flash.is_covered():
        flash.spend(4096)
    after = Flash(DAY)
    after.recall(hours, False)
    assert after.left(TIDY, 0) <= flash.left(TIDY, 0) + 4096, "all that was spent and covered is known"
    assert after.left(TIDY, 0) >= flash.left(TIDY, 0) - DAY // 32
    last = Flash(DAY)
    last.recall(flash.pages(True), False)
    assert last.left(TIDY, 5) == flash.left(TIDY, 0), "exactly, after an orderly stop"
    last.exhaust()
    assert last.left(TIDY, 6) == 0
