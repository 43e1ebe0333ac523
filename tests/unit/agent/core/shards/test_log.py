"""The layout "log": what it writes and where, and how a segment is emptied while others want something of it."""

import gc

from tests.unit.agent.core.shards import layouts  # noqa: F401 # isort: skip

from agent.core.shards.ticket import CREATE, HASH, WRITE
from tests.unit.agent.core.shards.rig import CORE, OTHER, SLOT, Rig, fill, name_of, payload

SEGMENT = 3 * (SLOT + 512)


class LogRig(Rig):
    """Eight segments of three slots; seven can be filled. `written`: (file, offset) of each header and piece."""

    layout = "log"
    copies = 0

    def __init__(self):
        self.written = []
        super().__init__()
        self.quota = 8 * SEGMENT
        self.start()

    def carry_out(self, effect, data=None):
        self.copies += effect.kind == HASH and effect.data is not None
        if effect.kind == WRITE or (effect.kind == HASH and effect.data is not None):
            place = (effect.slab.name, effect.offset)
            assert place not in self.written, "what was written is never written again"
            self.written.append(place)
        super().carry_out(effect, data)
        assert sum([slab.length for slab in self.slabs.values()]) <= self.quota


def filled():
    rig = LogRig()
    assert fill(rig) == 21 and rig.put(payload(99)) == "quota"
    assert rig.store.usage()["free_slots"] == 0
    return rig


def delete(rig, *numbers):
    for number in numbers:
        assert rig.delete(name_of(payload(number))) == "deleted"


def all_are_there(rig, *without):
    kept = [number for number in range(21) if number not in without]
    assert [rig.get(name_of(payload(number))) == payload(number) for number in kept] == [True] * len(kept)


def test_the_emptiest_segment_is_moved_and_its_file_goes():
    rig = filled()
    delete(rig, 0, 3, 4)
    assert rig.put(payload(100)) == "stored"
    assert rig.copies == 1 and (SLOT, 1) not in rig.slabs and (SLOT, 0) in rig.slabs
    assert rig.put(payload(101)) == "stored" and rig.copies == 1, "two came free"
    assert rig.put(payload(102)) == "stored" and rig.copies == 3 and rig.put(payload(103)) == "quota"
    for _ in range(2):
        all_are_there(rig, 0, 3, 4)
        assert rig.get(name_of(payload(102))) == payload(102) and rig.get(name_of(payload(3))) == "absent"
        rig.written.clear()
        rig.start()


def test_what_is_read_goes_on_at_its_new_place():
    rig = filled()
    delete(rig, 3, 4)
    ticket = rig.store.get(CORE, name_of(payload(5)), False)
    rig.pump()
    assert rig.put(payload(100)) == "stored" and rig.bytes_of(ticket) == payload(5)
    delete(rig, 5)
    assert not rig.store.is_current(ticket)


def test_a_core_that_leaves_while_its_records_move():
    """At each step of it, and its records must not come back out of a segment that is still there."""
    for steps in range(24):
        rig = LogRig()
        for number in range(21):
            rig.put(payload(number), OTHER if number % 3 else CORE)
        rig.delete(name_of(payload(4)), OTHER)
        rig.held = ("read", "hash", "write", "flush", "remove", "create")
        put = rig.begin(payload(100), OTHER)
        for _ in range(steps):
            if rig.waiting:
                rig.carry_out(rig.waiting.pop(0))
                rig.pump()
        rig.held = ("remove",)
        rig.release()
        ticket = rig.store.forget(CORE, 0)
        rig.pump()
        assert ticket.result == "forgotten"
        assert put.result == "" or put.result == "ready"
        rig.written.clear()
        rig.start()  # a cut before the segment is gone
        for number in range(21):
            found = rig.get(name_of(payload(number)), CORE)
            assert found == "absent", (steps, number)
            if number % 3 and number != 4:
                assert rig.get(name_of(payload(number)), OTHER) == payload(number)


def test_a_cleaning_that_was_cut_short_goes_first():
    rig = filled()
    delete(rig, 3)
    rig.held = ("remove",)
    rig.begin(payload(100))
    rig.held = ()
    rig.written.clear()
    rig.start()
    assert rig.store.space.allocated_bytes == rig.quota, "there is no room for another one"
    assert rig.put(payload(100)) == "stored" and rig.store.space.allocated_bytes < rig.quota
    assert rig.put(payload(101)) == "quota"
    all_are_there(rig, 3)


def test_rot_in_what_moves_is_told_and_stays_told():
    rig = filled()
    delete(rig, 3)
    rig.slabs[(SLOT, 1)].slot(1)[150] ^= 1
    rig.slabs[(SLOT, 1)].slot(2)[40] ^= 1
    assert rig.put(payload(100)) == "stored"
    assert sorted(rig.reports()) == [(CORE, "header"), (CORE, "sha256")] and rig.store.usage()["quarantined"] == 2
    assert rig.get(name_of(payload(4))) == "corrupt" and rig.get(name_of(payload(5))) == "corrupt"
    assert rig.put(payload(5)) == "stored" and rig.get(name_of(payload(5))) == payload(5)
    all_are_there(rig, 3, 4)


def fail(kind, code, fault):
    rig = filled()
    delete(rig, 3)
    rig.failing = {kind: code}
    ticket = rig.begin(payload(100))
    assert ticket.is_at_rest and rig.store.fault == fault, (kind, code)
    rig.store.abort(ticket)
    rig.failing = {}
    all_are_there(rig, 3)
    rig.now += 61_000
    rig.written.clear()  # the copy that failed is written again
    if fault:
        rig.start()
    assert rig.put(payload(100)) == "stored" and rig.put(payload(101)) == "quota"
    assert rig.store.space.allocated_bytes < rig.quota
    all_are_there(rig, 3)


def test_a_disk_that_is_full_or_fails_while_records_move():
    for kind in ("create", "hash"):
        for code, fault in (("disk_full", ""), ("io", "io")):
            gc.collect()
            fail(kind, code, fault)


def test_changed_headers_go_behind_the_slots_until_there_is_no_room():
    rig = LogRig()
    rig.put(payload(1), keep_until=1_000_000)
    slab = rig.store.space.slabs[0]
    for turn in range(12):
        rig.put(payload(1), keep_until=1_003_600 * (turn + 2))
        assert slab.notes == turn + 1 and rig.written[-1][1] == 3 * SLOT + 128 * turn
    rig.written.clear()
    rig.put(payload(1), keep_until=1_003_600 * 20)
    assert rig.written == [((SLOT, 0), 0)], "in place"
    rig.start()
    slot = rig.store.index.find(int.from_bytes(name_of(payload(1))[:5], "big"), 1)[0]
    assert rig.store.index.note(slot) == (1_003_600 * 20 + 3599) // 3600
    rig.written.clear()
    delete(rig, 1)
    rig.written.clear()
    rig.start()
    assert rig.get(name_of(payload(1))) == "absent" and rig.store.usage()["trash"] == SLOT


def test_flash_for_moving_is_counted():
    class Worn(LogRig):
        day = 200 * 4096

    rig = Worn()
    assert fill(rig) == 21
    delete(rig, 3)
    left = rig.store.usage()["flash_left"]
    assert rig.put(payload(100)) == "stored"
    assert left - rig.store.usage()["flash_left"] >= (2 * 3 + 1) * 4096, "two moved"
    rig.store.flash.spend(rig.store.flash.left("put", 0) - 3 * 4096)
    delete(rig, 6)
    assert rig.put(payload(101)) == "flash" and rig.get(name_of(payload(101))) == "absent"
    all_are_there(rig, 3, 6)
    assert CREATE in rig.log
