"""The order in which everything is verified, and what is said of headers that are gone."""

from agent.core.shards.header import ERASED
from agent.core.shards.scrub import PAUSE_MS_MAX, PERIOD_MS, START, Scrub
from tests.unit.agent.core.shards.rig import CORE, SLOT, Rig, name_of, payload


def filled(count=40):
    rig = Rig(quota=256 * SLOT, slots=(SLOT, 2 * SLOT))
    for number in range(count):
        assert rig.put(payload(number, 1500 if number % 5 == 0 else 300)) == "stored"
    return rig


def names(rig, scrub, count):
    """What the next `count` steps verify."""
    found = []
    for _ in range(count):
        slot = scrub.take()
        header = rig.store.check_header(slot, rig.header(slot))
        found.append(header.shard)
    return found


def test_everything_once_in_a_round():
    rig = filled()
    scrub = Scrub(rig.store.index, rig.store.space)
    everything = sorted([name_of(payload(number, 1500 if number % 5 == 0 else 300)) for number in range(40)])
    first = names(rig, scrub, 40)
    assert sorted(first) == everything and names(rig, scrub, 40) == first


def test_it_goes_on_where_it_was_after_a_restart():
    rig = filled()
    scrub = Scrub(rig.store.index, rig.store.space)
    whole = names(rig, scrub, 40)
    scrub.mark = START
    first = names(rig, scrub, 17)
    rig.start()
    again = Scrub(rig.store.index, rig.store.space)
    again.mark = scrub.mark
    assert first + names(rig, again, 23) == whole
    rig.delete(whole[5])
    again.mark = scrub.mark
    assert names(rig, again, 22) == whole[17:39]


def test_pauses():
    rig = Rig()
    scrub = Scrub(rig.store.index, rig.store.space)
    assert scrub.take() == -1 and scrub.pause_ms() == PAUSE_MS_MAX
    rig.put(payload(1))
    assert scrub.pause_ms() == PAUSE_MS_MAX
    rig.store.index.records = 20_000
    assert scrub.pause_ms() * 20_000 <= PERIOD_MS < scrub.pause_ms() * 20_001


def test_a_header_that_is_gone_is_confessed_by_what_is_left():
    rig = filled(3)
    slot = Scrub(rig.store.index, rig.store.space).take()
    shard = rig.store.check_header(slot, rig.header(slot)).shard
    assert not rig.store.is_quarantined(CORE, shard)
    assert rig.store.check_header(slot, ERASED) is None
    assert rig.store.check_header(slot, ERASED) is None
    reports, rig.store.reports = rig.store.reports, []
    assert [(report.core, report.shard, report.reason) for report in reports] == [(CORE, shard[:5], "header")]
    assert rig.store.is_quarantined(CORE, shard) and rig.store.is_quarantined(CORE, shard[:5])
    assert rig.delete(shard) == "deleted" and not rig.store.is_quarantined(CORE, shard)


def test_a_header_of_another_shard():
    rig = filled(3)
    scrub = Scrub(rig.store.index, rig.store.space)
    one, other = scrub.take(), scrub.take()
    data = bytearray(rig.header(other))
    assert rig.store.check_header(one, bytes(data)) is None and rig.reports() == [(CORE, "header")]


def test_a_shard_that_is_just_being_deleted_is_not_rotten():
    rig = filled(3)
    scrub = Scrub(rig.store.index, rig.store.space)
    slot = scrub.take()
    shard = rig.store.check_header(slot, rig.header(slot)).shard
    rig.held = ("flush",)
    rig.store.delete(CORE, shard, 0)
    rig.pump()
    assert rig.store.check_header(slot, ERASED) is None, "its header is gone, or will be"
    rig.held = ()
    rig.release()
    assert rig.reports() == [] and rig.get(shard) == "absent"


def test_a_core_that_is_just_being_forgotten():
    rig = filled(3)
    slot = Scrub(rig.store.index, rig.store.space).take()
    rig.held = ("flush",)
    rig.store.forget(CORE, 0)
    rig.pump()
    assert rig.store.check_header(slot, rig.header(slot)) is None
    rig.held = ()
    rig.release()
    assert rig.reports() == [] and rig.store.usage()["shards"] == 0
