"""What frees room: expired promises, a core that leaves, a lowered quota; and what does not."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from agent.errors import TrustError
from tests.expect import raises
from tests.unit.agent.core.shards.rig import CORE, OTHER, SLOT, Rig, fill, name_of, payload

LARGE = 65536


@both
def test_expired_promises_make_room_and_others_do_not():
    rig = Rig(quota=6 * SLOT)
    rig.put(payload(0), keep_until=1_000_100)
    rig.put(payload(1), OTHER, keep_until=1_000_100)
    rig.put(payload(2), keep_until=2_000_000)
    rig.put(payload(3))
    rig.put(payload(4), keep_until=1_000_100)
    rig.put(payload(5))
    rig.times[CORE] = 1_000_101
    assert rig.put(payload(6)) == "quota", "kept up to an hour longer"
    assert rig.get(name_of(payload(0))) == payload(0)
    rig.times[CORE] = 1_004_000
    rig.now = 30_000
    assert rig.layout == "log" or rig.put(payload(6)) == "quota", "looked a moment ago"
    rig.now = 61_000
    assert rig.put(payload(6)) == "stored" and rig.put(payload(7)) == "stored" and rig.put(payload(8)) == "quota"
    assert rig.get(name_of(payload(0))) == "absent" and rig.get(name_of(payload(4))) == "absent"
    assert rig.get(name_of(payload(1)), OTHER) == payload(1), "its core's clock has not said so"
    assert rig.get(name_of(payload(2))) == payload(2) and rig.get(name_of(payload(3))) == payload(3)
    rig.times[OTHER] = None
    rig.now = 999_000
    assert rig.put(payload(8)) == "quota", "nothing expires while the time is unknown"


def test_a_lowered_quota_takes_nothing_that_is_kept():
    rig = Rig(200 * LARGE, (LARGE,))
    for number in range(70):
        rig.put(payload(number))
    assert len(rig.slabs) == 2
    for number in range(64, 70):
        rig.delete(name_of(payload(number)))
    rig.quota = 10 * LARGE
    rig.start()
    assert sorted(rig.slabs) == [(LARGE, 0)], "the empty one is gone"
    assert rig.store.usage()["allocated"] == 64 * LARGE and rig.put(payload(-1)) == "quota"
    assert rig.get(name_of(payload(63))) == payload(63)
    for number in range(64):
        rig.delete(name_of(payload(number)))
    rig.start()
    assert rig.slabs == {} and fill(rig, 1000) == 10


def test_forgetting_a_core_frees_what_it_has():
    rig = Rig(70 * LARGE, (LARGE,))
    for number in range(68):
        rig.put(payload(number), OTHER if number % 2 else CORE)
    upload = rig.begin(payload(999))
    assert rig.store.usage()["cores"] == {CORE: 34 * LARGE, OTHER: 34 * LARGE}
    ticket = rig.store.forget(CORE, 0)
    assert rig.get(name_of(payload(0))) == "absent"
    rig.pump()
    assert ticket.result == "forgotten" and rig.store.usage()["cores"] == {OTHER: 34 * LARGE}
    assert rig.reports() == []
    rig.carry_out(rig.store.receive(upload, 100, 0), payload(999))
    assert raises(TrustError, rig.store.commit, upload, name_of(payload(999)), 0).code == "core"
    rig.start()
    assert rig.get(name_of(payload(2))) == "absent" and rig.get(name_of(payload(1)), OTHER) == payload(1)
    assert rig.store.usage()["used"] == 34 * LARGE and fill(rig, 5000) == 36
    assert rig.store.forget("9999999999999999", 0).result == "forgotten"
