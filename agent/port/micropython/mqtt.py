"""MQTT packets of a small client: 3.1.1 (OASIS 2014) and 5.0 (OASIS 2019), bytes <-> values, no I/O.

Only what the link uses: CONNECT with a will, PUBLISH at QoS 0 and 1, SUBSCRIBE, PUBACK, PINGREQ, DISCONNECT out;
CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT in. Everything else from a broker is a PeerError("mqtt"):
QoS 2, topic aliases (we allow none), AUTH, reserved flags and non-minimal lengths too.

Runs on CPython as well, for the differential tests against paho. Bounds: `packet_bytes_max` of a Decoder (it holds
one packet at most), TOPIC_BYTES_MAX, PROPERTIES_MAX properties in a packet.
"""

from collections import namedtuple

from agent.errors import PeerError, UsageError

if False:
    from typing import Any

V311 = 4
V5 = 5
TOPIC_BYTES_MAX = 128
PROPERTIES_MAX = 32
IN_FLIGHT_MAX = 16

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14

LENGTH_MAX = 268_435_455  # 5.0 section 1.5.5

PINGREQ = b"\xc0\x00"
GOODBYE = b"\xe0\x00"  # DISCONNECT: the will is not sent

# CONNACK: `code` 0 is success; `session` is the "session present" flag; `properties`: {identifier: int or bytes}.
Connack = namedtuple("Connack", ("code", "session", "properties"))
Publish = namedtuple("Publish", ("topic", "payload", "qos", "retain", "packet_id"))
Puback = namedtuple("Puback", ("packet_id", "code"))
Suback = namedtuple("Suback", ("packet_id", "codes"))
Pingresp = namedtuple("Pingresp", ("packet_id",))
Disconnect = namedtuple("Disconnect", ("code",))

KEEPALIVE = 19  # property: the keepalive that the broker wants
RECEIVE_MAX = 33  # property: how many messages of QoS 1 may come before we acknowledge
PACKET_BYTES = 39  # property: the largest packet that its sender takes

# 5.0 section 2.2.2.2: {identifier: bytes of an integer}; the others are binary or text, but for these two.
_INTEGERS = {1: 1, 2: 4, 17: 4, 19: 2, 33: 2, 34: 2, 35: 2, 36: 1, 37: 1, 39: 4, 40: 1, 41: 1, 42: 1}
_SUBSCRIPTION = 11  # variable byte integer; may be repeated
_USER_PROPERTY = 38  # a pair of texts; may be repeated
# Which packet may have which, as a broker sends them.
_ALLOWED = {
    CONNACK: (17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42),
    PUBLISH: (1, 2, 3, 8, 9, 11, 35, 38),
    PUBACK: (31, 38),
    SUBACK: (31, 38),
    DISCONNECT: (28, 31, 38),
}
_TOPIC_ALIAS = 35


def _bad(text: str) -> PeerError:
    return PeerError("mqtt", "MQTT: " + text)


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _text(text: str, is_topic: bool = False) -> bytes:
    data = text.encode()
    if len(data) > TOPIC_BYTES_MAX or "\0" in text or (is_topic and (not data or "+" in text or "#" in text)):
        raise UsageError("mqtt", f"expected a topic or name of 1 to {TOPIC_BYTES_MAX} bytes without + and #")
    return _field(data)


def _length(value: int) -> bytes:
    """Variable byte integer."""
    made = bytearray()
    while True:
        value, low = value // 128, value % 128
        made.append(low | (128 if value else 0))
        if not value:
            return bytes(made)


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + _length(len(body)) + body


def encode_connect(options: "Any", version: int) -> bytes:
    """`options`: agent/port/options.py LinkOptions. Clean session; the will is retained, QoS 1."""
    flags = 0x02
    will = b""
    if options.will_topic:
        flags |= 0x04 | 0x08 | 0x20
        will = (b"\0" if version == V5 else b"") + _text(options.will_topic, True) + _field(options.will_payload)
    body = b"\0\4MQTT" + bytes((version, flags)) + options.keepalive_s.to_bytes(2, "big")
    if version == V5:
        body += (
            _length(8)
            + bytes((RECEIVE_MAX, 0, IN_FLIGHT_MAX, PACKET_BYTES))
            + options.packet_bytes_max.to_bytes(4, "big")
        )
    return _packet(0x10, body + _text(options.client_id) + will)


def encode_publish(publish: Publish, version: int) -> bytes:
    """`packet_id` is left out at QoS 0."""
    body = _text(publish.topic, True)
    if publish.qos:
        body += publish.packet_id.to_bytes(2, "big")
    if version == V5:
        body += b"\0"
    return _packet(0x30 | publish.qos << 1 | (1 if publish.retain else 0), body + publish.payload)


def encode_subscribe(packet_id: int, topic_filter: str, version: int) -> bytes:
    """One filter, QoS 1."""
    body = packet_id.to_bytes(2, "big") + (b"\0" if version == V5 else b"")
    return _packet(0x82, body + _text(topic_filter) + b"\1")


def encode_puback(packet_id: int) -> bytes:
    """Success; the same bytes in both versions (5.0 section 3.4.2.1)."""
    return _packet(0x40, packet_id.to_bytes(2, "big"))


