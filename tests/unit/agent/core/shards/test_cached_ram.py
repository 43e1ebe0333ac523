"""The cache with its small queue in memory: the flash is written for what was asked for again, within its part."""

from tests.unit.agent.core.shards.rig import CORE, name_of, payload
from tests.unit.agent.core.shards.test_cached import Cached

LARGE = 1 << 18


def filled(day=0):
    """All of the flash is promised or cached; the small queue has room for 4."""
    rig = Cached(400 * LARGE, (LARGE,))  # so that 1 % of it is 4
    rig.cache, rig.day = 4 * LARGE, day
    rig.start()
    for number in range(16):
        assert rig.offer(payload(number)) == "cached"
        rig.store.space.quota_bytes = 16 * LARGE  # the first slab is all there is
    return rig


def writes(rig):
    return rig.log.count("write")


def test_an_offer_stays_in_memory_and_is_served_from_there():
    rig = filled()
    rig.log.clear()
    data = payload(50)
    assert rig.offer(data) == "cached" and writes(rig) == 0
    assert rig.get(name_of(data)) == data and rig.head(name_of(data)) == "found" and rig.log == []
    assert rig.store.usage()["cache_ram"] == len(data)
    assert rig.delete(name_of(data)) == "deleted" and rig.get(name_of(data)) == "absent"
    assert rig.offer(data) == "cached" and rig.put(data) == "stored", "a promise is on the flash"
    rig.start()
    assert rig.get(name_of(data)) == data


def test_what_was_read_twice_goes_to_the_flash():
    rig = filled()
    for number in range(50, 54):
        rig.offer(payload(number))
    for _ in range(2):
        rig.get(name_of(payload(50)))
    rig.log.clear()
    rig.offer(payload(54))
    assert writes(rig) == 3, "the one that gave way is erased; body and header of the promoted one"
    rig.offer(payload(55))
    assert writes(rig) == 3 and rig.get(name_of(payload(51))) == "absent", "it was never read"
    assert rig.offer(payload(51)) == "cached" and writes(rig) > 3, "but asked for again"
    rig.start()
    assert rig.get(name_of(payload(50))) == payload(50) and rig.get(name_of(payload(51))) == payload(51)
    assert rig.get(name_of(payload(55))) == "absent", "memory does not survive"


def test_when_its_part_of_the_day_is_spent_the_cache_is_in_memory():
    rig = filled(1 << 30)
    rig.store.flash.spend((1 << 30) * 7 // 8)
    for number in range(60, 72):
        assert rig.offer(payload(number)) == "cached"
        assert rig.get(name_of(payload(number))) == payload(number)
        assert rig.get(name_of(payload(number))) == payload(number)
    rig.log.clear()
    assert rig.offer(payload(72)) == "cached" and writes(rig) == 0
    assert rig.put(payload(99)) == "stored", "promises have what is left of it"
    assert rig.get(name_of(payload(0))) == payload(0) or rig.get(name_of(payload(1))) == payload(1)


def test_wrong_and_broken_bodies_leave_nothing():
    rig = filled()
    ticket = rig.store.offer(CORE, name_of(payload(50)), 100, 0)
    rig.store.receive(ticket, 100, 0)
    ticket.body.extend(payload(51))
    try:
        rig.store.commit(ticket, name_of(payload(51)), 0)
        raise AssertionError("accepted")
    except Exception as error:
        assert error.code == "digest"
    tickets = [rig.store.offer(CORE, name_of(payload(number)), 100, 0) for number in range(60, 66)]
    assert [ticket.result for ticket in tickets] == ["ready"] * 4 + ["declined"] * 2, "bodies on their way are bounded"
    for ticket in tickets[:4]:
        rig.store.abort(ticket)
    assert rig.offer(payload(60)) == "cached"
