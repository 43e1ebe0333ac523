"""Invariant: whatever bytes come, the MQTT decoder and the envelope give a value whose encoding is those bytes again
(where it has one), or PeerError, and nothing else; they hold at most one packet; the machines behind them likewise."""

import os
import random

from agent import port
from agent.core import link, presence
from agent.errors import PeerError
from agent.port.micropython import mqtt
from agent.wire import envelope

ROUNDS = 400_000 if os.environ.get("CORELET_FULL") == "1" else 12_000
CODEC = port.codec()
DEVICE = "00112233445566aa"
BYTES_MAX = 512
PIECES = [
    b"\x20\2\0\0", b"\x20\3\0\0\0", b"\x20\x0b\0\0\x08\x13\0\x1e\x27\0\0\x10\0", b"\x40\2\0\1", b"\x40\4\0\1\x87\0",
    b"\x90\3\0\1\1", b"\x90\4\0\1\0\x87", b"\xd0\0", b"\xe0\1\x8e", b"\x30\4\0\2abx", b"\x32\6\0\1a\0\1x",
    b"\x30\x0b\0\1a\6\x26\0\0\0\1bx", b"\x30\xff\x7f", b"\x20\x80\0",
]  # fmt: skip


def mutated(chance: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(made) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            made[at:at] = chance.randbytes(chance.randrange(1, 4))
        elif kind == 2:
            del made[at : at + chance.randrange(1, 4)]
        elif kind == 3 and at < len(made):
            made[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        else:
            made[at:at] = made[: chance.randrange(len(made) + 1)]
    return bytes(made)


def test_mqtt_decoder() -> None:
    chance = random.Random(1883)
    good = bad = 0
    for _ in range(ROUNDS):
        data = mutated(chance, b"".join(chance.choices(PIECES, k=chance.randrange(1, 4))))
        version = chance.choice((mqtt.V311, mqtt.V5))
        decoder = mqtt.Decoder(BYTES_MAX)
        decoder.version = version
        try:
            at = 0
            while at < len(data):
                step = chance.randrange(1, 20)
                for packet in decoder.feed(data[at : at + step]):
                    good += 1
                    if isinstance(packet, mqtt.Publish):
                        again = mqtt.decode(*split(mqtt.encode_publish(packet, version)), version)
                        assert again == packet
                assert len(decoder._buffer) <= BYTES_MAX
                at += step
        except PeerError as error:
            assert error.code == "mqtt"
            bad += 1
    assert good > ROUNDS // 4 and bad > ROUNDS // 4


def split(packet: bytes) -> tuple[int, bytes]:
    _, used = mqtt.length_at(packet, 1)
    return packet[0], packet[1 + used :]


def messages() -> list[bytes]:
    return [
        envelope.encode(CODEC, envelope.Envelope(kind, 3, correlation, expiry, body))
        for kind, correlation, expiry, body in (
            ("cmd", b"12345678", 1_700_000_000, {"op": "status", "args": {}}),
            ("cmd", b"1", 1_800_000_000, {"op": "rebirth", "args": {"a": [1, 2]}}),
            ("time", None, None, {"unix": 1_700_000_000}),
            ("birth", None, None, {"boot": 1, "session": 2, "addresses": ["10.0.0.1"]}),
            ("death", None, None, {"boot": 1, "session": 2}),
            ("tele", None, None, {"cpu_permille": 5}),
            ("ack", b"12345678", None, {"ok": True, "result": {}}),
        )
    ]


def test_envelope() -> None:
    chance = random.Random(5)
    seeds, good = messages(), 0
    for _ in range(ROUNDS):
        data = mutated(chance, chance.choice(seeds))
        try:
            message = envelope.decode(CODEC, data)
        except PeerError as error:
            assert error.code in ("cbor", "envelope")
            continue
        good += 1
        assert envelope.encode(CODEC, message) == data
    assert good > ROUNDS // 10


def test_both_ends_of_the_link() -> None:
    """Garbage on every topic: PeerError or nothing; the tables stay within their bounds; the machines still work."""
    chance = random.Random(6)
    seeds = messages()
    device = link.DeviceLink(CODEC, os.urandom, DEVICE, 1, [("h", 1)])
    device.start(0)
    device.connected(0)
    core = presence.CoreLink(CODEC, os.urandom, lambda each: each == DEVICE)
    core.connected(0)
    for now in range(ROUNDS):
        data = mutated(chance, chance.choice(seeds))
        kind = chance.choice(("cmd", "time", "birth", "death", "tele", "ack"))
        for machine, source in (
            (device, envelope.topic(DEVICE, "dn", kind)),
            (core, (envelope.topic(DEVICE, "up", kind), chance.random() < 0.2)),
        ):
            try:
                machine.receive(data, source, now)
            except PeerError:
                continue
            for event in machine.drain_events():
                if isinstance(event, link.Command):
                    device.answer(event.correlation, True, {}, now)
            machine.drain_outgoing()
        assert len(device._jobs) <= link.ANSWERS_KEPT_MAX
    assert list(core.devices) == [DEVICE] and core.devices[DEVICE].odd > 0
    device.receive(
        envelope.encode(CODEC, envelope.Envelope("time", 0, None, None, {"unix": 5})), f"c1/{DEVICE}/dn/time", 0
    )
    assert device.core_time(0) == 5
