"""Permissions, Send and Data indications (RFC 8656 sections 9 to 11)."""

from agent.core.relay.events import Channel, Limits, Open, ToPeer
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import PEER, PEER6, TCP, Caller, Place, pair

OTHER = (b"\x08\x08\x04\x04", 5000)
DF = (stun.DONT_FRAGMENT, b"")


def test_create_permission() -> None:
    """Section 10.2: at least one peer; all or none; 443, 403, 400."""
    place, caller, _ = pair()
    assert caller.permit() == 400
    assert caller.permit(OTHER, PEER6) == 443
    assert caller.permit(OTHER, (b"\x0a\0\0\1", 5000)) == 403
    assert caller.request(stun.CREATE_PERMISSION, (stun.XOR_PEER_ADDRESS, bytes(7)))[0] == 400
    caller.send(OTHER, b"x")
    assert place.drain(ToPeer) == [], "none of a refused request"
    assert caller.permit(OTHER, PEER) == 0
    caller.send(OTHER, b"x")
    assert len(place.drain(ToPeer)) == 1
    assert place.relay.counters["private"] == 1 and place.relay.counters["403"] == 1


def test_send() -> None:
    """Section 11.2: only with a permission of the IP, any port of it that the policy takes; never answered."""
    place, caller, number = pair()
    caller.send(PEER, b"early")
    assert caller.permit((PEER[0], 0)) == 0, "section 9: the port is ignored"
    caller.send(PEER, b"")
    caller.send((PEER[0], 5001), b"hello", DF)
    caller.send((PEER[0], 1023), b"low port")
    caller.send(PEER6, b"family")
    caller.send(PEER, b"odd", (0x7777, b""))
    assert place.drain() == [ToPeer(number, PEER, b"", False), ToPeer(number, (PEER[0], 5001), b"hello", True)]
    Caller(place, 9).send(PEER, b"no allocation")
    counters = place.relay.counters
    assert counters["no_permission"] == 2 and counters["low_port"] == 1 and counters["unexpected"] == 1
    assert counters["no_allocation"] == 1
    assert place.relay.users["ann"][1:5] == [2, 5, 0, 0]


def test_send_that_is_not_whole() -> None:
    place, caller, _ = pair()
    caller.permit(PEER)
    for attributes in (
        [],
        [(stun.DATA, b"x")],
        [(stun.XOR_PEER_ADDRESS, bytes(8))],
        [(stun.XOR_PEER_ADDRESS, b"1"), (stun.DATA, b"x")],
    ):
        assert place.give(stun.encode(stun.SEND, stun.INDICATION, bytes(12), attributes), caller.client) == []
    assert place.drain() == []


def test_dont_fragment_not_offered() -> None:
    """Section 11.2: an indication with what is not understood is dropped."""
    place = Place(Limits(20, 4, (50000, 50999), 0, 0, 1000, False))
    caller = Caller(place)
    caller.allocate()
    caller.permit(PEER)
    caller.send(PEER, b"x", DF)
    assert place.drain(ToPeer) == []


def test_data_indication() -> None:
    """Section 11.3: what a permitted peer sends comes as a Data indication, from any of its ports."""
    place, caller, number = pair()
    place.relay.from_peer(number, PEER, b"early", 0)
    caller.permit(PEER)
    place.relay.from_peer(number, (PEER[0], 77), memoryview(b"hello"), 0)  # type: ignore[arg-type]
    place.relay.from_peer(number, OTHER, b"x", 0)
    place.relay.from_peer(number + 1000, PEER, b"x", 0)
    ((data, client),) = place.relay.drain_outgoing()
    message = stun.decode(data)
    assert client == caller.client and message.method == stun.DATA_INDICATION and message.kind == stun.INDICATION
    peer = stun.read_xor_address(message.get(stun.XOR_PEER_ADDRESS), message.transaction)  # type: ignore[arg-type]
    assert peer == (PEER[0], 77) and message.get(stun.DATA) == b"hello"
    assert place.relay.users["ann"][1:5] == [0, 0, 1, 5]
    assert place.relay.counters["no_permission"] == 2 and place.relay.counters["no_allocation"] == 1


