"""Invariant: what happens in the simulated world depends on the seed alone, and in order of time, then of planning."""

from tests.expect import raises
from tests.sim.chance import Xorshift32
from tests.sim.network import QUIET, Faults, Network, flip_one_bit
from tests.sim.node import Node
from tests.sim.world import World, as_text


def test_random_numbers_are_the_same_everywhere() -> None:
    random = Xorshift32(1)
    random._state = 1
    assert [random.next() for _ in range(3)] == [270369, 67634689, 2647435461]  # Marsaglia's xorshift32 from 1
    assert Xorshift32(7).bytes(6) == Xorshift32(7).bytes(6) != Xorshift32(8).bytes(6)
    assert sorted({random.below(3) for _ in range(100)}) == [0, 1, 2]
    assert sorted({random.between(5, 7) for _ in range(100)}) == [5, 6, 7]
    assert not random.chance(0) and random.chance(1000)


def test_calls_run_in_order_of_time_then_of_planning() -> None:
    world = World(1)
    seen = []
    world.at(20, seen.append, "c")
    world.at(10, seen.append, "a")
    world.at(10, seen.append, "b")
    world.at(31, seen.append, "d")
    world.run(30)
    assert seen == ["a", "b", "c"] and world.now == 30
    world.at(5, seen.append, "late")
    world.run(30)
    assert seen[-1] == "late" and world.now == 30


def test_traces_tell_worlds_apart() -> None:
    def trace(*parts: object) -> bytes:
        world = World(1)
        world.trace(*parts)
        return world.trace_hash()

    assert trace("a", 1, b"\xff") == trace("a", 1, b"\xff")
    assert len({trace("a", 1), trace("a", 2), trace("b", 1), trace(), trace(("a", 1))}) == 5
    world = World(1)
    assert world.trace_hash() == world.trace_hash()


def test_text_is_the_same_on_both_interpreters() -> None:
    assert as_text((True, None, 7, "é", b"\x01", [1, ("x",)])) == "[True None 7 é 01 [1 [x]]]"
    raises(AssertionError, as_text, {})
    raises(AssertionError, as_text, 1.5)


def carry(faults, count: int) -> list:
    world = World(3)
    network = Network(world, faults)
    arrived = []
    network.attach("b", lambda data, source: arrived.append((world.now, data)))
    for number in range(count):
        network.send("a", "b", bytes([number]))
    world.run(10_000)
    return arrived


def test_each_fault_bites() -> None:
    whole = [bytes([number]) for number in range(50)]
    assert [data for _, data in carry(QUIET, 50)] == whole
    assert 5 < len(carry(Faults((1, 1), 500, 0, 0, 0), 50)) < 45
    assert len(carry(Faults((1, 1), 0, 1000, 0, 0), 50)) == 100
    reordered = [data for _, data in carry(Faults((1, 1), 0, 0, 300, 0), 50)]
    assert reordered != whole and sorted(reordered) == whole
    flipped = carry(Faults((1, 1), 0, 0, 0, 1000), 50)
    assert all(bin(data[0] ^ number).count("1") == 1 for number, (_, data) in enumerate(flipped))
    assert flip_one_bit(b"\x00\x00", 9) == b"\x00\x02"


def test_partitions_hold_until_healed() -> None:
    world = World(3)
    network = Network(world)
    arrived = []
    network.attach("b", lambda data, source: arrived.append(data))
    network.partition("b", "a")
    network.send("a", "b", b"1")
    network.send("c", "b", b"2")
    world.run(10)
    network.heal()
    network.send("a", "b", b"3")
    world.run(20)
    assert arrived == [b"2", b"3"] and network.lost == 1


class Alarm:
    """A machine that wants to be woken at each time of a list."""

    def __init__(self, times) -> None:
        self.wake_at = times[0]
        self.times = times
        self.woken: list = []
        self.events: list = []
        self.outgoing: list = []

    def drain_events(self) -> list:
        return []

    def drain_outgoing(self) -> list:
        return []

    def wake(self, now: int) -> None:
        self.woken.append(now)
        rest = [time for time in self.times if time > now]
        self.wake_at = rest[0] if rest else None


def test_a_node_wakes_its_machine_when_it_asks_to_be() -> None:
    world = World(1)
    alarm = Alarm([10, 25, 40])
    node = Node(world, Network(world), "a", alarm)
    world.run(30)
    alarm.wake_at = 35
    node.settle()
    alarm.wake_at = 33
    node.settle()
    world.run(36)
    assert alarm.woken == [10, 25, 33]
    node.stop()
    world.run(100)
    assert alarm.woken == [10, 25, 33]
