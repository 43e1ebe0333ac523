"""The door of a device: closed, it loads nothing and answers as the machine would; open, the pairing answers."""

import asyncio
import sys

from agent import port
from agent.door import Door
from agent.wire import pairing_frames
from tests.expect import raises

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
    if sys.implementation.name == "micropython":  # one process a file: nobody else has loaded it
        assert "agent.service.pairing" not in sys.modules and "agent.core.pairing.verifier" not in sys.modules


def test_damaged_counters_stop_the_start() -> None:
    class Damaged(Device):
        state = State()

    Damaged.state.error = ValueError("state")
    assert raises(ValueError, Door, Damaged()) is not None
