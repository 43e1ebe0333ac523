"""The core's end: commands that wait for answers, and time."""

from tests.unit.agent.core.hearing import CODEC, DEVICE, UNIX, at, hear, made, orders, presence  # isort: skip

from agent.errors import LimitError
from agent.wire import envelope
from tests.expect import raises


def ready() -> presence.CoreLink:
    machine = made()
    hear(machine, "birth", at(1, 1))
    orders(machine)
    return machine


def answer(machine: presence.CoreLink, correlation: bytes, is_ok: bool, body: dict, sequence: int) -> list:
    message = envelope.Envelope("ack", sequence, correlation, None, {"ok": is_ok, "result": body})
    machine.receive(envelope.encode(CODEC, message), (envelope.topic(DEVICE, "up", "ack"), False), 10)
    return machine.drain_events()


def test_a_command_and_its_answer() -> None:
    machine = ready()
    correlation = machine.command(DEVICE, "status", {"a": 1}, 5000, 1000)
    ((data, publish),) = machine.drain_outgoing()
    assert publish == ("c1/" + DEVICE + "/dn/cmd", 1, False)
    message = envelope.decode(CODEC, data)
    assert (message.correlation, message.body) == (correlation, {"op": "status", "args": {"a": 1}})
    assert message.expiry == UNIX + 6 + presence.EXPIRY_SLACK_S
    assert answer(machine, correlation, True, {"x": 1}, 1) == [presence.Answer(correlation, True, {"x": 1})]
    assert answer(machine, correlation, True, {"x": 1}, 2) == []  # twice
    assert answer(machine, b"other", True, {}, 3) == []


def test_only_its_own_device_can_answer() -> None:
    other = "ffffffffffffffff"
    machine = made((DEVICE, other))
    hear(machine, "birth", at(1, 1))
    correlation = machine.command(DEVICE, "status", {}, 5000, 0)
    machine.drain_events()
    forged = envelope.Envelope("ack", 1, correlation, None, {"ok": True, "result": {}})
    machine.receive(envelope.encode(CODEC, forged), (envelope.topic(other, "up", "ack"), False), 1)
    assert machine.drain_events() == []


def test_no_answer_is_a_timeout() -> None:
    machine = ready()
    correlation = machine.command(DEVICE, "status", {}, 5000, 1000)
    machine.wake(5999)
    assert machine.drain_events() == []
    assert machine.wake_at == 6000
    machine.wake(6000)
    (event,) = machine.drain_events()
    assert (event.correlation, event.is_ok, event.body["code"]) == (correlation, False, "timeout")


def test_an_absent_device_gets_no_commands() -> None:
    machine = made()
    assert raises(LimitError, machine.command, DEVICE, "x", {}, 1, 0).code == "offline"
    hear(machine, "birth", at(1, 1))
    hear(machine, "death", at(1, 1))
    assert raises(LimitError, machine.command, DEVICE, "x", {}, 1, 0).code == "offline"


def test_waiting_commands_are_bounded() -> None:
    whole, presence.COMMANDS_MAX = presence.COMMANDS_MAX, 20
    try:
        machine = ready()
        for _ in range(20):
            machine.command(DEVICE, "x", {}, 1000, 0)
        assert raises(LimitError, machine.command, DEVICE, "x", {}, 1000, 0).code == "busy"
        machine.wake(1000)
        assert len(machine.drain_events()) == 20
        machine.command(DEVICE, "x", {}, 1000, 1000)
    finally:
        presence.COMMANDS_MAX = whole


def test_a_new_session_of_the_same_boot_gets_it_again() -> None:
    machine = ready()
    correlation = machine.command(DEVICE, "work", {}, 60_000, 0)
    machine.drain_outgoing()
    hear(machine, "birth", at(1, 2))
    assert orders(machine) == ["time", "work"]
    assert len(answer(machine, correlation, True, {}, 1)) == 1


def test_a_new_boot_does_not() -> None:
    machine = ready()
    machine.command(DEVICE, "work", {}, 60_000, 0)
    machine.drain_outgoing()
    data = envelope.encode(CODEC, envelope.Envelope("birth", 0, None, None, at(2, 1)))
    machine.receive(data, (envelope.topic(DEVICE, "up", "birth"), False), 5)
    lost = [event for event in machine.drain_events() if isinstance(event, presence.Answer)]
    assert [event.body["code"] for event in lost] == ["restarted"]
    assert orders(machine) == ["time"]


def test_what_waits_ends_with_our_connection_and_with_forget() -> None:
    for end, code in ((presence.CoreLink.disconnected, "core_offline"), (None, "forgotten")):
        machine = ready()
        machine.command(DEVICE, "work", {}, 60_000, 0)
        if end is not None:
            end(machine, 1)
        else:
            machine.forget(DEVICE, 1)
            assert DEVICE not in machine.devices
        lost = [event for event in machine.drain_events() if isinstance(event, presence.Answer)]
        assert [event.body["code"] for event in lost] == [code]


def test_time_is_told_every_ten_minutes_and_after_a_step_of_the_clock() -> None:
    machine = ready()
    told = []
    for minute in range(1, 31):
        now = minute * 60_000
        machine.set_unix(UNIX + minute * 60, now)
        machine.wake(now)
        if orders(machine):
            told.append(minute)
    assert told == [10, 20, 30]
    machine.set_unix(UNIX + 1801, 1_801_500)  # rounding is no step
    machine.wake(1_801_500)
    assert orders(machine) == []
    machine.set_unix(UNIX + 900_000_000, 1_802_000)
    assert machine.wake_at == 1_802_000
    machine.wake(1_802_000)
    ((data, _),) = machine.drain_outgoing()
    assert envelope.decode(CODEC, data).body == {"unix": UNIX + 900_000_000}
