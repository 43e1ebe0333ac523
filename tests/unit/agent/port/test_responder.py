"""The mDNS responder as a machine: probing, announcing, answering, goodbye."""

# First, because compiling it takes the most room.
from agent.port.micropython.responder import ANNOUNCED, PROBING, Responder

# isort: split
from agent.port.micropython import dns
from agent.port.micropython.neighbours import Link
from agent.port.options import Service
from tests.unit.agent.port import responding
from tests.unit.agent.port.responding import ATTIC, HOST, KIND, PEER, run

GROUP = ("eth0/4", None, 5353)
TXT = [("txtvers", "1"), ("id", "ab")]


def responder(subtypes: list[str] | None = None) -> Responder:
    return responding.responder("Attic", TXT, subtypes or ["_pair"])


def announced() -> Responder:
    machine = responding.announced(responder())
    assert machine.state == ANNOUNCED and machine.wake_at is None
    return machine


def ask(machine: Responder, now: int, questions: list[dns.Question], known: list[dns.Record] | None = None) -> None:
    machine.receive(dns.encode(dns.Message(0, 0, questions, known or [], [], [])), PEER, now)


def browse() -> list[dns.Question]:
    return [dns.Question(KIND, dns.PTR, dns.IN, False)]


def test_probes_then_announces_then_is_silent():
    machine = responder()
    sent = run(machine, 10**9)
    assert [at for at, _, _ in sent] == [0, 250, 500, 750, 1750]
    for _, message, to in sent[:3]:
        assert to == GROUP and message.flags == 0
        assert [q.name for q in message.questions] == [ATTIC, HOST]
        assert all(q.type == dns.ANY and q.unicast for q in message.questions)
        assert sorted({record.type for record in message.authorities}) == [dns.A, dns.TXT, dns.SRV]
        assert not any(record.flush for record in message.authorities)
    for _, message, to in sent[3:]:
        assert to == GROUP and message.flags == dns.RESPONSE | dns.AUTHORITATIVE
        kinds = sorted([(record.type, record.flush, record.ttl) for record in message.answers])
        shared, host = (dns.PTR, False, 4500), [(dns.A, True, 120), (dns.SRV, True, 120)]
        assert kinds == sorted([shared] * 3 + host + [(dns.TXT, True, 4500)])
    assert machine.drain_events() == [("Attic", "box")]
    assert machine.wake_at is None


def test_says_nothing_before_it_has_probed():
    machine = responder()
    machine.wake(0)
    machine.drain_outgoing()
    ask(machine, 10, browse())
    assert machine.wake_at == 250


def test_a_browser_gets_everything_after_a_short_delay():
    machine = announced()
    ask(machine, 20000, browse())
    ((at, message, to),) = run(machine, 30000)
    assert 20020 <= at <= 20120 and to == GROUP
    assert [(r.name, r.type, r.data) for r in message.answers] == [(KIND, dns.PTR, ATTIC)]
    assert [r.type for r in message.additionals] == [dns.SRV, dns.TXT, dns.A, dns.NSEC]


def test_unique_records_go_at_once():
    machine = announced()
    ask(machine, 20000, [dns.Question(ATTIC, dns.SRV, dns.IN, False)])
    assert machine.wake_at == 20000
    ((_, message, _),) = run(machine, 20000)
    assert message.answers[0].data == b"\x00\x00\x00\x00\x1c\xf3" + HOST


def test_case_does_not_matter():
    machine = announced()
    ask(machine, 20000, [dns.Question(ATTIC.lower(), dns.TXT, dns.IN, False)])
    assert run(machine, 20000)[0][1].answers[0].data == dns.pack_txt(TXT)


def test_types_and_subtypes_are_listed():
    machine = announced()
    services = dns.pack_name(["_services", "_dns-sd", "_udp", "local"])
    ask(machine, 20000, [dns.Question(services, dns.PTR, dns.IN, False)])
    assert [r.data for r in run(machine, 21000)[0][1].answers] == [KIND]
    pair = dns.pack_name(["_pair", "_sub", "_corelet", "_tcp", "local"])
    ask(machine, 30000, [dns.Question(pair, dns.PTR, dns.IN, False)])
    assert [r.data for r in run(machine, 31000)[0][1].answers] == [ATTIC]


