"""The store under a flash budget: typed refusals, serving goes on, and what is written is never more than it says."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from agent.core.shards.ticket import CREATE, WRITE
from agent.errors import LimitError
from tests.expect import raises
from tests.unit.agent.core.shards.rig import SLOT, Rig, name_of, payload

DAY_MS = 25 * 3_600_000
PAGE = 4096


class Worn(Rig):
    """`written`: bytes in pages, as a file system writes them."""

    written = 0

    def __init__(self, quota, day):
        self.day = day
        super().__init__(quota)

    def carry_out(self, effect, data=None):
        if effect.kind == WRITE and effect.data is not None:
            self.written += PAGE  # a header, and the body in the same page
        elif effect.kind == CREATE:
            self.written += PAGE if self.store.space.notes_bytes else effect.slab.bytes
        elif effect.kind == "memo":
            self.written += PAGE
        super().carry_out(effect, data)


@both
def test_a_spent_day_refuses_promises_and_serves_on():
    rig = Worn(64 * SLOT, 60 * PAGE)
    number = 0
    while (result := rig.put(payload(number))) == "stored":
        number += 1
    assert result == "flash" and 0 < number < 60
    assert rig.written <= rig.day
    ticket = rig.begin(payload(999))
    assert type(ticket.error) is LimitError and 24 * 3600 < ticket.error.retry_s <= 25 * 3600 + 1
    assert rig.get(name_of(payload(0))) == payload(0) and rig.put(payload(0)) == "present"
    assert rig.delete(name_of(payload(0))) == "deleted", "a part is left for that"
    assert rig.written <= rig.day
    rig.start()
    assert rig.put(payload(999)) == "flash", "a restart gives nothing back"
    rig.now = DAY_MS
    assert rig.put(payload(999)) == "stored"


@both
def test_deletions_stop_at_the_ceiling():
    rig = Worn(64 * SLOT, 60 * PAGE)
    number = 0
    while rig.put(payload(number)) == "stored":
        number += 1
    rig.store.flash.exhaust()
    error = raises(LimitError, rig.delete, name_of(payload(1)))
    assert error.code == "flash" and error.retry_s and rig.get(name_of(payload(1))) == payload(1)


def test_a_slab_that_the_day_does_not_allow():
    rig = Worn(64 * SLOT, 10 * PAGE)
    assert rig.put(payload(1)) == "flash" and not rig.slabs and not rig.written


@both
def test_the_memo_is_there_before_what_it_counts():
    rig = Worn(64 * SLOT, 1000 * PAGE)
    rig.held = ("memo",)
    ticket = rig.begin(payload(1))
    assert not ticket.is_at_rest and rig.written == 0
    rig.release()
    assert ticket.result == "ready"
    rig.held = ("memo",)
    rig.send(ticket, payload(1))
    assert ticket.result == "stored", "covered by what the memo says already"


@both
def test_an_abandoned_put_is_not_counted():
    rig = Worn(64 * SLOT, 1000 * PAGE)
    rig.put(payload(0))
    left = rig.store.usage()["flash_left"]
    rig.store.abort(rig.begin(payload(1)))
    assert rig.store.usage()["flash_left"] == left


@both
def test_a_memo_that_cannot_be_written():
    for code, fault in (("disk_full", ""), ("io", "io")):
        rig = Worn(64 * SLOT, 1000 * PAGE)
        rig.failing = {"memo": code}
        assert rig.put(payload(1)) == "disk_full" and rig.store.fault == fault
        rig.failing = {}
        rig.now += 61_000
        if not fault:
            assert rig.put(payload(1)) == "stored"