def test_data_size() -> None:
    place, caller, number = pair()
    caller.permit(PEER)
    for size, count in ((2048, 1), (2049, 0)):
        place.relay.from_peer(number, PEER, bytes(size), 0)
        assert len(place.relay.drain_outgoing()) == count
    assert place.relay.counters["too_large"] == 1


def test_data_on_a_channel() -> None:
    """Section 12.6: a bound peer's data is ChannelData, also when it comes the slow way; padded on TCP only."""
    for transport, frame in ((17, b"\x40\0\0\5hello"), (TCP, b"\x40\0\0\5hello\0\0\0")):
        place, caller, number = pair(transport=transport)
        caller.bind(0x4000, PEER)
        place.relay.from_peer(number, PEER, b"hello", 0)
        assert place.relay.drain_outgoing() == [(frame, caller.client)]


def test_permission_ends() -> None:
    """Section 9: five minutes, not longer by data; refreshed by CreatePermission."""
    place, caller, number = pair()
    caller.permit(PEER, OTHER)
    place.at(200000)
    caller.permit(OTHER)
    place.at(299999)
    caller.send(PEER, b"x")
    place.relay.from_peer(number, PEER, b"x", place.now)
    assert len(place.drain(ToPeer)) == 1 and len(place.relay.drain_outgoing()) == 1
    place.now = 300000
    place.relay.from_peer(number, PEER, b"x", place.now)  # also when wake comes late
    caller.send(PEER, b"x")
    assert place.drain(ToPeer) == [] and place.relay.drain_outgoing() == []
    caller.send(OTHER, b"x")
    assert len(place.drain(ToPeer)) == 1


def test_counts_of_the_fast_path() -> None:
    place, caller, number = pair()
    place.relay.count(number, 3, 480, 2, 2400)
    place.relay.count(number + 1000, 3, 480, 2, 2400)
    assert place.relay.users["ann"][:5] == [1, 3, 480, 2, 2400]
    caller.refresh(0)
    assert place.relay.users["ann"][:5] == [0, 3, 480, 2, 2400], "the row outlives the allocation"


def test_ceiling_of_what_passes_here() -> None:
    """One second's worth is let through at most, in each direction."""
    place = Place(Limits(20, 4, (50000, 50999), 80000, 0, 1000, True))
    caller = Caller(place)
    caller.allocate()
    number = place.drain(Open)[0].relay
    caller.permit(PEER)
    for _ in range(100):
        caller.send(PEER, bytes(500))
    for _ in range(100):
        place.relay.from_peer(number, PEER, bytes(500), 0)
    assert 1 <= len(place.drain(ToPeer)) <= 3 and 1 <= len(place.relay.drain_outgoing()) <= 3
    assert place.relay.counters["ceiling"] >= 194


def test_what_the_policy_refuses_later_ends_at_once_in_both_directions() -> None:
    place, caller, number = pair()
    assert caller.permit(PEER, OTHER) == 0 and caller.bind(0x4001, PEER) == 0
    place.drain()
    place.policy.on_link = [(PEER[0], 32)]
    place.relay.recheck(0)
    place.settle()
    assert place.drain() == [Channel(number, 0x4001, PEER, False)]
    for peer in (PEER, OTHER):
        caller.send(peer, b"up")
        place.relay.from_peer(number, peer, b"down", 0)
    assert place.drain() == [ToPeer(number, OTHER, b"up", False)]
    assert len(place.relay.drain_outgoing()) == 1, "the one of OTHER"
    assert caller.bind(0x4001, PEER) == 403 == caller.permit(PEER)
    place.policy.on_link = []
    assert caller.bind(0x4001, PEER) == 0 and place.drain() == [Channel(number, 0x4001, PEER, True)]
