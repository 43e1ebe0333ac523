"""DNS messages: bytes <-> values, for the mDNS responder. A codec, not a resolver: no cache, no sockets, no clock.

RFC 1035 section 4, RFC 6762 section 18, RFC 6763 section 6. A name is one bytes object in uncompressed wire form,
b"\\x07corelet\\x05local\\x00"; since a length byte is below "A", `name.lower()` is its canonical form. Record data
is raw with its names uncompressed, so that comparing it is comparing what RFC 6762 section 8.2 says to compare.

Bounds: QUESTIONS_MAX, RECORDS_MAX, NAME_BYTES_MAX, POINTERS_MAX in one name, NAMES_BYTES_MAX for all names of a
message together (compression would let 2 KB of datagram become 60 KB of names). Bytes after the last counted
record are ignored, as zeroconf and avahi do.
"""

from collections import namedtuple

from agent.errors import PeerError, UsageError

QUESTIONS_MAX = 64
RECORDS_MAX = 128
NAME_BYTES_MAX = 255
NAMES_BYTES_MAX = 8192
POINTERS_MAX = 16
LABEL_BYTES_MAX = 63
TXT_BYTES_MAX = 512
TXT_KEY_BYTES_MAX = 9

A, NS, CNAME, PTR, TXT, AAAA, SRV, NSEC, ANY = 1, 2, 5, 12, 16, 28, 33, 47, 255
IN = 1

RESPONSE = 0x8000
AUTHORITATIVE = 0x0400
TRUNCATED = 0x0200
OPCODE_AND_RCODE = 0x780F
_TOP_BIT = 0x8000  # of a class: cache-flush in a record, unicast wanted in a question

Message = namedtuple("Message", ("id", "flags", "questions", "answers", "authorities", "additionals"))
Question = namedtuple("Question", ("name", "type", "klass", "unicast"))
Record = namedtuple("Record", ("name", "type", "klass", "flush", "ttl", "data"))


def pack_name(labels: list[str]) -> bytes:
    """A name in wire form. UsageError("dns") for an empty or long label or a long name."""
    out = bytearray()
    for label in labels:
        data = label.encode()
        if not 1 <= len(data) <= LABEL_BYTES_MAX:
            raise UsageError("dns", f"a DNS label has 1 to {LABEL_BYTES_MAX} bytes of UTF-8; {label!r} has {len(data)}")
        out.append(len(data))
        out.extend(data)
    out.append(0)
    if len(out) > NAME_BYTES_MAX:
        raise UsageError("dns", f"a DNS name has at most {NAME_BYTES_MAX} bytes; this one has {len(out)}")
    return bytes(out)


def unpack_name(name: bytes) -> list[bytes]:
    """The labels of a name in wire form."""
    labels = []
    offset = 0
    while name[offset]:
        end = offset + 1 + name[offset]
        labels.append(name[offset + 1 : end])
        offset = end
    return labels


def pack_txt(pairs: list[tuple[str, str]]) -> bytes:
    """RFC 6763 section 6: length byte and key=value each; nothing is one zero byte."""
    out = bytearray()
    for key, value in pairs:
        item = (key + "=" + value).encode()
        if not 1 <= len(key) <= TXT_KEY_BYTES_MAX or "=" in key or len(item) > 255:
            raise UsageError("dns", f"a TXT key has 1 to {TXT_KEY_BYTES_MAX} characters, no '='; {key!r} is not one")
        out.append(len(item))
        out.extend(item)
    if len(out) > TXT_BYTES_MAX:
        raise UsageError("dns", f"a TXT record has at most {TXT_BYTES_MAX} bytes here; this one has {len(out)}")
    return bytes(out) or b"\x00"


def pack_nsec(name: bytes, types: list[int]) -> bytes:
    """RFC 6762 section 6.1: these types (all below 256) exist for `name`, and no others."""
    data = bytearray(32)
    for kind in types:
        data[kind >> 3] |= 0x80 >> (kind & 7)
    used = max(types) // 8 + 1
    return name + bytes((0, used)) + bytes(data[:used])


