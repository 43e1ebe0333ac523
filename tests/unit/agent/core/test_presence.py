"""The core's end: birth and will, order, gaps, odd devices."""

from tests.unit.agent.core.hearing import DEVICE, at, hear, made, orders, presence  # isort: skip


def test_birth_then_will() -> None:
    machine = made()
    assert hear(machine, "birth", at(1, 1)) == ["Up", "Heard"]
    assert orders(machine) == ["time"]
    assert machine.devices[DEVICE].is_up
    assert hear(machine, "death", at(1, 1)) == ["Down"]
    assert not machine.devices[DEVICE].is_up
    assert hear(machine, "death", at(1, 1)) == []  # delivered twice


def test_a_stale_will_is_ignored() -> None:
    machine = made()
    hear(machine, "birth", at(1, 1))
    assert hear(machine, "birth", at(1, 2)) == ["Up", "Heard"]
    assert hear(machine, "death", at(1, 1)) == []
    assert machine.devices[DEVICE].is_up
    assert hear(machine, "birth", at(2, 1)) == ["Up", "Heard"]
    assert hear(machine, "death", at(1, 2)) == []  # of the boot before, with a larger session number
    assert machine.devices[DEVICE].is_up
    assert hear(machine, "death", at(2, 1)) == ["Down"]


def test_what_the_broker_kept_in_any_order() -> None:
    for first, second in (("birth", "death"), ("death", "birth")):
        for died, is_up in ((at(4, 1), True), (at(4, 2), False), (at(5, 1), False)):
            machine = made()
            bodies = {"birth": at(4, 2), "death": died}
            hear(machine, first, bodies[first], 0, True)
            hear(machine, second, bodies[second], 0, True)
            assert machine.devices[DEVICE].is_up is is_up, (first, died)
            assert machine.devices[DEVICE].born == (4, 2)


def test_an_older_birth_is_stale_when_kept_and_odd_when_live() -> None:
    machine = made()
    hear(machine, "birth", at(5, 3))
    assert hear(machine, "birth", at(4, 9), 0, True) == []
    assert machine.devices[DEVICE].born == (5, 3)
    assert hear(machine, "birth", at(4, 9)) == ["Odd", "Up", "Heard"]
    assert machine.devices[DEVICE].born == (4, 9) and machine.devices[DEVICE].is_up


def test_a_gap_asks_for_a_birth_once_in_a_while() -> None:
    machine = made()
    hear(machine, "birth", at(1, 1), 0)
    orders(machine)
    assert hear(machine, "tele", {"used": 1}, 1) == ["Heard"] and orders(machine) == []
    assert hear(machine, "tele", {"used": 2}, 3, False, 1000) == ["Heard"] and orders(machine) == ["time", "rebirth"]
    assert hear(machine, "tele", {"used": 3}, 9, False, 2000) == ["Heard"] and orders(machine) == []
    assert hear(machine, "birth", at(1, 1), 10, False, 3000) == ["Heard"]  # the same session: not up again
    orders(machine)
    assert hear(machine, "tele", {"used": 4}, 11, False, 4000) == ["Heard"] and orders(machine) == []
    later = 1000 + presence.REBIRTH_GAP_MS
    assert hear(machine, "tele", {"used": 5}, 20, False, later) == ["Heard"] and orders(machine) == ["time", "rebirth"]


def test_telemetry_that_comes_twice_or_late_is_ignored() -> None:
    machine = made()
    hear(machine, "birth", at(1, 1), 0)
    hear(machine, "tele", {"used": 1}, 1)
    orders(machine)
    for sequence in (1, 0):
        assert hear(machine, "tele", {"used": 9}, sequence) == []
    assert machine.devices[DEVICE].telemetry == {"used": 1} and orders(machine) == []


def test_two_boards_with_one_key_are_told_apart_from_one() -> None:
    """Copies of one SD card count their starts and sessions alike: only the sequence tells."""
    machine = made()
    hear(machine, "birth", at(8, 1), 0, False, 5)
    hear(machine, "tele", {"used": 1}, 1)
    hear(machine, "birth", at(8, 1), 2)  # one that was asked for
    assert machine.devices[DEVICE].doubled_at is None
    assert hear(machine, "birth", at(8, 1), 0, False, 7) == ["Odd", "Heard"]
    assert hear(machine, "birth", at(8, 2), 0, False, 8) == ["Up", "Heard"]
    assert machine.devices[DEVICE].doubled_at == 7
    assert hear(machine, "birth", at(8, 2), 0, False, 9) == ["Odd", "Heard"]  # the other one comes back too
    machine.disconnected(10)
    machine.drain_events()
    machine.connected(11)
    assert hear(machine, "birth", at(8, 2), 0, True, 12) == ["Up", "Heard"]  # what the broker keeps is an echo
    assert machine.devices[DEVICE].doubled_at == 9
    assert hear(machine, "birth", at(7, 9), 0, False, 13) == ["Odd", "Up", "Heard"]
    assert machine.devices[DEVICE].doubled_at == 13
