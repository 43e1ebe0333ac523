"""Shards sent from their slots: only while nobody has written there since they were verified."""

from agent import port
from agent.core.shards.ticket import HASH, Effect, Ticket
from agent.errors import PortError
from agent.service import fresh

CORE = "00112233445566aa"


class Slabs:
    """One slab file in memory; `error` is raised by reads."""

    def __init__(self):
        self.data = bytes(range(100))
        self.error = None

    name = (65536, 1)

    def path(self, slot_bytes, number):
        return "slab"

    def file(self, slab):
        return self

    def readinto(self, offset, view):
        if self.error is not None:
            raise self.error
        view[:] = self.data[offset : offset + len(view)]


class World:
    def __init__(self, most=4):
        self.changed = port.clock.unix_time() - 2
        self.slabs = Slabs()
        self.fresh = fresh.Fresh(self.slabs, lambda path: self.changed, most)

    def put(self, name, slot, is_right=True):
        ticket = Ticket("get", CORE, 1, name)
        ticket.slot, ticket.length = slot, 50
        begun = self.fresh.begin(Effect(HASH, self.slabs, 20, 50, None, ticket))
        if begun is not None:
            self.fresh.end(ticket, begun, is_right)
        return self.fresh.held.get(name)


def filled(kept, at=0, count=10):
    view = memoryview(bytearray(count))
    return bytes(view) if kept.fill(at, view) else None


def test_its_bytes_and_no_others():
    world = World()
    kept = world.put(b"aa", 3)
    assert world.fresh.take(b"aa", kept) and kept.reads == 1 and filled(kept, 5) == bytes(range(25, 35))
    assert filled(kept, 40) == bytes(range(60, 70)) and b"Content-Length: 50" in kept.head
    assert world.put(b"bb", 4, is_right=False) is None


def test_a_slab_that_was_written_since():
    world = World()
    kept = world.put(b"aa", 3)
    world.changed += 1
    assert not kept.fill(0, memoryview(bytearray(5))) and world.fresh.held == {}
    world.changed = port.clock.unix_time() + 100
    assert world.put(b"aa", 3) is None, "written in this second: a change that follows could not be told from it"


def test_a_verification_grows_old():
    world = World()
    kept = world.put(b"aa", 3)
    kept.until = port.clock.now_ms()
    assert not world.fresh.take(b"aa", kept) and world.fresh.held == {}


def test_deleted_while_it_is_sent():
    world = World()
    kept = world.put(b"aa", 3)
    world.fresh.drop(3)
    assert filled(kept) is None


def test_a_medium_that_fails():
    world = World()
    kept = world.put(b"aa", 3)
    world.slabs.error = PortError("io", "Bad.")
    assert filled(kept) is None and world.fresh.held == {}


def test_bounds_and_cores():
    world = World(most=3)
    for number in range(10):
        world.put(bytes([number]), number)
        assert len(world.fresh.held) <= 3 and len(world.fresh.slots) == len(world.fresh.held)
    world.fresh.forget("1111111111111111")
    assert world.fresh.held
    world.fresh.forget(CORE)
    assert not world.fresh.held and not world.fresh.slots
