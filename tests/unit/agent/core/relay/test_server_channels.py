"""Channels (RFC 8656 section 12), their quarantine, hairpins and what a changed policy closes."""

from agent.core.relay.events import Channel, Open, ToPeer
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import OWN4, PEER, PEER6, Caller, Place, relayed

OTHER = (b"\x08\x08\x04\x04", 5000)


def pair(**options) -> "tuple[Place, Caller, int]":  # type: ignore[no-untyped-def]
    """A place, a caller with an allocation, the number of its relay."""
    place = Place()
    caller = Caller(place, **options)
    caller.allocate()
    number: int = place.drain(Open)[0].relay
    return place, caller, number


def test_channel() -> None:
    """Section 12.2: a binding is a permission; the fast path carries it as long as both live."""
    place, caller, number = pair()
    assert caller.bind(0x4000, PEER) == 0
    assert caller.bind(0x4000, PEER) == 0
    assert place.drain(Channel) == [Channel(number, 0x4000, PEER, True)], "a refresh is no event"
    caller.send((PEER[0], 5001), b"permitted")
    assert len(place.drain(ToPeer)) == 1
    place.at(299999)
    assert place.drain() == []
    place.at(300000)
    assert place.drain() == [Channel(number, 0x4000, PEER, False)]
    assert caller.permit(PEER) == 0
    assert place.drain() == [Channel(number, 0x4000, PEER, True)], "the binding lives ten minutes"
    place.at(590000)
    caller.refresh(600)
    caller.permit(PEER)
    place.at(599999)
    assert place.drain() == []
    place.at(600000)
    assert place.drain() == [Channel(number, 0x4000, PEER, False)]


def test_channel_refused() -> None:
    """400 for its number or shape, 443, 403; in this order."""
    _, caller, _ = pair()
    for channel in (0, 0x3FFF, 0x8000, 0xFFFF):
        assert caller.bind(channel, PEER) == 400
    assert caller.bind(0x4000) == 400 and caller.bind(0x4000, PEER, OTHER) == 400 and caller.permit(PEER) == 0
    assert caller.request(stun.CHANNEL_BIND, (stun.CHANNEL_NUMBER, b"\x40\0"))[0] == 400
    assert caller.bind(0x4000, PEER6) == 443
    assert caller.bind(0x4000, (b"\x7f\0\0\1", 5000)) == 403 and caller.bind(0x4000, (PEER[0], 80)) == 403
    assert caller.bind(0x4000, PEER) == 0 and caller.bind(0x7FFF, OTHER) == 0
    assert caller.bind(0x4000, OTHER) == 400, "a number has one peer"
    assert caller.bind(0x4001, PEER) == 400, "a peer has one number"


def test_quarantine() -> None:
    """Section 12: five minutes after its end neither number nor peer are free for another; the same pair is."""
    place, caller, number = pair()
    caller.bind(0x4000, PEER)
    place.drain()
    for now in (290000, 580000):
        place.at(now)
        caller.nonce = b""
        caller.refresh(3600)
    place.at(899999)
    assert caller.bind(0x4000, OTHER) == 400 and caller.bind(0x4001, PEER) == 400
    place.at(900000)
    assert caller.bind(0x4000, OTHER) == 0 and caller.bind(0x4001, PEER) == 0
    opened = [each for each in place.drain(Channel) if each.is_open]
    assert opened == [Channel(number, 0x4000, OTHER, True), Channel(number, 0x4001, PEER, True)]
    place.at(1000000)
    assert caller.bind(0x4000, OTHER) == 0


def test_hairpin() -> None:
    """Two clients of this relay reach each other while both live; our other ports stay closed."""
    place, one, number = pair()
    other = Caller(place, 2, "bob")
    address = relayed(other.allocate()[1])[0]
    assert address[0] == OWN4
    assert one.bind(0x4000, address) == 0
    assert one.bind(0x4001, (OWN4, 49999)) == 403
    one.send((OWN4, 49999), b"x")
    one.send(address, b"hello")
    assert place.drain(ToPeer) == [ToPeer(number, address, b"hello", False)]
    place.events.clear()
    other.refresh(0)
    assert Channel(number, 0x4000, address, False) in place.events, "its port may be another program's now"
    one.send(address, b"x")
    assert one.bind(0x4000, address) == 403 and one.permit(address) == 0, "the port does not count for a permission"
    assert place.drain(ToPeer) == [] and place.relay._hairpins == {}
    one.refresh(0)
    assert Caller(place, 3).permit((OWN4, 5000)) == 437
    assert place.policy.may_permit(OWN4) == "external"


def test_hairpin_to_itself() -> None:
    place = Place()
    caller = Caller(place)
    address = relayed(caller.allocate()[1])[0]
    assert caller.bind(0x4000, address) == 0
    place.at(600000)
    assert [type(each).__name__ for each in place.drain()] == ["Open", "Channel", "Channel", "Close"]
    assert place.relay._hairpins == {}


def test_policy_changes() -> None:
    """The router has a new address, an interface another prefix: open channels there close."""
    place, caller, number = pair()
    caller.bind(0x4000, PEER)
    caller.bind(0x4001, OTHER)
    place.drain()
    place.policy.on_link = [(b"\x08\x08\x08\0", 24)]
    place.relay.recheck(0)
    place.settle()
    assert place.drain() == [Channel(number, 0x4000, PEER, False)]
    assert caller.bind(0x4000, PEER) == 403 and caller.permit(OTHER) == 0
    caller.send(PEER, b"x")
    assert place.drain() == []
