"""TCP allocations (RFC 6062): Connect, ConnectionBind, ConnectionAttempt."""

from agent.core.relay.credentials import User  # noqa: F401  (imports that nest less need less of the heap)
from agent.core.relay.events import Close  # isort: split

from agent.core.relay.connections import Dial, Drop, Join, Listen
from agent.core.relay.tcp import WAIT_MS
from agent.wire import stun
from tests.unit.agent.core.relay.tcp_place import (
    NO_LIFE,
    OWN,
    PEER,
    TCP_ONLY,
    UDP_ONLY,
    TcpCaller,
    TcpPlace,
    allocated,
    code_of,
    connected,
)

CHANNEL = (stun.CHANNEL_NUMBER, b"\x40\0\0\0")


def test_allocate() -> None:
    """Section 5.1: over TCP only, without what is of UDP; then one as any other."""
    place = TcpPlace()
    assert TcpCaller(place, transport=17).request(stun.ALLOCATE, TCP_ONLY) == [400]
    for unfit in ((stun.EVEN_PORT, b"\0"), (stun.DONT_FRAGMENT, b""), (stun.RESERVATION_TOKEN, bytes(8))):
        assert TcpCaller(place).request(stun.ALLOCATE, TCP_ONLY, unfit) == [400]
    assert place.is_empty() and not place.drain(Listen)
    caller = allocated(place)
    opened = place.one(Listen)
    assert opened.user == "ann" and place.policy.tcp == {(OWN, opened.port)} and place.relay.users["ann"][0] == 1
    assert caller.request(stun.ALLOCATE, TCP_ONLY) == [437]
    assert caller.request(stun.CHANNEL_BIND, CHANNEL, (stun.XOR_PEER_ADDRESS, PEER)) == [403]
    assert caller.request(stun.REFRESH, NO_LIFE) == [0] and place.one(Close).relay == opened.relay and place.is_empty()


def test_an_address_over_tcp_is_not_ours_over_udp() -> None:
    """Somebody else's service may have the same number there; and the other way round."""
    place = TcpPlace()
    allocated(place)
    TcpCaller(place, 2, "bob").request(stun.ALLOCATE, UDP_ONLY)
    over_tcp = (OWN, place.one(Listen).port)
    assert place.policy.may_reach(over_tcp) == "external" and place.policy.may_connect(over_tcp) == ""
    over_udp = [address for address in [(OWN, port) for port in place.policy._own[OWN]] if address != over_tcp][0]
    assert place.policy.may_reach(over_udp) == "" and place.policy.may_connect(over_udp) == "external"


def test_which_peers() -> None:
    place = TcpPlace()
    caller = allocated(place)
    far = (b"\x08\x08\x08\x08", 443)
    refused = [
        ((b"\x7f\0\0\1", 443), 403),
        ((b"\x0a\0\0\1", 5000), 403),
        ((far[0], 80), 403),
        ((bytes(15) + b"\2", 5000), 443),
    ]
    for peer, code in refused:
        assert caller.connect(peer) == [code], peer
    assert caller.connect() == [400] and caller.connect(PEER, far) == [400]
    assert not place.drain(Dial)
    assert caller.connect(far) == [] and place.one(Dial).peer == far  # below 1024, but listed
    assert TcpCaller(place, 5).request(stun.CONNECT) == [437]
    udp = TcpCaller(place, 6)
    assert udp.request(stun.ALLOCATE, UDP_ONLY) == [0] and udp.connect(PEER) == [400]


def test_connect_and_bind() -> None:
    """Sections 5.2 and 5.4."""
    place = TcpPlace()
    caller = allocated(place)
    number = connected(place, caller)
    assert caller.connect(PEER) == [446]
    data = TcpCaller(place, 2)
    for other in (TcpCaller(place, 3, "bob"), caller, TcpCaller(place, 3, transport=17)):
        assert other.join(number) == [400]
    assert data.join(number + 1) == [400] and not place.drain(Join)
    assert data.join(number) == []
    join = place.one(Join)
    assert join[:2] == (number, data.client) and join.user == "ann" and join.usage is place.relay.users["ann"]
    assert code_of(stun.decode(join.greeting)) == 0 and stun.decode(join.greeting).kind == stun.SUCCESS
    assert TcpCaller(place, 4).join(number) == [400]  # only once
    place.at(WAIT_MS * 3)
    assert not place.drain(Drop)
    place.relay.ended(number, place.now)
    place.settle()
    assert place.one(Drop).connection == number
    assert caller.connect(PEER) == []


def test_nobody_answers() -> None:
    """447 when it fails, and after 30 s; who does not bind within 30 s loses the connection."""
    place = TcpPlace()
    caller = allocated(place)
    caller.connect(PEER)
    place.relay.failed(place.one(Dial).connection, 0)
    assert [code_of(answer) for _, answer in place.answers()] == [447]
    caller.connect(PEER)
    place.at(WAIT_MS - 1)
    assert place.answers() == []
    place.at(WAIT_MS)
    assert [code_of(answer) for _, answer in place.answers()] == [447]
    place.drain()
    number = connected(place, caller)
    place.at(place.now + WAIT_MS - 1)
    assert not place.drain(Drop)
    place.at(place.now + 1)
    assert place.one(Drop).connection == number and TcpCaller(place, 2).join(number) == [400]


def test_a_slow_peer_leaves_time_to_bind() -> None:
    place = TcpPlace()
    caller = allocated(place)
    caller.connect(PEER)
    place.at(WAIT_MS - 1)
    place.relay.connected(place.one(Dial).connection, place.now)
    place.at(place.now + WAIT_MS - 1)
    assert not place.drain(Drop)


def test_a_peer_comes() -> None:
    """Section 5.3: only with a permission."""
    place = TcpPlace()
    caller = allocated(place)
    relay = place.one(Listen).relay
    assert place.relay.accepted(relay, PEER, 0) == 0 and place.relay.accepted(relay + 9, PEER, 0) == 0
    assert place.answers() == []
    caller.permit(PEER)
    number = place.relay.accepted(relay, PEER, 0)
    ((client, attempt),) = place.answers()
    assert client == caller.client and (attempt.method, attempt.kind) == (stun.CONNECTION_ATTEMPT, stun.INDICATION)
    assert attempt.get(stun.CONNECTION_ID) == number.to_bytes(4, "big")
    peer = stun.read_xor_address(attempt.get(stun.XOR_PEER_ADDRESS), attempt.transaction)  # type: ignore[arg-type]
    assert peer == PEER and TcpCaller(place, 2).join(number) == []


def test_udp_is_as_before() -> None:
    place = TcpPlace()
    caller = TcpCaller(place)
    assert caller.request(stun.ALLOCATE, UDP_ONLY) == [0]
    assert caller.request(stun.CHANNEL_BIND, CHANNEL, (stun.XOR_PEER_ADDRESS, PEER)) == [0]
    assert caller.request(stun.REFRESH, NO_LIFE) == [0] and place.is_empty()
