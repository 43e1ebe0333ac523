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
from agent.wire.shape import ID, fits

if False:
    from typing import Any

    from agent.port import contract

VERSION = 1
ENVELOPE_BYTES_MAX = 4096
KIND_CHARS_MAX = 16
CORRELATION_BYTES_MAX = 16
SEQUENCE_MAX = 0xFFFFFFFF
EXPIRY_MAX = 1 << 40
DEPTH_MAX = 8

TOPIC_ROOT = "c1"
# The broker's access lists are made of these two: what is not named here cannot be sent at all.
UP_KINDS = ("birth", "death", "tele", "ack")
DN_KINDS = ("cmd", "time")

# {key: (what is expected, shape)}; those in OPTIONAL may be left out.
FIELDS: "dict[int, tuple[str, tuple[Any, ...]]]" = {
    0: (f"version {VERSION}, came another; is one side older?", ("int", VERSION, VERSION)),
    1: (f"a kind of 1 to {KIND_CHARS_MAX} letters a-z", ("letters", 1, KIND_CHARS_MAX)),
    2: ("a sequence number below 2^32", ("int", 0, SEQUENCE_MAX)),
    3: (f"a correlation of 1 to {CORRELATION_BYTES_MAX} bytes", ("bytes", 1, CORRELATION_BYTES_MAX)),
    4: ("an expiry in unix seconds", ("int", 0, EXPIRY_MAX)),
    5: ("a map as body", ("map", 0, ENVELOPE_BYTES_MAX)),
}
OPTIONAL = (3, 4)

Envelope = namedtuple("Envelope", ("kind", "sequence", "correlation", "expiry", "body"))
Topic = namedtuple("Topic", ("device", "direction", "kind"))


def encode(codec: "contract.Codec", envelope: Envelope) -> bytes:
    """UsageError("envelope") for a field that `decode` would refuse, or more than ENVELOPE_BYTES_MAX."""
    fields = {0: VERSION, 1: envelope.kind, 2: envelope.sequence, 5: envelope.body}
    if envelope.correlation is not None:
        fields[3] = envelope.correlation
    if envelope.expiry is not None:
        fields[4] = envelope.expiry
    fault = _fault(fields)
    if fault:
        raise UsageError("envelope", "envelope: " + fault)
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
    fault = _fault(fields)
    if fault:
        raise PeerError("envelope", "envelope: " + fault)
    return Envelope(fields[1], fields[2], fields.get(3), fields.get(4), fields[5])


def _fault(fields: "dict[int, Any]") -> str:
    """What is wrong, "" when nothing is."""
    for key in fields:
        if isinstance(key, str) or key not in FIELDS:
            return "expected the keys 0 to 5 only"
    for key in sorted(FIELDS):
        text, shape = FIELDS[key]
        if not (fits(fields[key], shape) if key in fields else key in OPTIONAL):
            return "expected " + text
    return ""


def is_device(text: str) -> bool:
    """16 lower-case hex digits."""
    return fits(text, ID)


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
        or not fits(parts[3], FIELDS[1][1])
    ):
        raise PeerError("topic", "topic: expected c1/<device>/up|dn/<kind>")
    return Topic(parts[1], parts[2], parts[3])
