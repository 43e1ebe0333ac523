"""Whose an allocation is, and credentials that end (RFC 8656 section 5; RFC 8489 section 9.2)."""

from agent.core.relay.credentials import long_term_key, rest_password
from agent.core.relay.events import Channel, Close
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import PEER, REALM, Caller, Place, table_sizes


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
    assert table_sizes(place.relay) == (0,) * 7
