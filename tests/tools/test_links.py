"""The core's end of the link under a flood of one device: what is read, logged and kept is bounded."""

import logging
from types import SimpleNamespace
from typing import Any

from agent import port
from agent.wire import envelope
from tools.gateway.links import links

DEVICE = "00112233445566aa"


def made() -> Any:
    return links.Links(SimpleNamespace(protocols=(5, 4)), None, lambda device: device == DEVICE)  # type: ignore[arg-type]


def birth(session: int) -> bytes:
    body = {"boot": 1, "session": session}
    return envelope.encode(port.codec(), envelope.Envelope("birth", 0, None, None, body))


def test_a_flood_of_births_is_read_once_a_second(caplog: Any) -> None:
    core = made()
    topic = envelope.topic(DEVICE, "up", "birth")
    with caplog.at_level(logging.INFO, "corelet.links"):
        read = 0
        for number in range(200):
            if core._is_read(topic, False):
                core._take(topic, birth(number), False)
                read += 1
        for event in core._machine.drain_events() * 5:
            if isinstance(event, links.machines.Up):
                core._log(DEVICE, logging.INFO, "connected")
    assert links.SPEECH_BURST <= read <= links.SPEECH_BURST + 5
    assert core._voices[DEVICE].dropped == 200 - read
    assert len(caplog.records) <= links.LOG_BURST + 2
    assert core._is_read(topic, True)  # what the broker kept is one message a device


def test_strangers_are_bounded() -> None:
    core = made()
    for number in range(3 * links.STRANGERS_MAX):
        core._take(envelope.topic(f"{number:016x}", "up", "birth"), birth(1), True)
    assert len(core._strangers) == links.STRANGERS_MAX
    assert not core._voices and not core._lines and not core._machine.devices
