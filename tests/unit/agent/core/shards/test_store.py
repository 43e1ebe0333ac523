"""The store's machine: order of a put, group commit, and what each request comes to."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from agent.errors import LimitError, PeerError, PortError, UsageError
from tests.expect import raises
from tests.unit.agent.core.shards.rig import CORE, MOST, OTHER, SLOT, Rig, name_of, payload


@both
def test_payload_then_header_then_flush_then_the_answer():
    rig = Rig()
    data = payload(1)
    ticket = rig.begin(data)
    assert ticket.result == "ready" and rig.log == ["create"]
    rig.held = ("write", "flush")
    rig.send(ticket, data, 100)
    assert not ticket.is_at_rest and [effect.kind for effect in rig.waiting] == ["write"]
    assert rig.waiting[0].data[:4] == b"Clst" and not rig.store.effects
    rig.release()
    assert not ticket.is_at_rest and [effect.kind for effect in rig.waiting] == ["flush"]
    rig.release()
    assert ticket.result == "stored" and rig.get(ticket.shard) == data


@both
def test_waiting_puts_share_one_flush():
    rig = Rig()
    rig.held = ("flush",)
    tickets = []
    for number in range(9):
        tickets.append(rig.begin(payload(number)))
        rig.send(tickets[-1], payload(number))
    assert [effect.kind for effect in rig.waiting] == ["flush"]
    assert not [ticket for ticket in tickets if ticket.is_at_rest]
    rig.release()
    assert [ticket.result for ticket in tickets] == ["stored"] + [""] * 8
    rig.release()
    assert [ticket.result for ticket in tickets] == ["stored"] * 9
    assert rig.log.count("flush") == 2


@both
def test_present_is_verified_first():
    rig = Rig()
    data = payload(1)
    assert rig.put(data) == "stored"
    rig.log.clear()
    assert rig.put(data) == "present" and rig.log == ["read", "hash"]
    rig.start()
    rig.log.clear()
    assert rig.put(data) == "present" and rig.log == ["read", "hash", "flush"], "a killed process may not have flushed"
    rig.log.clear()
    assert rig.put(data) == "present" and rig.log == ["read", "hash"]


@both
def test_present_extends_a_promise_and_never_shortens_it():
    rig = Rig(quota=SLOT)
    data = payload(1)
    assert rig.put(data, keep_until=2_000_000) == "stored"
    rig.log.clear()
    assert rig.put(data, keep_until=3_000_000) == "present" and rig.log == ["read", "hash", "write", "flush"]
    for keep_until in (2_500_000, 3_000_000):
        rig.log.clear()
        assert rig.put(data, keep_until=keep_until) == "present" and "write" not in rig.log
    assert rig.put(data, keep_until=0) == "present" and rig.put(data, keep_until=4_000_000) == "present"
    rig.times[CORE] = 9_000_000
    rig.start()
    assert rig.put(payload(2)) == "quota"
    assert rig.get(name_of(data)) == data, "until deleted"


@both
def test_a_torn_copy_is_not_present():
    rig = Rig()
    data = payload(1, 600)
    rig.put(data)
    rig.slabs[(SLOT, 0)].slot(0)[128 + 300] ^= 1
    rig.start()
    assert rig.put(data) == "stored" and rig.reports() == [(CORE, "sha256")]
    assert rig.get(name_of(data)) == data
    rig.start()
    assert rig.get(name_of(data)) == data and rig.store.usage()["shards"] == 1


@both
def test_wrong_bodies_store_nothing_and_free_the_slot():
    rig = Rig(quota=SLOT)
    data = payload(1)
    ticket = rig.begin(data)
    raises(UsageError, rig.store.receive, ticket, 101, 0)
    rig.carry_out(rig.store.receive(ticket, 100, 0), payload(2))
    assert raises(PeerError, rig.store.commit, ticket, name_of(payload(2)), 0).code == "digest"
    ticket = rig.begin(data)
    rig.carry_out(rig.store.receive(ticket, 60, 0), data[:60])
    assert raises(PeerError, rig.store.commit, ticket, name_of(data[:60]), 0).code == "short"
    ticket = rig.begin(data)
    assert raises(LimitError, rig.store.receive, ticket, 100, 600_001).code == "slow"
    rig.store.abort(ticket)
    ticket = rig.begin(data)
    rig.store.abort(ticket)
    rig.store.abort(ticket)
    assert rig.get(name_of(data)) == "absent"
    assert rig.store.usage()["used"] == 0 and rig.put(data) == "stored"


@both
def test_a_put_that_is_abandoned_while_it_waits():
    rig = Rig(quota=SLOT)
    rig.held = ("create",)
    ticket = rig.begin(payload(1))
    rig.store.abort(ticket)
    rig.release()
    assert ticket.result == "aborted" and rig.store.usage()["used"] == 0
    rig.held = ()
    assert rig.put(payload(1)) == "stored"


@both
def test_one_writer_a_shard():
    rig = Rig()
    data = payload(1)
    ticket = rig.begin(data)
    assert raises(LimitError, rig.begin, data).code == "busy"
    assert raises(LimitError, rig.delete, name_of(data)).code == "busy"
    assert rig.begin(data, OTHER).result == "ready", "another core's copy is another record"
    assert rig.get(name_of(data)) == "absent"
    rig.send(ticket, data)
    assert rig.put(data) == "present"


@both
def test_delete():
    rig = Rig()
    data = payload(1)
    rig.put(data)
    assert rig.delete(name_of(payload(2))) == "absent"
    assert rig.delete(name_of(data), OTHER) == "absent"
    rig.held = ("flush",)
    ticket = rig.store.delete(CORE, name_of(data), 0)
    rig.pump()
    assert not ticket.is_at_rest and rig.store.usage()["used"] == SLOT
    assert rig.get(name_of(data)) == ("absent" if rig.layout == "slabs" else data) and rig.reports() == []
    rig.release()
    assert ticket.result == "deleted" and rig.store.usage()["used"] == 0
    rig.start()
    assert rig.get(name_of(data)) == "absent"


@both
def test_sizes_at_the_edge():
    rig = Rig()
    for length in (0, 1, MOST):
        data = payload(length, length)
        assert rig.put(data) == "stored" and rig.get(name_of(data)) == data
    assert raises(PeerError, rig.begin, payload(1, MOST + 1)).code == "too_big"
    assert raises(PeerError, rig.begin, payload(7), CORE, 999_999).code == "keep_until"


@both
def test_a_failed_flush_acknowledges_nothing_ever_again():
    rig = Rig()
    kept, lost = payload(1), payload(2)
    rig.put(kept)
    rig.held = ("flush",)
    tickets = []
    for number in (2, 3):
        tickets.append(rig.begin(payload(number)))
        rig.send(tickets[-1], payload(number))
    late = rig.begin(payload(4))
    rig.failing = {"flush": "io"}
    rig.release()
    assert [ticket.error.code for ticket in tickets] == ["io", "io"], "the one that waited, too"
    rig.failing = {}
    assert raises(PortError, rig.send, late, payload(4)).code == "io"
    assert raises(PortError, rig.begin, payload(5)).code == "io"
    assert raises(PortError, rig.delete, name_of(kept)).code == "io"
    assert rig.get(name_of(kept)) == kept and rig.get(name_of(lost)) == "absent"
    assert rig.reports() == [("", "io")] and rig.store.usage()["read_only"]


@both
def test_failed_writes():
    for kind in ("payload", "header", "erase"):
        rig = Rig()
        kept, data = payload(1), payload(2)
        rig.put(kept)
        ticket = rig.begin(data)
        if kind == "payload":
            rig.failing = {"write": "read_only"}
            rig.carry_out(rig.store.receive(ticket, 100, 0), data)
            assert raises(PortError, rig.store.commit, ticket, name_of(data), 0).code == "read_only"
        elif kind == "header":
            rig.carry_out(rig.store.receive(ticket, 100, 0), data)
            rig.failing = {"write": "io"}
            rig.store.commit(ticket, name_of(data), 0)
            rig.pump()
            assert ticket.error.code == "io"
        else:
            rig.failing = {"write": "io"}
            assert rig.delete(name_of(kept)) == "io"
        rig.failing = {}
        assert rig.get(name_of(kept)) == kept and rig.get(name_of(data)) == "absent"
        assert rig.store.fault != "" and len(rig.reports()) == 1


@both
def test_a_full_disk_within_a_slab_is_no_fault():
    rig = Rig(quota=4 * SLOT)
    data = payload(1)
    ticket = rig.begin(data)
    rig.failing = {"write": "disk_full"}
    rig.carry_out(rig.store.receive(ticket, 100, 0), data)
    assert ticket.error.code == "disk_full" and rig.store.fault == ""
    rig.failing = {}
    assert rig.put(data) == "stored" and rig.store.usage()["used"] == SLOT
