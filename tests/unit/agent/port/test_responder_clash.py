"""The mDNS responder among others: names that clash, ties of probes, forgers."""

# First, because compiling it takes the most room.
from agent.port.micropython.responder import ANNOUNCED, PROBING

# isort: split
from agent.port.micropython import dns
from agent.port.options import Service
from tests.unit.agent.port.responding import (
    ATTIC,
    HOME,
    HOST,
    KIND,
    PEER,
    THEIR_SRV,
    announced,
    responder,
    run,
    say,
    srv,
)


def test_a_taken_name_gets_a_number():
    machine = responder()
    machine.wake(0)
    say(machine, 10, [srv()])
    run(machine, 10000)
    assert machine.drain_events() == [("Attic-2", "box")]


def test_a_taken_host_gets_a_number():
    machine = responder()
    machine.wake(0)
    say(machine, 10, [dns.Record(HOST, dns.A, dns.IN, True, 120, b"\xc0\xa8\x01\x63")])
    sent = run(machine, 10000)
    assert machine.drain_events() == [("Attic", "box-2")]
    assert dns.pack_name(["box-2", "local"]) in [r.name for r in sent[-1][1].answers]


def test_a_long_name_is_cut_for_its_number():
    machine = responder("é" * 31 + "a")
    machine.wake(0)
    say(machine, 10, [srv(dns.pack_name(["é" * 31 + "a", "_corelet", "_tcp", "local"]))])
    run(machine, 10000)
    assert machine.names.instance == "é" * 30 + "-2"


def test_a_goodbye_or_our_own_words_are_no_clash():
    machine = responder()
    machine.wake(0)
    say(machine, 10, [srv(ttl=0)])
    say(machine, 20, [dns.Record(HOST, dns.A, dns.IN, True, 120, HOME)])
    for data, _ in machine.drain_outgoing():
        machine.receive(data, ("eth0/4", HOME, 5353), 30)
    run(machine, 10000)
    assert machine.drain_events() == [("Attic", "box")]


def test_what_we_said_before_is_no_clash():
    machine = responder()
    machine.wake(0)
    run(machine, 500)
    machine.wake(750)
    said = machine.drain_outgoing()
    txt = [("txtvers", "1"), ("ps", "1")]
    machine.update(Service("_corelet._tcp", "Attic", "box", 7411, [], txt, []), 760)
    for data, _ in said:
        machine.receive(data, ("eth0/4", HOME, 5353), 770)
    assert machine.state == ANNOUNCED


def test_of_two_probes_the_lower_one_waits():
    machine = responder()
    machine.wake(0)
    machine.drain_outgoing()
    high = dns.Record(ATTIC, dns.SRV, dns.IN, False, 120, b"\xff" * 6 + HOST)
    low = dns.Record(ATTIC, dns.TXT, dns.IN, False, 120, b"\x00")
    probe = [dns.Question(ATTIC, dns.ANY, dns.IN, True)]
    machine.receive(dns.encode(dns.Message(0, 0, probe, [], [low], [])), PEER, 100)
    assert machine.wake_at == 250
    machine.receive(dns.encode(dns.Message(0, 0, probe, [], [low, high], [])), PEER, 100)
    assert machine.wake_at == 1100
    assert [at for at, _, _ in run(machine, 10000)] == [1100, 1350, 1600, 1850, 2850]
    assert machine.names.instance == "Attic"


def test_a_probe_is_answered_at_once():
    machine = announced()
    claim = dns.Record(ATTIC, dns.SRV, dns.IN, False, 120, THEIR_SRV)
    data = dns.encode(dns.Message(0, 0, [dns.Question(ATTIC, dns.ANY, dns.IN, False)], [], [claim], []))
    machine.receive(data, PEER, 20000)
    ((at, message, _),) = run(machine, 20000)
    assert at == 20000 and dns.SRV in [record.type for record in message.answers]


def test_a_later_clash_is_probed_again_and_kept_when_nobody_answers():
    machine = announced()
    say(machine, 20000, [srv()])
    assert machine.state == PROBING
    sent = run(machine, 30000)
    assert len(sent) == 5 and machine.names.instance == "Attic"


def test_a_name_moves_when_its_other_owner_answers():
    machine = announced()
    say(machine, 20000, [srv()])
    machine.wake(20000)
    say(machine, 20010, [srv()])
    run(machine, 30000)
    assert machine.names.instance == "Attic-2" and machine.state == ANNOUNCED


def test_a_forger_of_clashes_is_slowed_down():
    machine = announced()
    now, renames = 20000, 0
    while now < 80000:
        name = dns.pack_name([machine.names.instance, "_corelet", "_tcp", "local"])
        before = machine.names.instance
        say(machine, now, [srv(name)])
        renames += machine.names.instance != before
        now += 10
        run(machine, now)
    assert 15 <= renames <= 15 + 60000 // 5000 + 1
    assert len(machine.names.instance) <= len("Attic-999")


def test_a_forged_goodbye_is_answered():
    machine = announced()
    say(machine, 20000, [dns.Record(KIND, dns.PTR, dns.IN, False, 0, ATTIC)])
    ((at, message, to),) = run(machine, 30000)
    assert at < 21000 and to[1] is None and message.answers[0].ttl == 4500
