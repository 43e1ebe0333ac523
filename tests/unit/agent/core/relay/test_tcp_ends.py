"""TCP allocations (RFC 6062): how many connections there may be, and how they end."""

# Imports that nest less need less of the heap.
# isort: off
from agent.core.relay.credentials import User  # noqa: F401
from agent.core.relay.server import Relay  # noqa: F401
from agent.core.relay import tcp
from agent.core.relay.connections import Dial, Drop, Listen

# isort: on
from agent.wire import stun
from tests.unit.agent.core.relay.tcp_place import NO_LIFE, PEER, UDP_ONLY, TcpCaller, TcpPlace, allocated, connected


def test_all_end_with_the_allocation() -> None:
    for end in ("refresh", "gone", "expired", "user"):
        place = TcpPlace()
        caller = allocated(place)
        number = connected(place, caller)
        TcpCaller(place, 2).join(number)
        caller.connect((PEER[0], 5001))
        place.drain()
        if end == "refresh":
            caller.request(stun.REFRESH, NO_LIFE)
        elif end == "gone":
            place.relay.client_gone(caller.client, 0)
        elif end == "user":
            place.relay.end(lambda user: user == "ann", 0)
        else:
            place.at(601_000)
        place.settle()
        assert len(place.drain(Drop)) == 2 and place.is_empty(), end


def test_bounds() -> None:
    place = TcpPlace()
    caller = allocated(place)
    kept, tcp.ALLOCATION_CONNECTIONS_MAX = tcp.ALLOCATION_CONNECTIONS_MAX, 3  # all of them would not fit the heap
    try:
        assert [caller.connect((PEER[0], 5000 + number)) for number in range(4)] == [[], [], [], [508]]
        caller.permit(PEER)
        assert place.relay.accepted(place.one(Listen).relay, PEER, 0) == 0
    finally:
        tcp.ALLOCATION_CONNECTIONS_MAX = kept


def test_a_connection_counts_as_an_allocation() -> None:
    """486 of its user, 508 in all; a peer that comes too; and allocations see it."""
    for limits, code in (((9, 3), 486), ((3, 3), 486), ((3, 9), 508)):
        place = TcpPlace(limits)
        caller = allocated(place)
        relay = place.one(Listen).relay
        assert [caller.connect((PEER[0], 5000 + number)) for number in range(3)] == [[], [], [code]]
        caller.permit(PEER)
        assert place.relay.accepted(relay, PEER, 0) == 0 and place.relay.users["ann"][0] == 3
        assert TcpCaller(place, 2, "bob").request(stun.ALLOCATE, UDP_ONLY) == [508 if limits[0] == 3 else 0]
        place.relay.failed(place.drain(Dial)[0].connection, 0)
        assert len(place.answers()) == 1 and caller.connect(PEER) == []
        for gone in (1, 2):
            place.relay.client_gone(TcpCaller(place, gone).client, 0)
        place.settle()
        assert place.relay.users["ann"][0] == 0 and place.is_empty()


def test_a_connection_ends_with_its_credentials() -> None:
    """The last that its allocation was refreshed with; who is not joined has its own deadline."""
    place = TcpPlace()
    caller = allocated(place, user="1:ann")
    number = connected(place, caller)
    place.credentials.over.append(b"1:ann")
    place.relay.expire(0)
    assert TcpCaller(place, 2, "2:ann").join(number) == []
    place.relay.expire(0)
    caller.user = b"3:ann"
    assert caller.request(stun.REFRESH) == [0]
    place.credentials.over.append(b"2:ann")
    place.relay.expire(0)
    place.settle()
    assert not place.drain(Drop)
    place.credentials.over.append(b"3:ann")
    place.relay.expire(0)
    place.settle()
    assert place.one(Drop).connection == number and not place.relay.connections
