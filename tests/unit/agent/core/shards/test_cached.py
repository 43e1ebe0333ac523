"""Shards that are only offered: they use what is free, give way to every promise, and spare the flash."""

from tests.unit.agent.core.shards.rig import CORE, OTHER, SLOT, Rig, fill, name_of, payload


class Cached(Rig):
    def offer(self, data, core=CORE):
        ticket = self.store.offer(core, name_of(data), len(data), self.now)
        self.pump()
        if ticket.result == "ready":
            if ticket.slot < 0:
                self.store.receive(ticket, len(data), self.now)
                ticket.body.extend(data)
                self.store.commit(ticket, name_of(data), self.now)
                self.pump()
            else:
                self.send(ticket, data)
        return ticket.error.code if ticket.error else ticket.result

    def get(self, shard, core=CORE):
        ticket = self.store.get(core, shard, False)
        self.pump()
        if ticket.body is not None:
            assert self.store.is_current(ticket) and ticket.length == len(ticket.body)
            return bytes(ticket.body)
        return self.bytes_of(ticket)


class InRam(Cached):
    """Memory for as many entries as S3-FIFO wants."""

    cache = 16 * SLOT


def test_promises_take_the_room_of_what_is_cached():
    rig = Cached(quota=20 * SLOT)
    for number in range(20):
        assert rig.offer(payload(number)) == "cached"
    usage = rig.store.usage()
    assert (usage["used"], usage["cache"], usage["free_slots"], usage["shards"]) == (0, 20 * SLOT, 20, 0)
    assert fill(rig, 100) == 20
    assert rig.offer(payload(1)) == "declined", "and what was promised gives way to nothing"
    assert rig.offer(payload(1)) == "quota" and rig.get(name_of(payload(105))) == payload(105)
    assert rig.store.usage()["cache"] == 0


def test_when_it_is_full_a_second_request_comes_in():
    rig = Cached(quota=20 * SLOT)
    for number in range(20):
        rig.offer(payload(number))
    assert rig.get(name_of(payload(0))) == payload(0), "it was read, so it stays"
    assert rig.offer(payload(50)) == "declined" and rig.get(name_of(payload(50))) == "absent"
    assert rig.offer(payload(50)) == "cached" and rig.get(name_of(payload(50))) == payload(50)
    assert rig.get(name_of(payload(0))) == payload(0) and rig.get(name_of(payload(1))) == "absent"
    assert rig.offer(payload(50)) == "cached", "it is here"
    assert rig.offer(payload(50), OTHER) == "declined", "cores do not see each other's"


def test_over_a_restart_and_out_of_the_cache():
    rig = Cached(quota=20 * SLOT)
    for number in range(20):
        rig.offer(payload(number))
    rig.start()
    assert rig.store.usage()["cache"] == 20 * SLOT and rig.get(name_of(payload(7))) == payload(7)
    assert rig.put(payload(7)) == "present" and rig.store.usage()["used"] == SLOT, "from now on it is promised"
    assert rig.delete(name_of(payload(8))) == "deleted" and rig.store.usage()["trash"] == 0
    rig.slabs[(SLOT, 0)].slot(9)[200] ^= 1
    assert rig.get(name_of(payload(9))) == "corrupt" and rig.reports() == [(CORE, "sha256")]
    assert rig.get(name_of(payload(9))) == "absent" and rig.store.usage()["quarantined"] == 0
    assert rig.store.usage()["cache"] == 17 * SLOT and fill(rig, 100) == 19
    assert rig.get(name_of(payload(7))) == payload(7)
    rig.store.forget(CORE, 0)
    rig.pump()
    assert rig.store.usage()["used"] == 0 and fill(rig, 200) == 20


def test_forgetting_a_core_forgets_what_it_had_cached():
    rig = InRam(quota=2000 * SLOT, slots=(4 * SLOT,))
    rig.cache = 400 * SLOT
    rig.start()
    for number in range(30):
        rig.offer(payload(number), (CORE, OTHER)[number % 2])
    rig.store.forget(CORE, 0)
    rig.pump()
    assert rig.get(name_of(payload(0))) == "absent" and rig.get(name_of(payload(1)), OTHER) == payload(1)
    assert rig.store.usage()["cache"] == 15 * 4 * SLOT


def test_the_trash_is_not_displaced_by_offers():
    rig = Cached(quota=16 * SLOT)
    for number in range(16):
        rig.put(payload(number))
    for number in range(16):
        rig.delete(name_of(payload(number)))
    for _ in range(2):
        assert rig.offer(payload(50)) in ("declined", "quota")
    assert rig.put(payload(3)) == "present" and rig.offer(payload(4)) in ("declined", "quota")
    assert rig.get(name_of(payload(4))) == "absent"
