"""Quota and room: never a byte above it, and nothing that was promised goes to make room."""

from tests.unit.agent.core.shards.rig import SLOT, Rig, fill, name_of, payload

LARGE = 65536


def test_the_quota_is_exact():
    for quota in (0, SLOT - 1, SLOT, 7 * SLOT + 100):
        rig = Rig(quota)
        assert fill(rig) == quota // SLOT
        assert sum([slab.length for slab in rig.slabs.values()]) == quota // SLOT * SLOT
        assert rig.put(payload(-1)) == "quota"


def test_slabs_are_small_and_the_last_one_takes_what_is_left():
    rig = Rig(70 * LARGE + 5, (LARGE,))
    assert fill(rig) == 70
    assert sorted([slab.length // LARGE for slab in rig.slabs.values()]) == [6, 64]
    assert rig.store.usage()["free_slots"] == 0


def test_concurrent_puts_cannot_overshoot():
    rig = Rig(quota=5 * SLOT)
    rig.held = ("create",)
    tickets = [rig.begin(payload(number)) for number in range(8)]
    assert len(rig.waiting) == 1 and not [ticket for ticket in tickets if ticket.is_at_rest]
    rig.release()
    rig.held = ()
    assert [ticket.result for ticket in tickets] == ["ready"] * 5 + [""] * 3
    assert [ticket.error.code for ticket in tickets[5:]] == ["quota"] * 3
    rig.store.abort(tickets[0])
    assert rig.put(payload(9)) == "stored" and rig.put(payload(10)) == "quota"
    assert rig.store.usage()["used"] == 5 * SLOT and rig.store.usage()["free_slots"] == 0


def test_small_slots_first_then_larger_ones():
    rig = Rig(quota=20 * SLOT, slots=(SLOT, 4 * SLOT))
    big = [payload(number, 3000) for number in range(2)]
    assert [rig.put(data) for data in big] == ["stored", "stored"]
    assert rig.store.space.allocated_bytes == 20 * SLOT
    assert fill(rig, 100) == 3, "the other big slots"
    assert rig.put(payload(7, 3000)) == "quota"
    for data in big:
        assert rig.get(name_of(data)) == data


def test_empty_slabs_make_room_for_another_size():
    rig = Rig(quota=16 * SLOT, slots=(SLOT, 4 * SLOT))
    assert fill(rig) == 16
    big = payload(1, 3000)
    assert rig.put(big) == "quota"
    for number in range(16):
        assert rig.delete(name_of(payload(number))) == "deleted"
    assert rig.put(big) == "stored" and sorted(rig.slabs) == [(4 * SLOT, 1)]
    assert rig.get(name_of(big)) == big


def test_a_full_disk_is_tried_again_later():
    rig = Rig()
    rig.failing = {"create": "disk_full"}
    assert rig.put(payload(1)) == "disk_full"
    rig.failing = {}
    rig.now = 59_000
    assert rig.put(payload(1)) == "disk_full" and rig.store.fault == "" and rig.store.usage()["allocated"] == 0
    rig.now = 61_000
    assert rig.put(payload(1)) == "stored"


def test_a_slab_that_cannot_be_made_for_another_reason():
    rig = Rig()
    rig.failing = {"create": "read_only"}
    assert rig.put(payload(1)) == "disk_full" and rig.store.fault == "read_only"
