"""The mDNS responder among others: strangers, legacy resolvers, floods, garbage."""

# First, because compiling it takes the most room.
from agent.port.micropython.responder import ANNOUNCED

# isort: split
from agent.errors import PeerError
from agent.port.micropython import dns
from tests.expect import raises
from tests.unit.agent.port.responding import ATTIC, HOME, KIND, PEER, announced, run, say, srv


def query(flags: int = 0, is_direct: bool = False) -> bytes:
    return dns.encode(dns.Message(9, flags, [dns.Question(KIND, dns.PTR, dns.IN, is_direct)], [], [], []))


def test_strangers_are_not_answered():
    machine = announced()
    for source in (("eth0/4", b"\x08\x08\x08\x08", 5353), ("eth0/4", b"\x08\x08\x08\x08", 40000), ("ppp0/4", HOME, 1)):
        machine.receive(query(), source, 20000)
        say(machine, 20000, [srv()], source)
    assert machine.wake_at is None and not machine.outgoing and machine.state == ANNOUNCED


def test_neighbours_are_told_apart_from_strangers():
    from agent.port.micropython.neighbours import is_on_link

    networks = [(HOME, 24), (b"\xfd" + b"\x00" * 15, 64)]
    for address in (
        b"\xc0\xa8\x01\xff",
        b"\xa9\xfe\x09\x09",
        b"\xfe\x80" + b"\x01" * 14,
        b"\xfd" + b"\x00" * 14 + b"\x09",
    ):
        assert is_on_link(address, networks)
    for address in (b"\xc0\xa8\x02\x01", b"\xfd\x01" + b"\x00" * 14, b"\x20\x01" + b"\x00" * 14):
        assert not is_on_link(address, networks)


def test_a_response_from_another_port_is_ignored():
    machine = announced()
    say(machine, 20000, [srv()], ("eth0/4", b"\xc0\xa8\x01\x14", 4000))
    assert machine.state == ANNOUNCED


def test_a_legacy_resolver_gets_a_plain_answer():
    machine = announced()
    source = ("eth0/4", b"\xc0\xa8\x01\x14", 40000)
    machine.receive(query(), source, 20000)
    ((data, to),) = machine.drain_outgoing()
    message = dns.decode(data)
    assert to == source and message.id == 9 and len(message.questions) == 1
    assert [(r.ttl, r.flush, r.data) for r in message.answers] == [(10, False, ATTIC)]
    assert not message.additionals


def test_unicast_replies_have_an_allowance():
    from agent.port.micropython.replies import UNICAST_BURST

    machine = announced()
    for turn in range(1000):
        machine.receive(query(), ("eth0/4", b"\xc0\xa8\x01\x14", 40000), 20000 + turn)
    assert UNICAST_BURST <= len(machine.drain_outgoing()) <= UNICAST_BURST + 10


def test_a_unicast_question_is_answered_so_when_the_group_knows_already():
    machine = announced()
    machine.receive(query(0, True), PEER, 20000)
    ((_, to),) = machine.drain_outgoing()
    assert to == PEER and machine.wake_at is None
    machine.receive(query(0, True), PEER, 2000000)  # more than a quarter of 4500 s later
    assert run(machine, 2001000)[0][2] == ("eth0/4", None, 5353)


def test_a_unicast_question_from_this_machine_is_answered_to_the_group():
    machine = announced()
    machine.receive(query(0, True), ("eth0/4", HOME, 5353), 20000)
    assert not machine.outgoing and run(machine, 21000)[0][2] == ("eth0/4", None, 5353)


def test_other_operations_and_errors_are_ignored():
    machine = announced()
    for flags in (0x2800, 0x0003, 0x8003):
        machine.receive(query(flags), PEER, 20000)
    assert machine.wake_at is None


def test_garbage_is_a_fault_of_the_peer():
    machine = announced()
    assert raises(PeerError, machine.receive, query()[:-1], PEER, 20000).code == "dns"
    machine.receive(b"", PEER, 20000)
    assert machine.wake_at is None


def test_waiting_answers_are_bounded():
    from agent.port.micropython.answers import WAITS_MAX

    machine = announced()
    for turn in range(WAITS_MAX * 3):
        machine.receive(query(dns.TRUNCATED), ("eth0/4", b"\xc0\xa8\x01" + bytes([turn]), 5353), 20000)
    assert len(machine._answers._waits) <= WAITS_MAX + 1
    assert len(run(machine, 30000)) <= 2
