"""Refresh and the ends of allocations (RFC 8656 sections 5, 8)."""

from agent.core.relay.events import Channel, Close, Open
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import BOTH, PEER, PEER6, V4, V6, Caller, Place, table_sizes

NOTHING = (0,) * 7


def lifetime(answer: stun.Message) -> int:
    return int.from_bytes(answer.get(stun.LIFETIME), "big")  # type: ignore[arg-type]


def test_lifetimes() -> None:
    """Section 8.2: 0 ends it, else between the default and ours; without LIFETIME the default."""
    caller = Caller(Place())
    caller.allocate()
    assert lifetime(caller.request(stun.REFRESH)[1]) == 600
    for asked, granted in ((1, 600), (700, 700), (0xFFFFFFFF, 3600)):
        code, answer = caller.refresh(asked)
        assert code == 0 and lifetime(answer) == granted
    assert caller.refresh(600, (stun.REQUESTED_ADDRESS_FAMILY, b"\x03\0\0\0"))[0] == 440
    assert caller.request(stun.REFRESH, (stun.LIFETIME, b"\1"))[0] == 400
    code, answer = caller.refresh(0)
    assert code == 0 and lifetime(answer) == 0
    assert caller.refresh(0)[0] == 437
    assert caller.place.relay.users["ann"][0] == 0


def test_expiry() -> None:
    place = Place()
    caller = Caller(place)
    caller.allocate()
    place.at(300000)
    place.at(599999)
    assert place.drain(Close) == []
    place.at(600000)
    assert len(place.drain(Close)) == 1
    assert caller.refresh(600)[0] in (437, 438)
    assert table_sizes(place.relay) == NOTHING and place.relay.wake_at is None


def test_expiry_after_refresh() -> None:
    place = Place()
    caller = Caller(place)
    caller.allocate()
    place.at(500000)
    assert caller.refresh(3600)[0] == 0
    place.at(4099999)
    assert place.drain(Close) == []
    place.at(4100000)
    assert len(place.drain(Close)) == 1


def test_refresh_that_shortens() -> None:
    place = Place()
    caller = Caller(place)
    caller.allocate((stun.LIFETIME, (3600).to_bytes(4, "big")))
    place.at(1000)
    caller.refresh(600)
    place.at(600999)
    assert place.drain(Close) == []
    place.at(601000)
    assert len(place.drain(Close)) == 1


def test_a_late_driver_gets_no_more() -> None:
    """Expired is expired, also when wake comes late."""
    place = Place()
    caller = Caller(place)
    caller.allocate()
    place.now = 600000
    assert caller.refresh(600)[0] == 437
    assert len(place.drain(Close)) == 1


def test_two_families() -> None:
    """Section 8.2: one of the two can be given up, with all that hangs on it; 443 for a family that is not there."""
    place = Place()
    caller = Caller(place)
    caller.allocate(BOTH)
    four, six = place.drain(Open)
    assert caller.bind(0x4000, PEER) == 0 and caller.bind(0x4001, PEER6) == 0
    assert place.drain(Channel) == [Channel(four.relay, 0x4000, PEER, True), Channel(six.relay, 0x4001, PEER6, True)]
    place.at(100000)
    assert caller.refresh(600, V6)[0] == 0
    assert caller.refresh(0, V4)[0] == 0
    assert place.drain() == [Channel(four.relay, 0x4000, PEER, False), Close(four.relay)]
    assert caller.refresh(600, V4)[0] == 443 and caller.permit(PEER) == 443 and caller.permit(PEER6) == 0
    assert caller.bind(0x4002, PEER) == 443
    assert caller.refresh(0)[0] == 0
    assert place.drain() == [Channel(six.relay, 0x4001, PEER6, False), Close(six.relay)]
    assert table_sizes(place.relay) == NOTHING


def test_families_end_apart() -> None:
    place = Place()
    caller = Caller(place)
    caller.allocate(BOTH)
    four, six = place.drain(Open)
    place.at(100000)
    assert caller.refresh(600, V6)[0] == 0
    place.at(600000)
    assert place.drain() == [Close(four.relay)]
    place.at(700000)
    assert place.drain() == [Close(six.relay)]


def test_cycles_leave_nothing() -> None:
    """A thousand here, 10,000 in tests/vectors: allocations that expire, are given up, or lose their connection."""
    place = Place()
    for cycle in range(1000):
        caller = Caller(place, cycle % 7 + 1)
        assert caller.allocate()[0] == 0
        if cycle % 3 == 0:
            place.at(place.now + 600000)
        elif cycle % 3 == 1:
            caller.refresh(0)
        else:
            place.relay.client_gone(caller.client, place.now)
            place.settle()
        place.drain()
        assert table_sizes(place.relay) == NOTHING and place.relay.wake_at is None
    assert place.relay.allocated == 1000 and len(place.relay.users) == 1