class _Reader:
    """Reads one datagram from front to back; every step checks that its bytes are there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0
        self._names_bytes = 0

    def number(self, length: int) -> int:
        return int.from_bytes(self.raw(length), "big")

    def raw(self, length: int) -> bytes:
        end = self.offset + length
        if end > len(self._data):
            raise PeerError("dns", f"a DNS message promised {length} bytes at {self.offset} and ended before them")
        piece = self._data[self.offset : end]
        self.offset = end
        return piece

    def name(self) -> bytes:
        """RFC 1035 section 4.1.4. A pointer must point in front of the labels that led to it: so it cannot loop."""
        data, offset, floor = self._data, self.offset, self.offset
        out = bytearray()
        end, pointers = 0, 0
        while True:
            length = data[offset] if offset < len(data) else 0xFF
            if length >= 0xC0 and offset + 1 < len(data):
                target = (length & 0x3F) << 8 | data[offset + 1]
                pointers += 1
                if not 12 <= target < floor or pointers > POINTERS_MAX:
                    raise PeerError("dns", f"a DNS name pointer at {offset} points to {target}, not to an earlier name")
                end = end or offset + 2
                offset = floor = target
                continue
            if length > LABEL_BYTES_MAX or offset + 1 + length > len(data):
                raise PeerError("dns", f"a DNS label at {offset} is cut off or of an unknown kind")
            out.extend(data[offset : offset + 1 + length])
            if len(out) > NAME_BYTES_MAX:
                raise PeerError("dns", f"a DNS name is longer than {NAME_BYTES_MAX} bytes")
            offset += 1 + length
            if length == 0:
                break
        self.offset = end or offset
        self._names_bytes += len(out)
        if self._names_bytes > NAMES_BYTES_MAX:
            raise PeerError("dns", f"the names of a DNS message expand to more than {NAMES_BYTES_MAX} bytes")
        return bytes(out)

    def question(self) -> Question:
        name, kind, klass = self.name(), self.number(2), self.number(2)
        return Question(name, kind, klass & ~_TOP_BIT, klass >= _TOP_BIT)

    def record(self) -> Record:
        name, kind, klass, ttl, length = self.name(), self.number(2), self.number(2), self.number(4), self.number(2)
        end = self.offset + length
        data = self._record_data(kind, length)
        if self.offset != end or (kind == A and length != 4) or (kind == AAAA and length != 16):
            raise PeerError("dns", f"a DNS record of type {kind} says {length} bytes of data; its content differs")
        return Record(name, kind, klass & ~_TOP_BIT, klass >= _TOP_BIT, ttl, data)

    def _record_data(self, kind: int, length: int) -> bytes:
        if kind in (PTR, CNAME, NS):
            return self.name()
        if kind == SRV:
            return self.raw(6) + self.name()
        if kind == NSEC:
            end = self.offset + length
            name = self.name()
            return name + self.raw(max(0, end - self.offset))
        return self.raw(length)


def decode(data: bytes) -> Message:
    """One message. PeerError("dns") when it is cut off, loops, or is larger than the bounds above."""
    reader = _Reader(data)
    number, flags = reader.number(2), reader.number(2)
    counts = [reader.number(2) for _ in range(4)]
    if counts[0] > QUESTIONS_MAX or counts[1] + counts[2] + counts[3] > RECORDS_MAX:
        raise PeerError("dns", f"a DNS message says it has {counts} questions and records, more than anyone needs")
    questions = [reader.question() for _ in range(counts[0])]
    sections = [[reader.record() for _ in range(count)] for count in counts[1:]]
    return Message(number, flags, questions, sections[0], sections[1], sections[2])


class _Writer:
    def __init__(self, number: int, flags: int) -> None:
        self.out = bytearray(number.to_bytes(2, "big") + flags.to_bytes(2, "big"))
        self._known: dict[bytes, int] = {}

    def number(self, value: int, length: int) -> None:
        self.out.extend(value.to_bytes(length, "big"))

    def name(self, name: bytes) -> None:
        """With compression, exact bytes only: what comes back is spelled as it went in."""
        offset = 0
        while name[offset]:
            suffix = name[offset:]
            known = self._known.get(suffix)
            if known is not None:
                self.number(0xC000 | known, 2)
                return
            if len(self.out) < 0x4000:
                self._known[suffix] = len(self.out)
            end = offset + 1 + name[offset]
            self.out.extend(name[offset:end])
            offset = end
        self.out.append(0)

    def record(self, record: Record, compress_srv: bool) -> None:
        self.name(record.name)
        self.number(record.type, 2)
        self.number(record.klass | (_TOP_BIT if record.flush else 0), 2)
        self.number(record.ttl, 4)
        at = len(self.out)
        self.number(0, 2)
        if record.type in (PTR, CNAME, NS):
            self.name(record.data)
        elif record.type == SRV and compress_srv:
            self.out.extend(record.data[:6])
            self.name(record.data[6:])
        else:
            self.out.extend(record.data)
        self.out[at : at + 2] = (len(self.out) - at - 2).to_bytes(2, "big")


def encode(message: Message, compress_srv: bool = True) -> bytes:
    """`compress_srv` False for legacy unicast answers (RFC 6762 section 18.14)."""
    made = _Writer(message.id, message.flags)
    sections = (message.answers, message.authorities, message.additionals)
    made.number(len(message.questions), 2)
    for section in sections:
        made.number(len(section), 2)
    for question in message.questions:
        made.name(question.name)
        made.number(question.type, 2)
        made.number(question.klass | (_TOP_BIT if question.unicast else 0), 2)
    for section in sections:
        for record in section:
            made.record(record, compress_srv)
    return bytes(made.out)