def test_what_is_not_there_is_denied():
    machine = announced()
    ask(machine, 20000, [dns.Question(HOST, dns.AAAA, dns.IN, False)])
    (record,) = run(machine, 20000)[0][1].answers
    assert record.type == dns.NSEC and record.data == dns.pack_nsec(HOST, [dns.A])


def test_questions_of_others_are_ignored():
    machine = announced()
    other = dns.pack_name(["Cellar", "_corelet", "_tcp", "local"])
    ask(machine, 20000, [dns.Question(other, dns.ANY, dns.IN, False)])
    ask(machine, 20000, [dns.Question(KIND, dns.PTR, 3, False)])
    assert machine.wake_at is None


def test_known_answers_are_not_repeated():
    machine = announced()
    ask(machine, 20000, browse(), [dns.Record(KIND, dns.PTR, dns.IN, False, 2250, ATTIC)])
    assert machine.wake_at is None
    ask(machine, 20000, browse(), [dns.Record(KIND, dns.PTR, dns.IN, False, 2249, ATTIC)])
    assert machine.wake_at is not None


def test_known_answers_in_a_second_packet():
    machine = announced()
    data = dns.encode(dns.Message(0, dns.TRUNCATED, browse(), [], [], []))
    machine.receive(data, PEER, 20000)
    assert machine.wake_at >= 20400
    more = dns.encode(dns.Message(0, 0, [], [dns.Record(KIND, dns.PTR, dns.IN, False, 4500, ATTIC)], [], []))
    machine.receive(more, ("eth0/4", b"\xc0\xa8\x01\x15", 5353), 20010)
    assert machine.wake_at >= 20400, "known by somebody else"
    machine.receive(more, PEER, 20010)
    assert machine.wake_at is None


def test_a_record_is_multicast_once_a_second():
    machine = announced()
    times = []
    for turn in range(40):
        ask(machine, 20000 + turn * 50, [dns.Question(ATTIC, dns.TXT, dns.IN, False)])
        times.extend([at for at, _, _ in run(machine, 20000 + turn * 50)])
    times.extend([at for at, _, _ in run(machine, 30000)])
    assert times == [20000, 21000, 22000]


def test_goodbye_takes_back_what_was_said():
    machine = announced()
    machine.goodbye()
    ((data, to),) = machine.drain_outgoing()
    message = dns.decode(data)
    assert to == GROUP and all(record.ttl == 0 for record in message.answers)
    assert sorted([r.type for r in message.answers]) == [dns.A, dns.PTR, dns.PTR, dns.TXT, dns.SRV]
    ask(machine, 20000, browse())
    assert machine.wake_at is None and not machine.outgoing


def test_no_goodbye_for_what_was_never_said():
    machine = responder()
    machine.goodbye()
    assert not machine.outgoing and machine.wake_at is None


def test_an_update_announces_and_withdraws():
    machine = announced()
    txt = [("txtvers", "1"), ("id", "cd")]
    machine.update(Service("_corelet._tcp", "Attic", "box", 7411, [], txt, ["_d5"]), 20000)
    gone = dns.decode(machine.drain_outgoing()[0][0])
    assert [(dns.unpack_name(r.name)[0], r.ttl) for r in gone.answers] == [(b"_pair", 0)]
    sent = run(machine, 10**9)
    assert [at for at, _, _ in sent] == [20000, 21000]
    assert dns.pack_txt(txt) in [r.data for r in sent[0][1].answers]


def test_new_addresses_are_probed_and_announced():
    machine = announced()
    other = b"\x0a\x00\x00\x09"
    machine.set_links([Link("wlan0/4", [other], [(other, 8)])], 20000)
    assert machine.state == PROBING
    sent = run(machine, 10**9)
    assert [to[0] for _, _, to in sent] == ["wlan0/4"] * 5
    assert other in [r.data for r in sent[-1][1].answers]
    machine.set_links([], 30000)
    assert machine.wake_at is None
