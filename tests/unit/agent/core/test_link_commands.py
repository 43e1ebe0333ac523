"""The device's end: commands, their one answer, and what a core can not make it do."""

from agent.core import link
from agent.errors import PeerError
from agent.wire import envelope
from tests.expect import raises
from tests.unit.agent.core.linking import DEVICE, message, sent, up

TOPIC = "c1/" + DEVICE + "/dn/cmd"
UNIX = 1_700_000_000


def ready() -> link.DeviceLink:
    machine = up(0)
    machine.receive(message("time", {"unix": UNIX}), "c1/" + DEVICE + "/dn/time", 0)
    machine.drain_events()
    return machine


def give(machine: link.DeviceLink, op: str, correlation: bytes, now: int = 0, expiry: int = UNIX + 60) -> None:
    machine.receive(message("cmd", {"op": op, "args": {"a": 1}}, correlation, expiry), TOPIC, now)


def answers(machine: link.DeviceLink) -> list:
    found = []
    for publish, answer in sent(machine):
        assert publish == ("c1/" + DEVICE + "/up/ack", 1, False)
        result = answer.body["result"]
        found.append((answer.correlation, answer.body["ok"], result.get("code", result)))
    return found


def test_a_command_is_run_once_and_answered_once() -> None:
    machine = ready()
    give(machine, "status", b"1")
    assert machine.drain_events() == [link.Command("status", {"a": 1}, b"1")]
    give(machine, "status", b"1")  # delivered twice while it runs
    assert machine.drain_events() == [] and answers(machine) == []
    machine.answer(b"1", True, {"x": 1}, 5)
    assert answers(machine) == [(b"1", True, {"x": 1})]
    machine.answer(b"1", False, {}, 6)
    assert answers(machine) == []
    give(machine, "status", b"1", 7)  # and again: the same answer, not another run
    assert machine.drain_events() == [] and answers(machine) == [(b"1", True, {"x": 1})]


def test_ping_and_rebirth_are_answered_here() -> None:
    machine = ready()
    give(machine, "ping", b"1")
    assert answers(machine) == [(b"1", True, {})] and machine.drain_events() == []
    give(machine, "rebirth", b"2", 10_000)
    assert answers(machine) == [(b"2", True, {})]
    assert machine.drain_events() == [link.BirthWanted("asked")]


def test_births_cannot_be_asked_for_all_the_time() -> None:
    machine = ready()
    births = 0
    for number in range(200):
        now = 10_000 + number * 100
        give(machine, "rebirth", number.to_bytes(2, "big"), now)
        machine.wake(now)
        machine.drain_outgoing()
        births += len([event for event in machine.drain_events() if isinstance(event, link.BirthWanted)])
    assert births == 4  # 20 s at one in 5 s
    machine.wake(machine.wake_at or 0)
    assert machine.drain_events() == [link.BirthWanted("asked")]  # the last wish is not lost


def test_expiry_is_in_core_time() -> None:
    machine = ready()
    give(machine, "status", b"1", 60_000)
    assert len(machine.drain_events()) == 1
    give(machine, "status", b"2", 61_000)
    assert machine.drain_events() == [] and answers(machine) == [(b"2", False, "expired")]


def test_without_core_time_nothing_is_run() -> None:
    machine = up(0)
    give(machine, "status", b"1")
    assert machine.drain_events() == [] and answers(machine) == [(b"1", False, "no_time")]


def test_shapes() -> None:
    machine = ready()
    good = {"op": "x", "args": {}}
    for body, correlation, expiry in (
        (good, None, UNIX + 9),
        (good, b"1", None),
        ({"op": "", "args": {}}, b"1", UNIX + 9),
        ({"op": "x" * 17, "args": {}}, b"1", UNIX + 9),
        ({"op": 1, "args": {}}, b"1", UNIX + 9),
        ({"op": "x", "args": []}, b"1", UNIX + 9),
        ({}, b"1", UNIX + 9),
    ):
        data = message("cmd", body, correlation, expiry)
        assert raises(PeerError, machine.receive, data, TOPIC, 0).code == "command"
    assert machine.drain_events() == [] and answers(machine) == []


def test_no_more_than_so_many_at_once() -> None:
    machine = ready()
    for number in range(link.COMMANDS_RUNNING_MAX + 3):
        give(machine, "work", bytes((number,)))
    assert len(machine.drain_events()) == link.COMMANDS_RUNNING_MAX
    assert [code for _, _, code in answers(machine)] == ["busy"] * 3
    machine.answer(b"\0", True, {}, 1)
    give(machine, "work", b"new", 2)
    assert len(machine.drain_events()) == 1


def test_the_table_of_answers_is_bounded() -> None:
    machine = ready()
    for number in range(300):
        give(machine, "ping", number.to_bytes(2, "big"))
        assert len(machine._jobs) <= link.ANSWERS_KEPT_MAX
        assert len(answers(machine)) == 1


def test_a_command_that_takes_too_long_is_answered_too() -> None:
    machine = ready()
    give(machine, "work", b"1", 1000)
    machine.drain_events()
    while not machine.outgoing:
        when = machine.wake_at or 0
        machine.wake(when)
        machine.drain_events()
    assert when == 1000 + link.COMMAND_RUN_MS_MAX
    assert answers(machine) == [(b"1", False, "timeout")]
    machine.answer(b"1", True, {}, when + 1)
    assert answers(machine) == []


def test_answers_that_cannot_be_sent_say_so() -> None:
    machine = ready()
    for correlation, body, code in ((b"1", {"a": b"x" * 4000}, "too_big"), (b"2", {"a": 1.5}, "answer")):
        give(machine, "work", correlation)
        machine.answer(correlation, True, body, 1)
        assert answers(machine) == [(correlation, False, code)]


def test_a_big_answer_is_sent_but_not_kept() -> None:
    machine = ready()
    give(machine, "work", b"1")
    machine.answer(b"1", True, {"a": b"x" * 2000}, 1)
    assert answers(machine) == [(b"1", True, {"a": b"x" * 2000})]
    give(machine, "work", b"1")
    assert answers(machine) == [(b"1", False, "answered")]


def test_an_answer_waits_for_the_next_session() -> None:
    machine = ready()
    give(machine, "work", b"1")
    machine.drain_events()
    machine.disconnected(5)
    machine.answer(b"1", True, {"done": 1}, 6)
    assert sent(machine) == []
    machine.wake(machine.wake_at or 0)
    machine.connected(400_000)
    machine.drain_events()
    machine.drain_outgoing()
    data = message("cmd", {"op": "work", "args": {}}, b"1", UNIX + 1000)
    machine.receive(data, TOPIC, 400_001)  # the core repeats itself
    assert machine.drain_events() == [] and answers(machine) == [(b"1", True, {"done": 1})]


def test_every_message_is_within_the_bound() -> None:
    machine = ready()
    give(machine, "work", b"1")
    machine.answer(b"1", True, {"a": b"x" * (link.ANSWER_BYTES_MAX - 40)}, 1)
    ((data, _),) = machine.drain_outgoing()
    assert len(data) <= envelope.ENVELOPE_BYTES_MAX
