"""Invariant: whatever bytes come, the codec answers with a message or PeerError("dns"), within bounded time and memory,
and the responder with at most its bounded number of datagrams, none of them to a stranger."""

import os
import random
import time

from agent.errors import PeerError
from agent.port.micropython import dns
from agent.port.micropython.neighbours import Link
from agent.port.micropython.responder import ANNOUNCED, Responder
from agent.port.options import Service
from tests.vectors.test_dns_differential import damaged, our_message, their_message

ROUNDS = 300_000 if os.environ.get("CORELET_FULL") == "1" else 5_000
DATAGRAM_BYTES = 2048
HOME = b"\xc0\xa8\x01\x07"
STEP_S_MAX = 0.5  # for one datagram; a loop would take for ever


def nasty(chance: random.Random) -> bytes:
    """Headers that promise much, and bodies of what decoders stumble over."""
    head = chance.randbytes(2) + chance.choice((b"\x00\x00", b"\x84\x00", b"\x02\x00", chance.randbytes(2)))
    counts = b"".join([chance.choice((b"\x00\x00", b"\x00\x01", b"\x00\x40", b"\xff\xff")) for _ in range(4)])
    pieces = (b"\xc0\x0c", b"\xc0\x0e", b"\xc0\x00", b"\xff", b"\x00", b"\x3f", b"\x08_corelet", b"\x00\x0c\x00\x01")
    body = b"".join([chance.choice(pieces) for _ in range(chance.randrange(400))])
    return (head + counts + body)[:DATAGRAM_BYTES]


def sample(chance: random.Random) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(300))
    if kind == 1:
        return nasty(chance)
    return damaged(our_message(chance) if kind == 2 else their_message(chance), chance)


def test_decode() -> None:
    chance = random.Random(18)
    for _ in range(ROUNDS):
        data = sample(chance)
        started = time.perf_counter()
        try:
            message = dns.decode(data)
        except PeerError as error:
            assert error.code == "dns"
        else:
            every = message.answers + message.authorities + message.additionals
            assert len(message.questions) <= dns.QUESTIONS_MAX and len(every) <= dns.RECORDS_MAX
            names = sum(len(record.name) for record in every)
            assert names + sum(len(record.data) for record in every) <= dns.NAMES_BYTES_MAX + len(data)
            assert dns.decode(dns.encode(message)) == message
        assert time.perf_counter() - started < STEP_S_MAX


def test_the_worst_that_fits_a_datagram_is_quick() -> None:
    chain = b"".join([b"\x01a" + (0xC000 | 12 + 4 * n).to_bytes(2, "big") for n in range(15)])
    record = b"\x00\x10\x00\x01\x00\x00\x00\x00\x00\x00"
    first = b"\x00\x63\x00" + b"\x00\x10\x00\x01\x00\x00\x00\x00" + len(chain).to_bytes(2, "big") + chain
    for last in (b"\xc0\x0c", b"\xc0" + bytes([12 + len(first) - 2])):
        data = b"\x00\x00\x84\x00\x00\x00\xff\xff\x00\x00\x00\x00" + first + (last + record) * 150
        started = time.perf_counter()
        try:
            dns.decode(data)
        except PeerError:
            pass
        assert time.perf_counter() - started < STEP_S_MAX


def test_the_responder() -> None:
    chance = random.Random(19)
    machine = Responder(
        Service("_corelet._tcp", "Bäckerei", "box", 7411, [], [("a", "1")], ["_pair"]), chance.randrange
    )
    machine.set_links([Link("eth0/4", [HOME], [(HOME, 24)])], 0)
    now, sent = 0, 0
    for _ in range(ROUNDS):
        now += chance.choice((0, 1, 10, 300))
        source = ("eth0/4", chance.choice((HOME, b"\xc0\xa8\x01\x09", b"\x08\x08\x08\x08")), chance.choice((5353, 999)))
        try:
            machine.receive(sample(chance), source, now)
        except PeerError as error:
            assert error.code == "dns"
        if machine.wake_at is not None and machine.wake_at <= now:
            machine.wake(now)
        for data, (key, address, _) in machine.drain_outgoing():
            sent += 1
            dns.decode(data)
            assert key == "eth0/4" and address in (None, HOME, b"\xc0\xa8\x01\x09")
        machine.drain_events()
    assert 0 < sent <= now // 1000 * (12 + 10) + 100
    while machine.state != ANNOUNCED:
        machine.wake(machine.wake_at or 0)
