"""Channels (RFC 8656 section 12) and their quarantine."""

from agent.core.relay.events import Channel, ToPeer
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import PEER, PEER6, pair

OTHER = (b"\x08\x08\x04\x04", 5000)


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
