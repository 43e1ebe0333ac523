"""Peers that are our own relayed addresses, and a policy that changes (RFC 8656 section 5 leaves both to us)."""

from agent.core.relay.events import Channel, ToPeer
from tests.unit.agent.core.relay.relaying import OWN4, PEER, Caller, Place, pair, relayed

OTHER = (b"\x08\x08\x04\x04", 5000)


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
