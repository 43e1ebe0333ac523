"""What every MQTT message of the link carries: one CBOR map with integer keys, and the topic it travels on.

    {0: version 1, 1: kind, 2: sequence, 3: correlation (optional), 4: expiry (optional), 5: body}

`sequence` counts the messages of one session in one direction, from 0. `expiry` is unix seconds of the
core's clock, the only clock both ends share. Correlation and expiry live here and not in MQTT 5 properties,
because the floor is MQTT 3.1.1.

Not here: signatures (wire/cose.py) and what a body means (core/link.py, core/presence.py).
Bounds: ENVELOPE_BYTES_MAX, KIND_CHARS_MAX, CORRELATION_BYTES_MAX, SEQUENCE_MAX, EXPIRY_MAX, DEPTH_MAX.
"""

from collections import namedtuple

from agent.errors import PeerError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.port import contract

VERSION = 1
ENVELOPE_BYTES_MAX = 4096
KIND_CHARS_MAX = 16
CORRELATION_BYTES_MAX = 16
SEQUENCE_MAX = 0xFFFFFFFF
EXPIRY_MAX = 1 << 40
DEPTH_MAX = 8
DEVICE_CHARS = 16

TOPIC_ROOT = "c1"
# The broker's access lists are made of these two: what is not named here cannot be sent at all.
UP_KINDS = ("birth", "death", "tele", "ack")
DN_KINDS = ("cmd", "time")

_HEX = "0123456789abcdef"

Envelope = namedtuple("Envelope", ("kind", "sequence", "correlation", "expiry", "body"))
Topic = namedtuple("Topic", ("device", "direction", "kind"))


def encode(codec: "contract.Codec", envelope: Envelope) -> bytes:
    """UsageError("envelope") for a field that `decode` would refuse, or more than ENVELOPE_BYTES_MAX."""
    fault = _fault(envelope)
    if fault:
        raise UsageError("envelope", "envelope: " + fault)
    fields = {0: VERSION, 1: envelope.kind, 2: envelope.sequence, 5: envelope.body}
    if envelope.correlation is not None:
        fields[3] = envelope.correlation
    if envelope.expiry is not None:
        fields[4] = envelope.expiry
    data = codec.encode(fields)
    if len(data) > ENVELOPE_BYTES_MAX:
        raise UsageError("envelope", f"envelope: expected at most {ENVELOPE_BYTES_MAX} bytes, came {len(data)}")
    return data


def decode(codec: "contract.Codec", data: bytes) -> Envelope:
    """PeerError("envelope") or PeerError("cbor") for anything `encode` would not have written."""
    if len(data) > ENVELOPE_BYTES_MAX:
        raise PeerError("envelope", f"envelope: expected at most {ENVELOPE_BYTES_MAX} bytes, came {len(data)}")
    fields = codec.decode(data, (), DEPTH_MAX)
    if not isinstance(fields, dict):
        raise PeerError("envelope", "envelope: expected a map")
    version = fields.get(0)
    if version is True or version != VERSION:
        raise PeerError("envelope", f"envelope: expected version {VERSION}, came another; is one side older?")
    for key in fields:
        if isinstance(key, str) or key not in (0, 1, 2, 3, 4, 5):
            raise PeerError("envelope", "envelope: expected the keys 0 to 5 only")
    for key in (3, 4):
        if key in fields and fields[key] is None:
            raise PeerError("envelope", "envelope: an absent field is left out, not null")
    envelope = Envelope(fields.get(1), fields.get(2), fields.get(3), fields.get(4), fields.get(5))
    fault = _fault(envelope)
    if fault:
        raise PeerError("envelope", "envelope: " + fault)
    return envelope


def _fault(envelope: Envelope) -> str:
    """What is wrong with it, "" when nothing is."""
    kind, sequence, correlation, expiry, body = envelope
    if not isinstance(kind, str) or not is_kind(kind):
        return f"expected a kind of 1 to {KIND_CHARS_MAX} letters a-z"
    if not _is_int(sequence) or not 0 <= sequence <= SEQUENCE_MAX:
        return "expected a sequence number below 2^32"
    if correlation is not None and (
        not isinstance(correlation, bytes) or not 1 <= len(correlation) <= CORRELATION_BYTES_MAX
    ):
        return f"expected a correlation of 1 to {CORRELATION_BYTES_MAX} bytes"
    if expiry is not None and (not _is_int(expiry) or not 0 <= expiry <= EXPIRY_MAX):
        return "expected an expiry in unix seconds"
    if not isinstance(body, dict):
        return "expected a map as body"
    return ""


def _is_int(value: object) -> bool:
    # On CPython True is an int, on MicroPython it is not (house rule).
    return value is not True and value is not False and isinstance(value, int)


def is_kind(text: str) -> bool:
    return 1 <= len(text) <= KIND_CHARS_MAX and all("a" <= char <= "z" for char in text)


def is_device(text: str) -> bool:
    """16 lower-case hex digits."""
    return len(text) == DEVICE_CHARS and all(char in _HEX for char in text)


def topic(device: str, direction: str, kind: str) -> str:
    """`direction`: "up" (device to core) or "dn"."""
    return TOPIC_ROOT + "/" + device + "/" + direction + "/" + kind


def parse_topic(text: str) -> Topic:
    """PeerError("topic") for anything that is no topic of ours."""
    parts = text.split("/")
    if (
        len(parts) != 4
        or parts[0] != TOPIC_ROOT
        or not is_device(parts[1])
        or parts[2] not in ("up", "dn")
        or not is_kind(parts[3])
    ):
        raise PeerError("topic", "topic: expected c1/<device>/up|dn/<kind>")
    return Topic(parts[1], parts[2], parts[3])
