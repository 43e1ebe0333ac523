"""What was deleted or not renewed: gone for its core, there for a PUT, and in nobody's way."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from agent.core.shards.upkeep import Upkeep
from tests.unit.agent.core.shards.rig import CORE, OTHER, SLOT, Rig, fill, name_of, payload

HOUR = 3600
WEEK = 7 * 24 * HOUR


@both
def test_a_deleted_shard_is_taken_back_by_a_put():
    rig = Rig()
    data = payload(1)
    for is_restarted in (False, True):
        assert rig.put(data, keep_until=2_000_000) in ("stored", "present")
        assert rig.delete(name_of(data)) == "deleted"
        if is_restarted:
            rig.start()
        assert rig.get(name_of(data)) == "absent" and rig.head(name_of(data)) == "absent"
        assert rig.delete(name_of(data)) == "absent"
        assert rig.store.usage()["used"] == 0 and rig.store.usage()["trash"] == SLOT
        rig.log.clear()
        assert rig.put(data, keep_until=3_000_000) == "present" and rig.log == ["read", "hash", "write", "flush"]
        assert rig.get(name_of(data)) == data and rig.store.usage()["trash"] == 0
    rig.times[CORE] = 2_900_000
    rig.start()
    assert rig.get(name_of(data)) == data and rig.put(data, OTHER) == "stored", "another core's is another"


@both
def test_a_rotten_one_is_not_taken_back_and_nobody_is_alarmed():
    rig = Rig(quota=2 * SLOT)
    data = payload(1)
    rig.put(data)
    rig.delete(name_of(data))
    rig.slabs[(SLOT, 0)].slot(0)[150] ^= 1
    assert rig.put(data) == "stored" and rig.get(name_of(data)) == data and rig.reports() == []


def test_trash_gives_way_oldest_first():
    rig = Rig(quota=20 * SLOT)
    for number in range(20):
        rig.put(payload(number))
    for number in range(20):
        rig.times[CORE] += HOUR
        assert rig.delete(name_of(payload(19 - number))) == "deleted"
    assert rig.store.usage()["free_slots"] == 20
    assert rig.put(payload(100)) == "stored"
    kept = [number for number in range(20) if rig.put(payload(number)) == "present"]
    assert kept == list(range(12)), "8 at a time, those that were deleted first"


@both
def test_the_whole_quota_can_be_promised_again():
    rig = Rig(quota=20 * SLOT)
    assert fill(rig) == 20
    for number in range(20):
        rig.delete(name_of(payload(number)))
    assert fill(rig, 100) == 20
    rig.start()
    assert rig.put(payload(999)) == "quota" and rig.get(name_of(payload(105))) == payload(105)


@both
def test_after_a_week_it_is_erased():
    rig = Rig()
    rig.put(payload(1))
    rig.put(payload(2), keep_until=1_000_100)
    rig.put(payload(3))
    rig.put(payload(4), OTHER, keep_until=1_000_100)
    rig.delete(name_of(payload(1)))
    rig.times[CORE] += WEEK - 2 * HOUR
    assert not Upkeep(rig.store).purge(0)
    assert not rig.store.effects and rig.store.usage()["trash"] == SLOT
    rig.times[CORE] += 2 * HOUR
    Upkeep(rig.store).purge(0)
    rig.pump()
    assert rig.store.usage()["trash"] == 0 and rig.put(payload(1)) == "stored"
    assert rig.get(name_of(payload(2))) == payload(2), "an ended promise is served as long as it is there"
    rig.times[CORE] += 2 * HOUR
    Upkeep(rig.store).purge(0)
    rig.pump()
    assert rig.get(name_of(payload(2))) == "absent" and rig.get(name_of(payload(3))) == payload(3)
    assert rig.get(name_of(payload(4)), OTHER) == payload(4), "its core's clock has not said so"


@both
def test_a_core_without_a_clock_deletes_all_the_same():
    rig = Rig(quota=SLOT)
    rig.put(payload(1))
    rig.times[CORE] = None
    assert rig.delete(name_of(payload(1))) == "deleted" and rig.get(name_of(payload(1))) == "absent"
    assert not Upkeep(rig.store).purge(0) and rig.store.usage()["trash"] == SLOT
    assert rig.put(payload(2)) == "stored", "its room is free for others"
