"""Allocate (RFC 8656 section 7) and two families (RFC 6156)."""

from agent.core.relay.events import Limits, Open
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import (
    BOTH,
    OWN4,
    OWN6,
    UDP_ONLY,
    V4,
    V6,
    Caller,
    Place,
    is_intact,
    relayed,
    table_sizes,
)

EVEN = (stun.EVEN_PORT, b"\x00")
PAIR = (stun.EVEN_PORT, b"\x80")


def lifetime(answer: stun.Message) -> int:
    return int.from_bytes(answer.get(stun.LIFETIME), "big")  # type: ignore[arg-type]


def test_grant() -> None:
    """Section 7.2: relayed and mapped address, the lifetime, proven by the user's key."""
    place = Place()
    caller = Caller(place)
    code, answer = caller.allocate()
    assert code == 0 and answer.kind == stun.SUCCESS and lifetime(answer) == 600
    ((ip, port),) = relayed(answer)
    assert ip == OWN4 and 50000 <= port <= 50999
    mapped = stun.read_xor_address(answer.get(stun.XOR_MAPPED_ADDRESS), answer.transaction)  # type: ignore[arg-type]
    assert mapped == caller.client.source
    (opened,) = place.drain(Open)
    assert opened[1:] == (4, port, "ann")
    assert place.relay.allocated == 1 and place.relay.users["ann"][0] == 1


def test_proof_of_the_answer() -> None:
    """RFC 8489 section 9.2.4: in the form of the request."""
    for is_sha256 in (False, True):
        place = Place()
        caller = Caller(place)
        caller.allocate()
        caller.is_sha256 = is_sha256
        place.relay.receive(caller.signed(stun.REFRESH, []), caller.client, 0)
        data = place.relay.drain_outgoing()[0][0]
        assert is_intact(place, data, caller.key) and not is_intact(place, data, bytes(16))
        assert len(data) == 20 + 8 + (36 if is_sha256 else 24)


def test_lifetimes() -> None:
    """Section 7.2: at least the default, at most ours."""
    for number, (asked, granted) in enumerate(
        [(0, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (90000, 3600)]
    ):
        caller = Caller(Place(), number + 1)
        assert lifetime(caller.allocate((stun.LIFETIME, asked.to_bytes(4, "big")))[1]) == granted


def test_retransmission() -> None:
    """Section 7.2: the same answer, no second allocation; another transaction is 437; another user too."""
    place = Place()
    caller = Caller(place)
    caller.allocate()
    data = caller.signed(stun.ALLOCATE, [UDP_ONLY])
    assert caller.repeat(data)[0] == 437
    caller.refresh(0)
    place.relay.receive(data, caller.client, 0)
    place.settle()
    first = place.relay.drain_outgoing()
    place.now = 5000
    place.relay.receive(data, caller.client, 5000)
    assert place.relay.drain_outgoing() == first and first[0][1] == caller.client
    assert place.relay.allocated == 2 and len(place.drain(Open)) == 2
    other = Caller(place, 1, "bob")
    other.nonce = caller.nonce
    assert other.repeat(other.signed(stun.ALLOCATE, [UDP_ONLY], caller.transaction))[0] == 437


def test_retransmission_while_opening() -> None:
    place = Place()
    caller = Caller(place)
    caller.request(stun.REFRESH)
    place.is_slow = True
    data = caller.signed(stun.ALLOCATE, [UDP_ONLY])
    assert place.give(data, caller.client) == [] and place.give(data, caller.client) == []
    (opened,) = place.drain(Open)
    assert caller.request(stun.REFRESH)[0] == 437, "it is not there yet"
    place.relay.opened(opened.relay, 0)
    place.relay.opened(opened.relay, 0)
    assert len(place.relay.drain_outgoing()) == 1


def test_refused_attributes() -> None:
    """400, 442, 440 in the order of section 7.2."""
    token = (stun.RESERVATION_TOKEN, bytes(8))
    rows = (
        (400, []),
        (400, [(stun.REQUESTED_TRANSPORT, b"\x11")]),
        (442, [(stun.REQUESTED_TRANSPORT, b"\x06\0\0\0")]),
        (400, [UDP_ONLY, token, EVEN]),
        (400, [UDP_ONLY, token, V4]),
        (400, [UDP_ONLY, token, BOTH]),
        (400, [UDP_ONLY, V4, BOTH]),
        (400, [UDP_ONLY, BOTH, PAIR]),
        (400, [UDP_ONLY, (stun.ADDITIONAL_ADDRESS_FAMILY, b"\x01\0\0\0")]),
        (400, [UDP_ONLY, (stun.EVEN_PORT, b"\x80\0")]),
        (400, [UDP_ONLY, (stun.LIFETIME, b"\0\0\1")]),
        (400, [UDP_ONLY, (stun.RESERVATION_TOKEN, bytes(7))]),
        (440, [UDP_ONLY, (stun.REQUESTED_ADDRESS_FAMILY, b"\x03\0\0\0")]),
        (508, [UDP_ONLY, token]),
    )
    place = Place()
    caller = Caller(place)
    for code, attributes in rows:
        assert caller.request(stun.ALLOCATE, *attributes)[0] == code, (code, attributes)
    assert not place.events and table_sizes(place.relay) == (0,) * 7
    assert place.relay.counters == {"401": 1, "400": 11, "442": 1, "440": 1, "508": 1}


def test_unknown_attributes() -> None:
    """420 (RFC 8489 section 6.3.1); one that may be ignored is; DONT-FRAGMENT as the driver can."""
    place = Place()
    caller = Caller(place)
    code, answer = caller.allocate((0x7777, b""), (0x7778, b"x"))
    assert code == 420 and answer.get(stun.UNKNOWN_ATTRIBUTES) == b"\x77\x77\x77\x78"
    assert caller.allocate((0x9999, b""), (stun.DONT_FRAGMENT, b""))[0] == 0
    place = Place(Limits(20, 4, (50000, 50999), 0, 0, 1000, False))
    code, answer = Caller(place).allocate((stun.DONT_FRAGMENT, b""))
    assert code == 420 and answer.get(stun.UNKNOWN_ATTRIBUTES) == b"\x00\x1a"


def test_families() -> None:
    """RFC 8656 section 7.2: one, other, both; what is not offered is 440, or ADDRESS-ERROR-CODE beside the other."""
    for families, asked, code, ips, error in (
        ((4, 6), V6, 0, [OWN6], None),
        ((4, 6), BOTH, 0, [OWN4, OWN6], None),
        ((4,), BOTH, 0, [OWN4], b"\x02\0\x04\x28"),
        ((6,), BOTH, 0, [OWN6], b"\x01\0\x04\x28"),
        ((4,), V6, 440, [], None),
        ((), BOTH, 440, [], None),
    ):
        place = Place(families=families)
        got, answer = Caller(place).allocate(asked)
        assert got == code and [ip for ip, _ in relayed(answer)] == ips
        assert answer.get(stun.ADDRESS_ERROR_CODE) == error
