"""The door of a device: closed, it loads nothing and answers as the machine would; open, the pairing answers."""

import asyncio
import sys

from agent import port
from agent.door import MODULES, Door
from agent.errors import LimitError
from agent.wire import pairing_frames
from tests.expect import raises

MICROPYTHON = sys.implementation.name == "micropython"

CODEC = port.codec()


class Journal:
    lines: list = []

    def warning(self, source, text):
        self.lines.append(text)


class State:
    error = None

    def read_counters(self):
        if self.error is not None:
            raise self.error
        return {}


class Device:
    state = State()
    codec = CODEC
    journal = Journal()


class Request:
    source = ("192.0.2.7", 40000)


def test_a_closed_door_refuses_as_the_machine_does_and_loads_nothing() -> None:
    door = Door(Device())
    assert door.window() == (False, 0, 0, "") and not door.commit("0123456789abcdef")
    door.rename("abc")
    response = asyncio.run(door.handle(Request()))
    frame = pairing_frames.decode_frame(CODEC, response.body, pairing_frames.ANSWERS)
    assert frame.step == pairing_frames.Step.REFUSED and frame.session == b""
    assert frame.fields[:2] == [pairing_frames.Step.HELLO, "closed"]
    assert Journal.lines == ["an attempt from 192.0.2.7 was refused: closed"]
    if MICROPYTHON:  # one process a file: nobody else has loaded it
        assert "agent.service.pairing" not in sys.modules and "agent.core.pairing.verifier" not in sys.modules


def test_damaged_counters_stop_the_start() -> None:
    class Damaged(Device):
        state = State()

    Damaged.state.error = ValueError("state")
    assert raises(ValueError, Door, Damaged()) is not None


class Service:
    """A pairing whose window is open until it is told otherwise."""

    def __init__(self):
        self.closed = asyncio.Event()

    def open_window(self):
        pass

    def window(self):
        return (True, 900, 517, "code")

    async def run(self):
        await self.closed.wait()


class Supervisor:
    def spawn(self, name, factory):
        self.task = asyncio.create_task(factory())


def test_behind_a_window_that_has_closed_nothing_stays_loaded() -> None:
    device, port.heap.PAIRING_BYTES = Device(), 0
    device.supervisor = Supervisor()
    door = Door(device)

    async def main() -> None:
        service = Service()
        door._load = lambda: service
        door.open_window()
        await asyncio.sleep(0)
        assert door.window()[0] and "agent.wire.pairing_frames" in sys.modules
        service.closed.set()
        await device.supervisor.task
        assert not door.window()[0]
        assert not MICROPYTHON or not [name for name in sys.modules if name.startswith(MODULES)]

    asyncio.run(main())


def test_a_heap_without_room_for_a_pairing_is_a_sentence() -> None:
    def load():
        raise MemoryError

    door, usual = Door(Device()), port.heap.has_room
    door._load = load
    port.heap.has_room = lambda size: False
    assert raises(LimitError, door.open_window).code == "heap"
    port.heap.has_room = lambda size: True
    assert raises(LimitError, door.open_window).code == "heap"
    port.heap.has_room = usual
