"""The core's end: what it sends and what it refuses."""

from tests.unit.agent.core.hearing import CODEC, DEVICE, Entropy, at, hear, made, orders, presence  # isort: skip

from agent.errors import PeerError
from agent.wire import envelope
from tests.expect import raises


def test_a_device_that_speaks_is_not_dead() -> None:
    machine = made()
    hear(machine, "birth", at(1, 1), 0)
    hear(machine, "death", at(1, 1))
    orders(machine)
    hear(machine, "tele", {}, 1)
    assert orders(machine) == ["time", "rebirth"]
    assert hear(machine, "birth", at(1, 1), 2) == ["Up", "Heard"]


def test_after_a_restart_of_the_core_the_kept_birth_counts() -> None:
    machine = made()
    assert hear(machine, "birth", at(7, 2), 0, True) == ["Up", "Heard"]
    assert orders(machine) == ["time"]
    assert hear(machine, "tele", {}, 57) == ["Heard"]  # what was said before is no gap
    assert orders(machine) == []
    hear(machine, "tele", {}, 59)
    assert orders(machine) == ["time", "rebirth"]


def test_a_lost_connection_of_our_own_takes_all_down() -> None:
    machine = made()
    hear(machine, "birth", at(1, 1))
    machine.disconnected(5)
    assert [type(event).__name__ for event in machine.drain_events()] == ["Down"]
    assert machine.outgoing == [] and machine.wake_at is None
    machine.connected(9)
    assert hear(machine, "birth", at(1, 1), 0, True, 9) == ["Up", "Heard"]


def test_others_are_refused_and_garbage_is_counted() -> None:
    machine = made()
    good = envelope.encode(CODEC, envelope.Envelope("birth", 0, None, None, at(1, 1)))
    for topic in ("c1/ffffffffffffffff/up/birth", "c1/" + DEVICE + "/dn/cmd", "x"):
        assert raises(PeerError, machine.receive, good, (topic, False), 0).code == "topic"
    assert machine.devices == {}
    own = "c1/" + DEVICE + "/up/"
    for kind, data, code in (
        ("birth", b"\xff" * 64, "cbor"),
        ("tele", good, "envelope"),
        ("birth", envelope.encode(CODEC, envelope.Envelope("birth", 0, None, None, {"boot": 1})), "session"),
        ("birth", envelope.encode(CODEC, envelope.Envelope("birth", 0, None, None, at(-1, 1))), "session"),
        ("death", envelope.encode(CODEC, envelope.Envelope("death", 0, None, None, {"boot": True})), "session"),
        ("other", envelope.encode(CODEC, envelope.Envelope("other", 0, None, None, {})), "kind"),
        ("ack", envelope.encode(CODEC, envelope.Envelope("ack", 0, b"1", None, {"ok": 1, "result": {}})), "answer"),
    ):
        assert raises(PeerError, machine.receive, data, (own + kind, False), 0).code == code
    assert machine.devices[DEVICE].odd == 7 and not machine.devices[DEVICE].is_up
    assert machine.drain_events() == []


def test_the_number_of_devices_is_bounded() -> None:
    whole = presence.DEVICES_MAX
    presence.DEVICES_MAX = 3
    try:
        machine = presence.CoreLink(CODEC, Entropy().bytes, lambda device: True)
        data = envelope.encode(CODEC, envelope.Envelope("birth", 0, None, None, at(1, 1)))
        for number in range(3):
            machine.receive(data, (envelope.topic(f"{number:016x}", "up", "birth"), False), 0)
        assert raises(PeerError, machine.receive, data, (envelope.topic("f" * 16, "up", "birth"), False), 0)
        assert len(machine.devices) == 3
    finally:
        presence.DEVICES_MAX = whole


def test_a_refused_message_changes_nothing() -> None:
    machine = made()
    hear(machine, "birth", at(3, 2), 0)
    hear(machine, "tele", {"used": 5}, 1)
    bad = at(9, 1)
    bad["addresses"] = 5
    for kind, body in (("birth", bad), ("tele", {"used": b"x"})):
        assert raises(PeerError, hear, machine, kind, body, 2).code in ("birth", "telemetry")
    known = machine.devices[DEVICE]
    assert known.birth is not None and (known.birth["boot"], known.birth["addresses"]) == (3, [])
    assert (known.telemetry, known.born, known.odd, known.sequence) == ({"used": 5}, (3, 2), 2, 1)
    assert machine.drain_events() == []
