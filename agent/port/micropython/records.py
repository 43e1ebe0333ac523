"""What one DNS-SD service publishes on one link: its records, and which of them a question asks for.

Values only: no state of the protocol, no clock, no sockets. RFC 6763 sections 4 to 9 and 12, RFC 6762 sections 6.1
and 10. Bounds: SUBTYPES_MAX, ADDRESSES_MAX; with dns.TXT_BYTES_MAX a full answer fits one Ethernet frame.
"""

from collections import namedtuple

from agent.errors import UsageError
from agent.port.micropython import dns

if False:
    from agent.port.options import Service

SUBTYPES_MAX = 8
ADDRESSES_MAX = 16
OTHER_TTL_S = 4500  # RFC 6762 section 10: records that do not carry the host's name or address
HOST_TTL_S = 120
LEGACY_TTL_S = 10

# The unique names in use, which change when somebody else has them.
Names = namedtuple("Names", ("instance", "host"))

_SERVICES = ["_services", "_dns-sd", "_udp", "local"]


def numbered(label: str, number: int) -> str:
    """`label`, or "label-2" and so on, cut to 63 bytes at the border of a character."""
    suffix = f"-{number}" if number > 1 else ""
    while len((label + suffix).encode()) > dns.LABEL_BYTES_MAX:
        label = label[:-1]
    return label + suffix


