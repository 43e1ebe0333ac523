"""The envelope: round trips, and every field that must be refused, in both directions."""

from agent import port
from agent.errors import PeerError, UsageError
from agent.wire import envelope
from tests.expect import raises

CODEC = port.codec()
GOOD = envelope.Envelope("cmd", 7, b"12345678", 1_700_000_000, {"op": "ping", "args": {}})


def test_round_trips() -> None:
    for message in (
        GOOD,
        envelope.Envelope("tele", 0, None, None, {}),
        envelope.Envelope("a", envelope.SEQUENCE_MAX, b"x" * 16, 0, {"list": [1, b"2", "3", None, True]}),
    ):
        assert envelope.decode(CODEC, envelope.encode(CODEC, message)) == message


def test_the_bytes_are_these() -> None:
    data = envelope.encode(CODEC, GOOD)
    assert data == CODEC.encode({0: 1, 1: "cmd", 2: 7, 3: b"12345678", 4: 1_700_000_000, 5: {"op": "ping", "args": {}}})
    assert 3 not in CODEC.decode(envelope.encode(CODEC, envelope.Envelope("tele", 0, None, None, {})))


def test_bad_fields_are_refused_by_both_ends() -> None:
    kind, sequence, correlation, expiry, body = GOOD
    for bad in (
        ("", sequence, correlation, expiry, body),
        ("Cmd", sequence, correlation, expiry, body),
        ("a" * 17, sequence, correlation, expiry, body),
        (5, sequence, correlation, expiry, body),
        (kind, -1, correlation, expiry, body),
        (kind, 1 << 32, correlation, expiry, body),
        (kind, True, correlation, expiry, body),
        (kind, None, correlation, expiry, body),
        (kind, sequence, b"", expiry, body),
        (kind, sequence, b"x" * 17, expiry, body),
        (kind, sequence, "text", expiry, body),
        (kind, sequence, correlation, -1, body),
        (kind, sequence, correlation, (1 << 40) + 1, body),
        (kind, sequence, correlation, False, body),
        (kind, sequence, correlation, expiry, []),
        (kind, sequence, correlation, expiry, None),
    ):
        assert raises(UsageError, envelope.encode, CODEC, envelope.Envelope(*bad)).code == "envelope"
        fields = {0: 1, 1: bad[0], 2: bad[1], 3: bad[2], 4: bad[3], 5: bad[4]}
        assert raises(PeerError, envelope.decode, CODEC, CODEC.encode(fields)).code == "envelope"


def test_other_shapes_are_refused() -> None:
    whole = {0: 1, 1: "cmd", 2: 7, 5: {}}
    assert envelope.decode(CODEC, CODEC.encode(whole)).kind == "cmd"
    for value in ([], 1, None, "x", {}, {0: 1}):
        assert raises(PeerError, envelope.decode, CODEC, CODEC.encode(value)).code == "envelope"
    for key, value in ((0, 2), (0, True), (0, "1"), (6, 0), ("x", 0), (3, None), (4, None)):
        fields = dict(whole)
        fields[key] = value
        assert raises(PeerError, envelope.decode, CODEC, CODEC.encode(fields)).code == "envelope"
    for key in (0, 1, 2, 5):
        fields = dict(whole)
        del fields[key]
        assert raises(PeerError, envelope.decode, CODEC, CODEC.encode(fields)).code == "envelope"


def test_no_more_than_the_bound() -> None:
    room = envelope.ENVELOPE_BYTES_MAX - len(envelope.encode(CODEC, envelope.Envelope("a", 0, None, None, {"a": b""})))
    fits = envelope.Envelope("a", 0, None, None, {"a": b"x" * (room - 2)})  # two more bytes of length
    data = envelope.encode(CODEC, fits)
    assert len(data) == envelope.ENVELOPE_BYTES_MAX
    assert envelope.decode(CODEC, data) == fits
    more = envelope.Envelope("a", 0, None, None, {"a": b"x" * (room - 1)})
    assert raises(UsageError, envelope.encode, CODEC, more).code == "envelope"
    assert raises(PeerError, envelope.decode, CODEC, b"\0" * (envelope.ENVELOPE_BYTES_MAX + 1)).code == "envelope"
    assert raises(PeerError, envelope.decode, CODEC, b"\xff" * 64).code == "cbor"


def test_topics() -> None:
    device = "0123456789abcdef"
    assert envelope.topic(device, "up", "birth") == "c1/0123456789abcdef/up/birth"
    assert envelope.parse_topic("c1/0123456789abcdef/dn/cmd") == (device, "dn", "cmd")
    for text in (
        "",
        "c1",
        "c2/0123456789abcdef/up/birth",
        "c1/0123456789ABCDEF/up/birth",
        "c1/0123456789abcde/up/birth",
        "c1/0123456789abcdef/in/birth",
        "c1/0123456789abcdef/up/",
        "c1/0123456789abcdef/up/birth/x",
        "/c1/0123456789abcdef/up/birth",
        "c1/0123456789abcdef/up/#",
        "c1/+/up/birth",
    ):
        assert raises(PeerError, envelope.parse_topic, text).code == "topic"
