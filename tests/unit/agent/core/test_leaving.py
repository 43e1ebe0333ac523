"""The core's end: devices that have left for ever."""

from tests.unit.agent.core.hearing import DEVICE, at, hear, made, presence  # isort: skip

from agent.errors import PeerError
from tests.expect import raises


def left(boot: int, session: int, word: object = True) -> dict:
    body = at(boot, session)
    body["left"] = word
    return body


def test_a_device_that_leaves_says_so() -> None:
    machine = made()
    hear(machine, "birth", at(1, 1))
    assert hear(machine, "death", left(1, 1)) == ["Down", "Left"]
    machine = made()
    hear(machine, "birth", at(1, 2))
    assert hear(machine, "death", left(1, 1)) == []  # of a session before: it has come back since
    assert machine.devices[DEVICE].is_up


def test_a_kept_farewell_waits_for_a_newer_birth() -> None:
    for birth, events in ((at(1, 1), ["Left"]), (at(1, 2), [])):
        machine = made()
        assert hear(machine, "death", left(1, 1), 0, True, 100) == []
        hear(machine, "birth", birth, 0, True, 200)
        machine.drain_events()
        machine.wake(100 + presence.LEFT_PAUSE_MS - 1)
        assert machine.drain_events() == []
        assert machine.wake_at == 100 + presence.LEFT_PAUSE_MS
        machine.wake(machine.wake_at)
        assert [type(each).__name__ for each in machine.drain_events()] == events


def test_a_death_says_exactly_what_it_may() -> None:
    machine = made()
    hear(machine, "birth", at(1, 1))
    for body in (left(1, 1, False), left(1, 1, 1), left(1, 1, "true"), left(1, 1, None), at(1, 1) | {"gone": True}):
        error = raises(PeerError, hear, machine, "death", body)
        assert error.code == "death" and machine.devices[DEVICE].is_up
