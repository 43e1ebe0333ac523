"""Allocate (RFC 8656 section 7), two families (RFC 6156), even ports and reservations."""

from agent.core.relay.events import Close, Limits, Open
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
    code_of,
    is_intact,
    relayed,
    table_sizes,
)  # fmt: skip

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


def test_busy_ports() -> None:
    """Eight ports are tried; then 508, or ADDRESS-ERROR-CODE where the other family has one."""
    place = Place()
    place.busy = 7
    assert Caller(place).allocate()[0] == 0
    opens = place.drain(Open)
    assert len({each.relay for each in opens}) == 8
    place.busy = 8
    assert Caller(place, 2).allocate()[0] == 508
    place.busy = 1000
    assert Caller(place, 2).allocate(BOTH)[0] == 508
    assert place.drain(Close) == [], "what was busy is not closed"
    assert table_sizes(place.relay)[:4] == (1, 1, 0, 1) and place.relay.users["ann"][0] == 1


def test_busy_one_family() -> None:
    place = Place()
    place.is_slow = True
    caller = Caller(place)
    caller.request(stun.REFRESH)
    assert place.give(caller.signed(stun.ALLOCATE, [UDP_ONLY, BOTH]), caller.client) == []
    four, six = place.drain(Open)
    place.relay.opened(four.relay, 0)
    for _ in range(8):
        assert place.relay.outgoing == []
        place.relay.busy(six.relay, 0)
        place.settle()
        six = (place.drain(Open) or [six])[0]
    answer = stun.decode(place.relay.drain_outgoing()[0][0])
    assert len(relayed(answer)) == 1 and answer.get(stun.ADDRESS_ERROR_CODE) == b"\x02\0\x05\x08"
    place.relay.busy(six.relay, 0)
    place.relay.opened(six.relay, 0)  # late answers change nothing
    assert place.relay.outgoing == [] and place.relay.events == []


def test_client_gone_while_opening() -> None:
    place = Place()
    place.is_slow = True
    caller = Caller(place)
    caller.request(stun.REFRESH)
    place.give(caller.signed(stun.ALLOCATE, [UDP_ONLY, PAIR]), caller.client)
    one, other = place.drain(Open)
    place.relay.client_gone(caller.client, 0)
    place.relay.client_gone(caller.client, 0)
    place.relay.opened(one.relay, 0)
    place.relay.busy(other.relay, 0)
    place.settle()
    assert place.drain(Close) == [Close(one.relay), Close(other.relay)]
    assert table_sizes(place.relay) == (0,) * 7 and place.relay.outgoing == []


def test_pair_of_ports() -> None:
    """Section 7.2: EVEN-PORT with R reserves the next port 30 s for the same user; the token is good once."""
    place = Place()
    caller = Caller(place)
    code, answer = caller.allocate(PAIR)
    port = relayed(answer)[0][1]
    token = (stun.RESERVATION_TOKEN, answer.get(stun.RESERVATION_TOKEN))
    assert code == 0 and port % 2 == 0
    assert [each.port for each in place.drain(Open)] == [port, port + 1]
    assert Caller(place, 2, "bob").allocate(token)[0] == 508
    code, answer = Caller(place, 3).allocate(token)
    assert code == 0 and relayed(answer)[0][1] == port + 1
    assert place.drain(Open) == []
    assert Caller(place, 4).allocate(token)[0] == 508


def test_reservation_ends() -> None:
    place = Place()
    _, answer = Caller(place).allocate(PAIR)
    token = (stun.RESERVATION_TOKEN, answer.get(stun.RESERVATION_TOKEN))
    place.at(29999)
    assert place.drain(Close) == []
    place.at(30000)
    assert len(place.drain(Close)) == 1
    assert Caller(place, 2).allocate(token)[0] == 508
    assert table_sizes(place.relay)[:4] == (1, 1, 0, 1)


def test_even_port_only() -> None:
    for number in range(1, 5):
        place = Place(seed=number)
        code, answer = Caller(place, number).allocate(EVEN)
        assert code == 0 and relayed(answer)[0][1] % 2 == 0 and len(place.drain(Open)) == 1


def test_pair_with_a_busy_half() -> None:
    """The half that opened is closed before another pair is tried."""
    for is_first in (True, False):
        place = Place()
        place.is_slow = True
        caller = Caller(place)
        caller.request(stun.REFRESH)
        place.give(caller.signed(stun.ALLOCATE, [UDP_ONLY, PAIR]), caller.client)
        one, other = place.drain(Open)
        if is_first:
            one, other = other, one
        place.relay.opened(one.relay, 0)
        place.is_slow = False
        place.relay.busy(other.relay, 0)
        place.settle()
        assert [each.relay for each in place.drain(Close)] == [one.relay]
        assert code_of(stun.decode(place.relay.drain_outgoing()[0][0])) == 0
        assert table_sizes(place.relay)[:4] == (1, 2, 1, 2)


def test_reservations_are_bounded() -> None:
    place = Place(Limits(20, 9, (50000, 50999), 0, 0, 1000, True))
    codes = [Caller(place, number).allocate(PAIR)[0] for number in range(1, 7)]
    assert codes == [0, 0, 0, 0, 508, 508]


def test_small_pool_of_ports() -> None:
    """Behind a router there are as many ports as mappings; all are used, then 508."""
    place = Place(Limits(20, 20, (50001, 50005), 0, 0, 1000, True))
    ports = []
    for number in range(1, 6):
        code, answer = Caller(place, number).allocate(V4)
        ports.append(relayed(answer)[0][1])
    assert sorted(ports) == [50001, 50002, 50003, 50004, 50005]
    assert Caller(place, 7).allocate()[0] == 508
    assert Caller(place, 8).allocate(EVEN)[0] == 508
    place = Place(Limits(20, 20, (50001, 50002), 0, 0, 1000, True))
    assert Caller(place).allocate(PAIR)[0] == 508
    assert Caller(place).allocate(EVEN)[0] == 0


def test_quotas() -> None:
    """486 for one user, 508 for all; what ends makes room."""
    place = Place(Limits(5, 4, (50000, 50999), 0, 0, 1000, True))
    callers = [Caller(place, number) for number in range(1, 6)]
    assert [caller.allocate()[0] for caller in callers] == [0, 0, 0, 0, 486]
    assert Caller(place, 10, "bob").allocate()[0] == 0
    assert Caller(place, 11, "bob").allocate()[0] == 508
    assert callers[0].refresh(0)[0] == 0
    assert callers[4].allocate()[0] == 0
