"""The DNS codec: bytes both ways, and what it refuses."""

from agent.errors import PeerError, UsageError
from agent.port.micropython import dns
from tests.expect import raises

HEADER = b"\x00\x00\x84\x00"


def header(questions: int = 0, answers: int = 0, authorities: int = 0, additionals: int = 0) -> bytes:
    return HEADER + b"".join([n.to_bytes(2, "big") for n in (questions, answers, authorities, additionals)])


def test_a_name_is_its_labels():
    name = dns.pack_name(["Attic.Pi", "_corelet", "local"])
    assert name == b"\x08Attic.Pi\x08_corelet\x05local\x00"
    assert dns.unpack_name(name) == [b"Attic.Pi", b"_corelet", b"local"]
    assert name.lower() == b"\x08attic.pi\x08_corelet\x05local\x00"


def test_names_that_cannot_be():
    for labels in ([""], ["a" * 64], ["é" * 32], ["a" * 63] * 4):
        assert raises(UsageError, dns.pack_name, labels).code == "dns"


def test_a_txt_record():
    assert dns.pack_txt([]) == b"\x00"
    assert dns.pack_txt([("txtvers", "1"), ("nm", "")]) == b"\x09txtvers=1\x03nm="
    for pairs in ([("", "1")], [("ten_letters", "1")], [("a=", "1")], [("a", "x" * 254)], [("a", "x" * 250)] * 3):
        assert raises(UsageError, dns.pack_txt, pairs).code == "dns"


def test_an_nsec_record_names_the_types_that_exist():
    # RFC 4034 section 4.1.2: window 0, length, one bit for each type.
    assert dns.pack_nsec(b"\x01a\x00", [dns.A]) == b"\x01a\x00\x00\x01\x40"
    assert dns.pack_nsec(b"\x01a\x00", [dns.TXT, dns.SRV]) == b"\x01a\x00\x00\x05\x00\x00\x80\x00\x40"


def message() -> dns.Message:
    kind, instance = dns.pack_name(["_corelet", "_tcp", "local"]), dns.pack_name(["Attic", "_corelet", "_tcp", "local"])
    host = dns.pack_name(["box", "local"])
    return dns.Message(
        7,
        dns.RESPONSE | dns.AUTHORITATIVE,
        [dns.Question(kind, dns.PTR, dns.IN, True), dns.Question(host, dns.ANY, dns.IN, False)],
        [dns.Record(kind, dns.PTR, dns.IN, False, 4500, instance)],
        [dns.Record(host, dns.A, dns.IN, False, 120, b"\x0a\x00\x00\x01")],
        [
            dns.Record(instance, dns.SRV, dns.IN, True, 120, b"\x00\x00\x00\x00\x1c\xf3" + host),
            dns.Record(instance, dns.TXT, dns.IN, True, 4500, b"\x09txtvers=1"),
            dns.Record(host, dns.NSEC, dns.IN, True, 120, dns.pack_nsec(host, [dns.A])),
        ],
    )


def test_what_is_encoded_is_decoded():
    data = dns.encode(message())
    assert dns.decode(data) == message()
    assert len(data) < 175  # names are compressed
    assert data.count(b"_corelet") == 1


def test_srv_is_not_compressed_for_legacy():
    short, long = dns.encode(message()), dns.encode(message(), False)
    assert len(long) == len(short) + len(dns.pack_name(["box", "local"])) - 2
    assert dns.decode(long) == message()


def test_case_is_kept():
    one = dns.Question(dns.pack_name(["A", "Local"]), 1, 1, False)
    two = dns.Question(dns.pack_name(["b", "local"]), 1, 1, False)
    data = dns.encode(dns.Message(0, 0, [one, two], [], [], []))
    assert dns.decode(data).questions == [one, two]


def test_every_cut_is_refused():
    data = dns.encode(message())
    for length in range(len(data)):
        assert raises(PeerError, dns.decode, data[:length]).code == "dns"


def test_pointers_only_go_back():
    for name in (b"\xc0\x0c", b"\xc0\x0e", b"\xc0\x00", b"\xff\xff", b"\x01a\xc0\x0c", b"\xc0"):
        raises(PeerError, dns.decode, header(1) + name + b"\x00\x01\x00\x01")
    fine = header(2) + b"\x01a\x00\x00\x01\x00\x01" + b"\x01b\xc0\x0c\x00\x01\x00\x01"
    assert dns.decode(fine).questions[1].name == b"\x01b\x01a\x00"


def test_a_chain_of_pointers_is_cut():
    chain = b"\x00" + b"".join([(0xC000 | 12 + 2 * n - (1 if n else 0)).to_bytes(2, "big") for n in range(40)])
    # In the data of a record of an unknown type, so that only the last name walks it.
    record = b"\x00\x00\x63\x00\x01\x00\x00\x00\x00" + len(chain).to_bytes(2, "big")
    assert len(record) == 11
    body = record + chain
    target = 12 + len(record) + len(chain) - 2
    last = (0xC000 | target).to_bytes(2, "big") + b"\x00\x63\x00\x01\x00\x00\x00\x00\x00\x00"
    raises(PeerError, dns.decode, header(0, 2) + body + last)


def test_giant_counts_are_refused_before_work():
    raises(PeerError, dns.decode, header(65535))
    raises(PeerError, dns.decode, header(0, 65535, 65535, 65535))
    raises(PeerError, dns.decode, header(dns.QUESTIONS_MAX + 1) + b"\x00\x00\x01\x00\x01" * (dns.QUESTIONS_MAX + 1))
    dns.decode(header(dns.QUESTIONS_MAX) + b"\x00\x00\x01\x00\x01" * dns.QUESTIONS_MAX)


def test_names_cannot_blow_up():
    name = b"\x3f" + b"a" * 63
    record = b"\x00\x10\x00\x01\x00\x00\x00\x00\x00\x00"
    first = name * 3 + b"\x00" + record
    raises(PeerError, dns.decode, header(0, 100) + first + (b"\xc0\x0c" + record) * 99)
    dns.decode(header(0, 40) + first + (b"\xc0\x0c" + record) * 39)


def test_long_names_and_unknown_labels():
    raises(PeerError, dns.decode, header(1) + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01")
    raises(PeerError, dns.decode, header(1) + b"\x40a\x00\x00\x01\x00\x01")
    raises(PeerError, dns.decode, header(1) + b"\x80a\x00\x00\x01\x00\x01")


def test_data_must_fill_its_length():
    for kind, data in ((dns.A, b"abc"), (dns.AAAA, b"abcd"), (dns.PTR, b"\x01a\x00\x00"), (dns.SRV, b"abcde")):
        record = b"\x00" + kind.to_bytes(2, "big") + b"\x00\x01\x00\x00\x00\x01" + len(data).to_bytes(2, "big") + data
        assert raises(PeerError, dns.decode, header(0, 1) + record).code == "dns"


def test_bytes_after_the_message_are_ignored():
    assert dns.decode(dns.encode(message()) + b"padding") == message()