class Records:
    """`all`: list of dns.Record. Those from `negative` on (NSEC) are only said where nothing else answers."""

    def __init__(self, service: "Service", names: Names, addresses: list[bytes]) -> None:
        if len(service.subtypes) > SUBTYPES_MAX:
            raise UsageError("dns", f"at most {SUBTYPES_MAX} subtypes fit; came {len(service.subtypes)}")
        kind = service.kind.split(".") + ["local"]
        self.kind = dns.pack_name(kind)
        self.instance = dns.pack_name([names.instance] + kind)
        self.host = dns.pack_name([names.host, "local"])
        # Case counts for nobody on the wire, so names are compared in lower case.
        self.unique = (self.instance.lower(), self.host.lower())
        first = [dns.unpack_name(name)[0] for name in (self.kind, self.instance, self.host)]
        self._words = [word.lower() for word in first] + [b"_dns-sd"]
        self.addresses = addresses[:ADDRESSES_MAX]
        self.all = [_shared(self.kind, self.instance), self._srv(service.port), self._txt(service.txt)]
        self.all.append(_shared(dns.pack_name(_SERVICES), self.kind))
        self.enumeration = len(self.all) - 1
        for subtype in service.subtypes:
            self.all.append(_shared(dns.pack_name([subtype, "_sub"] + kind), self.instance))
        self.first_address = len(self.all)
        for address in self.addresses:
            family = dns.A if len(address) == 4 else dns.AAAA
            self.all.append(dns.Record(self.host, family, dns.IN, True, HOST_TTL_S, address))
        self.negative = len(self.all)
        self._add_nsec(self.instance, [dns.TXT, dns.SRV])
        families = {record.type for record in self.all[self.first_address : self.negative]}
        self._add_nsec(self.host, sorted(families))
        # With one family only it is worth saying, so that nobody waits for an answer about the other.
        self.spoken_nsec = {self.negative + 1} if len(families) == 1 else set()

    def _srv(self, port: int) -> dns.Record:
        data = b"\x00\x00\x00\x00" + port.to_bytes(2, "big") + self.host
        return dns.Record(self.instance, dns.SRV, dns.IN, True, HOST_TTL_S, data)

    def _txt(self, pairs: list[tuple[str, str]]) -> dns.Record:
        return dns.Record(self.instance, dns.TXT, dns.IN, True, OTHER_TTL_S, dns.pack_txt(pairs))

    def _add_nsec(self, name: bytes, types: list[int]) -> None:
        if types:
            self.all.append(dns.Record(name, dns.NSEC, dns.IN, True, HOST_TTL_S, dns.pack_nsec(name, types)))

    def asked(self, question: dns.Question) -> set[int]:
        """Indexes of the records that answer; of an NSEC when the name is ours and has no such record."""
        if question.klass not in (dns.IN, dns.ANY):
            return set()
        name = question.name.lower()
        found, denied = set(), set()
        for index, record in enumerate(self.all):
            if record.name.lower() != name:
                continue
            if index >= self.negative:
                denied.add(index)
            elif question.type in (record.type, dns.ANY):
                found.add(index)
        return found or denied

    def additional(self, chosen: set[int]) -> set[int]:
        """RFC 6763 section 12: what a querier would ask for next."""
        more: set[int] = set()
        wants_host = False
        for index in chosen:
            if self.all[index].type == dns.PTR and index != self.enumeration:
                more.update((1, 2))
            wants_host = wants_host or self.all[index].type in (dns.PTR, dns.SRV, dns.A, dns.AAAA)
        if wants_host and chosen != {self.enumeration}:
            more.update(range(self.first_address, self.negative))
            more.update(self.spoken_nsec)
        return more - chosen

    def same(self, record: dns.Record) -> int:
        """Index of our record with this name, type and data, or -1."""
        for index, ours in enumerate(self.all):
            if ours.type == record.type and ours.data == record.data and ours.name.lower() == record.name.lower():
                return index
        return -1

    def known(self, answers: list[dns.Record]) -> set[int]:
        """RFC 6762 section 7.1: what a querier has already, with at least half of its life left."""
        found = [(self.same(one), one.ttl) for one in answers]
        return {index for index, ttl in found if index >= 0 and ttl * 2 >= self.all[index].ttl}

    def has(self, name: bytes, kind: int) -> bool:
        return any(one.type == kind and one.name.lower() == name for one in self.all[: self.negative])

    def may_concern(self, data: bytes) -> bool:
        """False for a datagram that holds none of our words, which is most of what a home says; saves decoding it.
        Compression refers to whole labels, so a name that is ours shows at least one of these somewhere."""
        lower = data.lower()
        return any(word in lower for word in self._words)

    def claims(self) -> list[dns.Record]:
        """What a probe proposes (RFC 6762 section 8.2): the unique records, without the cache-flush bit."""
        unique = [record for record in self.all[: self.negative] if record.flush]
        return [_said(one, False, one.ttl) for one in unique]

    def probe(self) -> bytes:
        questions = [dns.Question(name, dns.ANY, dns.IN, True) for name in (self.instance, self.host)]
        return dns.encode(dns.Message(0, 0, questions, [], self.claims(), []))

    def response(self, indexes: set[int]) -> bytes:
        answers = [self.all[index] for index in sorted(indexes)]
        more = [self.all[index] for index in sorted(self.additional(indexes))]
        return _answer(answers, more)

    def legacy(self, indexes: set[int], query: dns.Message) -> bytes:
        """RFC 6762 section 6.7: for a resolver that knows no mDNS. No additional records: it costs us, it may cost
        somebody whose address was forged more."""
        ours = [self.all[index] for index in sorted(indexes)]
        plain = [_said(one, False, min(one.ttl, LEGACY_TTL_S)) for one in ours]
        flags = dns.RESPONSE | dns.AUTHORITATIVE
        return dns.encode(dns.Message(query.id, flags, query.questions[:1], plain, [], []), False)


def goodbye(records: list[dns.Record]) -> bytes:
    """RFC 6762 section 10.1."""
    return _answer([_said(one, one.flush, 0) for one in records], [])


def ranked(records: list[dns.Record], name: bytes) -> list[tuple[int, int, bytes]]:
    """The records of a name in the order in which a tie of probes is broken (RFC 6762 section 8.2.1)."""
    return sorted([(one.klass, one.type, one.data) for one in records if one.name.lower() == name])


def _shared(name: bytes, target: bytes) -> dns.Record:
    return dns.Record(name, dns.PTR, dns.IN, False, OTHER_TTL_S, target)


def _said(record: dns.Record, flush: bool, ttl: int) -> dns.Record:
    return dns.Record(record.name, record.type, record.klass, flush, ttl, record.data)


def _answer(answers: list[dns.Record], additionals: list[dns.Record]) -> bytes:
    return dns.encode(dns.Message(0, dns.RESPONSE | dns.AUTHORITATIVE, [], answers, [], additionals))