class _Body:
    """Reads a packet's body field by field; PeerError when it is shorter than it says."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise _bad("a packet ended too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def length(self) -> int:
        value, count = length_at(self.data, self.at)
        if not count:
            raise _bad("a packet ended too early")
        self.at += count
        return value

    def packet_id(self) -> int:
        value = self.number(2)
        if not value:
            raise _bad("packet identifier 0 came")
        return value

    def topic(self) -> str:
        data = self.take(self.number(2))
        if not 1 <= len(data) <= TOPIC_BYTES_MAX:
            raise _bad(f"expected a topic of 1 to {TOPIC_BYTES_MAX} bytes, came {len(data)}")
        try:
            text = data.decode()
        except ValueError:
            raise _bad("a topic that is no UTF-8 came")
        if "\0" in text or "+" in text or "#" in text:
            raise _bad("a topic with a wildcard or a zero came")
        return text

    def properties(self, packet: int) -> "dict[int, Any]":
        end = self.length() + self.at
        if end > len(self.data):
            raise _bad("the properties are longer than their packet")
        found: dict[int, Any] = {}
        count = 0
        while self.at < end:
            count += 1
            key = self.length()
            if key not in _ALLOWED[packet] or key in found or count > PROPERTIES_MAX:
                raise _bad(f"property {key} came where it must not, or again, or as one too many")
            if key == _USER_PROPERTY:
                self.take(self.number(2))
                self.take(self.number(2))
            elif key == _SUBSCRIPTION:
                self.length()
            elif key in _INTEGERS:
                found[key] = self.number(_INTEGERS[key])
            else:
                found[key] = self.take(self.number(2))
        if self.at != end:
            raise _bad("a property is longer than the properties")
        return found


def length_at(data: bytes, at: int) -> tuple[int, int]:
    """(value, bytes used) of a variable byte integer; (0, 0) when more bytes are needed."""
    value = 0
    for count in range(4):
        if at + count >= len(data):
            return 0, 0
        byte = data[at + count]
        value |= (byte & 127) << 7 * count
        if byte < 128:
            if count and not byte:
                raise _bad("a length is longer than needed")  # 5.0 [MQTT-1.5.5-1]
            return value, count + 1
    raise _bad("a length of more than 4 bytes came")


class Decoder:
    """Splits a byte stream into packets. After a PeerError the connection must be closed."""

    def __init__(self, packet_bytes_max: int) -> None:
        self.version = V311
        self._packet_bytes_max = packet_bytes_max
        self._buffer = b""

    def feed(self, data: bytes) -> "list[Any]":
        """All packets that are complete now."""
        self._buffer += data
        packets = []
        while len(self._buffer) >= 2:
            length, used = length_at(self._buffer, 1)
            if 1 + used + length > self._packet_bytes_max:
                raise _bad(f"expected packets of at most {self._packet_bytes_max} bytes, one of {length} came")
            end = 1 + used + length
            if not used or len(self._buffer) < end:
                break
            packets.append(decode(self._buffer[0], self._buffer[1 + used : end], self.version))
            self._buffer = self._buffer[end:]
        return packets


def decode(head: int, data: bytes, version: int) -> "Any":
    """One packet from its first byte and its body."""
    kind, flags = head >> 4, head & 15
    body = _Body(data)
    if kind == PUBLISH:
        return _publish(body, flags, version)
    if flags:
        raise _bad("reserved flags are set")  # 3.1.1 [MQTT-2.2.2-2]
    if kind == CONNACK:
        session, code = body.number(1), body.number(1)
        # A 3.1.1 broker refuses a 5.0 client with a packet of its own version: no properties there.
        properties = body.properties(kind) if version == V5 and body.at < len(data) else {}
        packet: Any = Connack(code, session, properties)
        if session > 1 or (session and code):
            raise _bad("a CONNACK with wrong flags came")
    elif kind == PUBACK:
        packet = Puback(body.packet_id(), _reason(body, kind, version))
    elif kind == SUBACK:
        packet_id = body.packet_id()
        if version == V5:
            body.properties(kind)
        packet = Suback(packet_id, body.take(len(data) - body.at))
        if not packet.codes:
            raise _bad("a SUBACK without a code came")
    elif kind == PINGRESP:
        packet = Pingresp(0)
    elif kind == DISCONNECT and version == V5:
        packet = Disconnect(_reason(body, kind, version))
    else:
        raise _bad(f"a packet of type {kind} came, which no broker may send to us")
    if body.at != len(data):
        raise _bad("a packet is longer than its fields")
    return packet


def _reason(body: _Body, packet: int, version: int) -> int:
    """5.0 sections 3.4.2.1 and 3.14.2.1: code and properties may be left out."""
    if version != V5 or body.at == len(body.data):
        return 0
    code = body.number(1)
    if body.at < len(body.data):
        body.properties(packet)
    return code


def _publish(body: _Body, flags: int, version: int) -> Publish:
    qos = flags >> 1 & 3
    if qos > 1 or (flags & 8 and not qos):
        raise _bad("a PUBLISH with QoS 2 or 3, or a repeated one of QoS 0, came")
    topic = body.topic()
    packet_id = body.packet_id() if qos else 0
    if version == V5 and _TOPIC_ALIAS in body.properties(PUBLISH):
        raise _bad("a topic alias came, none was allowed")
    return Publish(topic, body.take(len(body.data) - body.at), qos, bool(flags & 1), packet_id)
