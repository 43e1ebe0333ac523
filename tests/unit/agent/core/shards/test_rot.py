"""Bits that flip: not one wrong byte is served, and every one that is found is reported."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from tests.unit.agent.core.shards.rig import CORE, OTHER, SLOT, Rig, name_of, payload

SHARDS = 8


def filled():
    rig = Rig(quota=SHARDS * SLOT)
    for number in range(SHARDS):
        assert rig.put(payload(number, 300 + number)) == "stored"
    return rig


def flip(rig, number, offset):
    """One bit of the slot that holds shard `number`."""
    shard = name_of(payload(number, 300 + number))
    for slab in rig.slabs.values():
        for place in range(SHARDS):
            if slab.slot(place)[40:72] == shard:
                slab.slot(place)[offset] ^= 1 << offset % 8


def check(rig, is_restarted):
    for number in range(SHARDS):
        data = payload(number, 300 + number)
        found = rig.get(name_of(data))
        assert type(found) is str, "a wrong byte was served"
        assert found == "corrupt" or (is_restarted and found == "absent")


@both
def test_a_payload_bit_in_every_slot():
    for is_restarted in (False, True):
        rig = filled()
        for number in range(SHARDS):
            flip(rig, number, 128 + number * 25)
        if is_restarted:
            rig.start()
        check(rig, is_restarted)
        assert rig.reports() == [(CORE, "sha256")] * SHARDS
        check(rig, is_restarted)
        assert rig.reports() == [] and rig.store.usage()["quarantined"] == SHARDS
        assert rig.head(name_of(payload(0, 300))) == "corrupt"


@both
def test_a_header_bit_in_every_slot():
    for is_restarted in (False, True):
        rig = filled()
        for number in range(SHARDS):
            flip(rig, number, [0, 4, 5, 6, 8, 12, 16, 24, 32, 41, 90, 127][number])
        if is_restarted:
            rig.start()
        check(rig, is_restarted)
        assert len(rig.reports()) == SHARDS


@both
def test_repair_and_delete_of_a_quarantined_shard():
    rig = filled()
    flip(rig, 3, 200)
    flip(rig, 4, 200)
    check_two = [payload(number, 300 + number) for number in (3, 4)]
    assert [rig.get(name_of(data)) for data in check_two] == ["corrupt", "corrupt"]
    assert rig.put(check_two[0]) == "stored" and rig.get(name_of(check_two[0])) == check_two[0]
    assert rig.delete(name_of(check_two[1])) == "deleted" and rig.get(name_of(check_two[1])) == "absent"
    assert rig.store.usage()["quarantined"] == 0 and rig.store.usage()["used"] == (SHARDS - 1) * SLOT
    rig.start()
    assert rig.get(name_of(check_two[0])) == check_two[0] and rig.get(name_of(check_two[1])) == "absent"


@both
def test_reads_that_fail():
    rig = filled()
    rig.failing = {"hash": "io"}
    assert rig.get(name_of(payload(0, 300))) == "corrupt" and rig.reports() == [(CORE, "io")]
    rig.failing = {"read": "io"}
    assert rig.get(name_of(payload(1, 301))) == "corrupt" and rig.reports() == [(CORE, "io")]
    rig.failing = {}
    assert rig.get(name_of(payload(2, 302))) == payload(2, 302) and rig.store.fault == ""


@both
def test_a_bit_that_flips_after_verification():
    rig = filled()
    ticket = rig.store.get(CORE, name_of(payload(5, 305)), False)
    rig.pump()
    rig.store.spoiled(ticket, "sha256")
    rig.store.spoiled(ticket, "sha256")
    assert not rig.store.is_current(ticket) and rig.reports() == [(CORE, "sha256")]
    assert rig.get(ticket.shard) == "corrupt"


@both
def test_a_slot_that_is_used_again_while_it_is_read():
    rig = Rig(quota=SLOT)
    rig.put(payload(1))
    ticket = rig.store.get(CORE, name_of(payload(1)), False)
    rig.pump()
    assert rig.store.is_current(ticket)
    rig.delete(ticket.shard)
    assert not rig.store.is_current(ticket)
    rig.put(payload(2))
    assert not rig.store.is_current(ticket)
    rig.held = ("hash",)
    ticket = rig.store.get(CORE, name_of(payload(2)), False)
    rig.pump()
    rig.held = ()
    rig.delete(ticket.shard)
    rig.put(payload(3))
    rig.release()
    assert ticket.result == "absent" and rig.reports() == [] and rig.get(name_of(payload(3))) == payload(3)


def test_a_slot_of_another_place_is_not_believed():
    rig = filled()
    slab = rig.slabs[(SLOT, 0)]
    slab.slot(1)[:] = slab.slot(0)
    rig.start()
    assert rig.reports() == [("", "header")] and rig.store.usage()["shards"] == SHARDS - 1


def test_twins_of_a_lost_erasure():
    rig = Rig(quota=2 * SLOT)
    data = payload(1)
    rig.put(data, keep_until=1_000_100)
    old = bytes(rig.slabs[(SLOT, 0)].slot(0))
    rig.delete(name_of(data))
    rig.put(payload(2), OTHER)
    assert rig.put(payload(3)) == "stored", "in the place of the deleted one"
    rig.delete(name_of(payload(2)), OTHER)
    assert rig.put(data, keep_until=2_000_000) == "stored"
    rig.slabs[(SLOT, 0)].slot(0)[:] = old
    rig.start()
    assert rig.get(name_of(data)) == data and rig.store.usage()["shards"] == 1
    rig.delete(name_of(data))
    rig.start()
    assert rig.get(name_of(data)) == "absent", "the older one must not come back"


@both
def test_forty_bits_may_be_equal():
    rig = Rig()
    one = payload(1)
    rig.put(one)
    fake = name_of(one)[:5] + bytes(27)
    assert rig.get(fake) == "absent" and rig.delete(fake) == "absent" and rig.get(name_of(one)) == one
    assert rig.reports() == []
