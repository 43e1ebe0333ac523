"""Our DNS codec against zeroconf's, on messages of both and on damaged ones.

Invariant: what ours accepts, zeroconf reads as the same questions and records; what zeroconf accepts and ours refuses
falls under one of REASONS (ours is stricter on purpose).
"""

import os
import random

from zeroconf import DNSAddress, DNSIncoming, DNSOutgoing, DNSPointer, DNSQuestion, DNSRecord, DNSService, DNSText

from agent.errors import PeerError
from agent.port.micropython import dns
from agent.port.micropython.records import Names, Records
from agent.port.options import Service

ROUNDS = 200_000 if os.environ.get("CORELET_FULL") == "1" else 4_000
KNOWN = (dns.A, dns.AAAA, dns.PTR, dns.CNAME, dns.TXT, dns.SRV)

# What ours refuses and zeroconf takes, by the text of the refusal.
REASONS = (
    "not to an earlier name",  # zeroconf follows pointers forward, and into the header
    "more than anyone needs",  # counts
    "expand to more than",
    "its content differs",  # zeroconf drops that record and keeps the rest
    "promised",  # zeroconf keeps the records in front of the cut
    "cut off or of an unknown kind",  # the same, or the data of one record
    "a DNS name is longer",
)


def text(name: bytes) -> str:
    return "".join([label.decode("utf-8", "replace") + "." for label in dns.unpack_name(name)]) or "."


def is_plain(name: bytes) -> bool:
    """zeroconf has no escapes: a label with a dot in it reads as two, and broken UTF-8 is replaced."""
    try:
        return all(b"." not in label and label.decode() for label in dns.unpack_name(name)) and len(name) <= 250
    except UnicodeDecodeError:
        return False


def ours_as_theirs(record: dns.Record) -> tuple[object, ...]:
    head = (text(record.name), record.type, record.klass, record.flush, record.ttl)
    if record.type in (dns.PTR, dns.CNAME):
        return (*head, text(record.data))
    if record.type == dns.SRV:
        parts = [int.from_bytes(record.data[at : at + 2], "big") for at in (0, 2, 4)]
        return (*head, *parts, text(record.data[6:]))
    return (*head, record.data)


def theirs(record: DNSRecord) -> tuple[object, ...]:
    head = (record.name, record.type, record.class_, record.unique, record.ttl)
    if isinstance(record, DNSPointer):
        return (*head, record.alias)
    if isinstance(record, DNSService):
        return (*head, record.priority, record.weight, record.port, record.server)
    if isinstance(record, DNSAddress):
        return (*head, record.address)
    assert isinstance(record, DNSText)
    return (*head, record.text)


def compare(data: bytes) -> bool:
    """True when both accept."""
    incoming = DNSIncoming(data)
    try:
        message = dns.decode(data)
    except PeerError as error:
        assert not incoming.valid or any(reason in error.text for reason in REASONS), error.text
        return False
    every = message.answers + message.authorities + message.additionals
    names = [question.name for question in message.questions] + [record.name for record in every]
    names += [record.data for record in every if record.type in (dns.PTR, dns.CNAME)]
    names += [record.data[6:] for record in every if record.type == dns.SRV]
    if not all(is_plain(name) for name in names):
        return False
    assert incoming.valid and incoming.id == message.id and incoming.flags == message.flags
    asked = [(each.name, each.type, each.class_, each.unique) for each in incoming.questions]
    assert asked == [(text(each.name), each.type, each.klass, each.unicast) for each in message.questions]
    read = [theirs(record) for record in incoming.answers() if record.type in KNOWN]
    assert read == [ours_as_theirs(record) for record in every if record.type in KNOWN]
    return True


def their_message(chance: random.Random) -> bytes:
    kind, name, host = "_corelet._tcp.local.", f"Box {chance.randrange(100)}._corelet._tcp.local.", "höst.local."
    flush = chance.choice((1, 0x8001))
    records: list[DNSRecord] = [
        DNSPointer(kind, dns.PTR, 1, 4500, name),
        DNSService(name, dns.SRV, flush, 120, 0, 0, chance.randrange(65536), host),
        DNSText(name, dns.TXT, flush, 4500, b"\x09txtvers=1" + bytes([200]) + b"x" * 200),
        DNSAddress(host, dns.A, flush, 120, chance.randbytes(4)),
        DNSAddress(host, dns.AAAA, flush, 120, chance.randbytes(16)),
        DNSPointer("a." * chance.randrange(1, 30) + "local.", dns.CNAME, 1, 9, "b." * chance.randrange(1, 30)),
    ]
    out = DNSOutgoing(chance.choice((0, 0x200, 0x8400)), id_=chance.randrange(65536), multicast=False)
    for record in chance.sample(records, chance.randrange(len(records))):
        out.add_answer_at_time(record, 0)
    for record in chance.sample(records, chance.randrange(len(records))):
        out.add_additional_answer(record)
    for _ in range(chance.randrange(4)):
        out.add_question(DNSQuestion(chance.choice((kind, name, host)), chance.choice((dns.PTR, dns.ANY)), flush))
    return out.packets()[0]


def our_message(chance: random.Random) -> bytes:
    service = Service("_corelet._tcp", "Bäckerei", "box", chance.randrange(65536), [], [("txtvers", "1")], ["_pair"])
    names = Names(service.instance, service.host)
    records = Records(service, names, [chance.randbytes(chance.choice((4, 16))) for _ in range(chance.randrange(5))])
    if chance.random() < 0.3:
        return records.probe()
    return records.response({chance.randrange(len(records.all)) for _ in range(chance.randrange(1, 6))})


def damaged(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 8))):
        at = chance.randrange(len(out))
        out[at] = chance.choice((0, 0xC0, 0xFF, chance.randrange(256), out[at] ^ 1))
    if chance.random() < 0.2:
        del out[chance.randrange(len(out)) :]
    return bytes(out)


def test_both_read_the_messages_of_both() -> None:
    chance = random.Random(5353)
    for _ in range(ROUNDS // 10):
        assert compare(their_message(chance))
        assert compare(our_message(chance))


def test_both_read_damaged_messages_alike() -> None:
    chance = random.Random(6762)
    accepted = 0
    for _ in range(ROUNDS):
        message = their_message(chance) if chance.random() < 0.5 else our_message(chance)
        accepted += compare(damaged(message, chance))
    assert accepted > ROUNDS // 5


def test_what_ours_decodes_ours_encodes() -> None:
    chance = random.Random(1035)
    for _ in range(ROUNDS // 10):
        message = dns.decode(their_message(chance))
        assert dns.decode(dns.encode(message)) == message
        assert dns.decode(dns.encode(message, False)) == message
