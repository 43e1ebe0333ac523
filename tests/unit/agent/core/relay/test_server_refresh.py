"""Refresh, the ends of allocations, and whose they are (RFC 8656 sections 5, 8; RFC 8489 section 9.2)."""

from agent.core.relay.credentials import long_term_key, rest_password
from agent.core.relay.events import Channel, Close, Open
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import BOTH, PEER, PEER6, REALM, V4, V6, Caller, Place, table_sizes

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


def test_whose_it_is() -> None:
    """441: another user with good credentials on the same 5-tuple; 437 without an allocation."""
    place = Place()
    caller = Caller(place)
    for code in (caller.refresh(600)[0], caller.permit(PEER), caller.bind(0x4000, PEER)):
        assert code == 437
    caller.allocate()
    other = Caller(place, 1, "bob")
    for code in (other.refresh(600)[0], other.refresh(0)[0], other.permit(PEER), other.bind(0x4000, PEER)):
        assert code == 441
    assert caller.refresh(600)[0] == 0
    stranger = Caller(place, 1, "bob")
    stranger.key = caller.key
    assert stranger.refresh(0)[0] == 401


def test_listeners_and_transports_are_apart() -> None:
    """Section 3: the 5-tuple."""
    place = Place()
    caller = Caller(place)
    caller.allocate()
    for other in (caller.client[:2] + (2,), (6,) + caller.client[1:]):
        copy = Caller(place)
        copy.client = type(caller.client)(*other)
        assert copy.refresh(600)[0] == 437


def test_stale_nonce() -> None:
    """438 after ten minutes, with a new nonce; the old one never comes back; another client's is no good."""
    place = Place()
    caller = Caller(place)
    caller.allocate((stun.LIFETIME, (3600).to_bytes(4, "big")))
    place.at(600000)
    assert caller.refresh(600)[0] == 0
    place.at(601001)
    code, answer = caller.refresh(600)
    assert code == 438 and answer.get(stun.REALM) == REALM.encode()
    old, caller.nonce = caller.nonce, answer.get(stun.NONCE) or b""
    assert caller.refresh(600)[0] == 0
    caller.nonce = old
    assert caller.refresh(600)[0] == 438
    other = Caller(place, 2)
    other.nonce = answer.get(stun.NONCE) or b""
    assert other.allocate()[0] == 438


def test_timed_credentials_end() -> None:
    """Also for Refresh: coturn's most wanted; a newer name of the same user goes on with the allocation."""
    place = Place(unix=1000)
    caller = timed(place, b"1100:ann@home")
    assert caller.allocate()[0] == 0
    place.at(99999)
    assert caller.refresh(600)[0] == 0
    place.at(100000)
    assert caller.refresh(600)[0] == 401 and caller.permit(PEER) == 401 and caller.bind(0x4000, PEER) == 401
    renewed = timed(place, b"9999:ann@home")
    renewed.nonce = caller.nonce
    assert renewed.refresh(600)[0] == 0
    other = timed(place, b"9999:eve")
    other.nonce = caller.nonce
    assert other.refresh(600)[0] == 441
    assert "ann@home" in place.relay.users


def test_timed_quota_is_of_the_user() -> None:
    """486 counts what follows the expiry, not the whole name."""
    place = Place(unix=1000)
    codes = []
    for number in range(1, 7):
        caller = timed(place, b"%d:ann" % (2000 + number), number)
        codes.append(caller.allocate()[0])
    assert codes == [0, 0, 0, 0, 486, 486]


def timed(place: Place, username: bytes, number: int = 1) -> Caller:
    caller = Caller(place, number)
    caller.username = username
    password = rest_password(place.crypto, b"secret", username)  # type: ignore[arg-type]
    caller.key = long_term_key(place.crypto, username, REALM.encode(), password)  # type: ignore[arg-type]
    return caller


def test_connection_ends() -> None:
    place = Place()
    caller = Caller(place, transport=6)
    caller.allocate()
    caller.bind(0x4000, PEER)
    place.drain()
    place.relay.client_gone(caller.client, 0)
    place.settle()
    assert [type(each) for each in place.drain()] == [Channel, Close]
    assert table_sizes(place.relay) == NOTHING


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
