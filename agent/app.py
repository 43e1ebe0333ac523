"""`corelet up`: a device's life on the screen. No rules live here; the other commands are in agent/commands.py."""

from agent import port
from agent.device import Device
from agent.errors import UsageError
from agent.membership import Left

if False:
    from typing import Any

    from agent.__main__ import Call

# What only a start needs; a device with a small heap runs without it.
STARTERS = (
    "agent.core.ceilings",
    "agent.limits",
    "agent.screen",
    "agent.settings",
    "agent.start",
    "agent.wire.sec1",
    "boards.",
)


def up(call: "Call") -> None:
    """Run until stopped. Raises CoreletError with the sentence when it cannot start."""
    port.terminal.guard()
    is_new_life = True
    while is_new_life:
        device = Device(call.folder, _overrides(call))
        device.prepare()
        result: list[bool] = []
        port.net.run(_live(device, result, call))
        is_new_life = result == [True]
    if device.trouble:
        raise UsageError("trial", device.trouble)
    print("stopped")


def _overrides(call: "Call") -> "dict[str, Any]":
    from agent import start

    return start.overrides(call.options)


async def _live(device: Device, result: list[bool], call: "Call") -> None:
    await device.start()
    _greet(device, call)
    port.heap.forget(STARTERS)
    device.on_event = lambda event: _tell(device, event, call)
    result.append(await device.run())


def _greet(device: Device, call: "Call") -> None:
    from agent import screen

    status = device.status()
    lines = screen.device_lines(status)
    if status["window"]["open"]:
        lines += screen.window_lines(status["window"])
    else:
        lines += ["  core      " + core["core"] + " " + core["name"] for core in status["cores"]]
    port.terminal.say("\n".join([call.typed(line) for line in lines]))


def _tell(device: Device, event: object, call: "Call") -> None:
    """What changes while a person looks on; a code on the screen must not outlive its window."""
    if isinstance(event, Left):
        port.terminal.say(f"left core {event.core}")
        return
    from agent.core.pairing import verifier  # loaded by now: it made the event
    from agent.service import pairing

    lines: list[str] = []
    if isinstance(event, verifier.Committed):
        lines = [f"paired with core {event.core}; the code on this screen is used up"]
    elif isinstance(event, verifier.RolledBack):
        lines = [f"core {event.core} did not connect within a minute, so nothing was paired; the code is good still"]
    elif isinstance(event, pairing.Opened) or isinstance(event, verifier.WindowClosed) and event.reason != "paired":
        from agent import screen

        is_opened = isinstance(event, pairing.Opened)
        lines = screen.window_lines(device.status()["window"] if is_opened else {"open": False})
    for line in lines:
        port.terminal.say(call.typed(line))
    port.heap.forget(("agent.limits", "agent.screen"))
