"""Allocate (RFC 8656 section 7): ports that are busy, even ports, pairs and reservations, quotas."""

from agent.core.relay.events import Close, Limits, Open
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import BOTH, UDP_ONLY, V4, Caller, Place, code_of, relayed, table_sizes

EVEN = (stun.EVEN_PORT, b"\x00")
PAIR = (stun.EVEN_PORT, b"\x80")


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
