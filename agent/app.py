"""`corelet up`: a device's life on the screen. No rules live here; the other commands are in agent/commands.py."""

from agent import port
from agent.device import Device
from agent.errors import UsageError
from agent.membership import Left

if False:
    from typing import Any

    from agent.__main__ import Call

# Options of `up` -> keys of the settings.
FROM_OPTIONS = (("--name", "name"), ("--board", "board"), ("--listen", "listen"))
# What only a start needs; a device with a small heap runs without it.
STARTERS = ("agent.limits", "agent.screen", "agent.settings", "agent.start", "agent.wire.sec1", "boards.")
PORTS_FROM_OPTIONS = (("--port", "control_port"), ("--data-port", "data_port"), ("--relay-port", "relay_port"))


def overrides(options: dict[str, str]) -> "dict[str, Any]":
    """Settings that the command line names. Raises UsageError("usage") with the option's name."""
    from agent import settings

    found: dict[str, Any] = {}
    for option, key in FROM_OPTIONS + PORTS_FROM_OPTIONS:
        if option not in options:
            continue
        value: Any = options[option]
        if key == "listen":
            value = [each.strip() for each in value.split(",")]
        elif (option, key) in PORTS_FROM_OPTIONS:
            is_number = 0 < len(value) <= 5 and not [each for each in value if each not in "0123456789"]
            value = int(value) if is_number else value
        try:
            found[key] = settings.checked(key, value)
        except UsageError as error:
            raise UsageError("usage", error.text.replace("settings: " + key, option, 1) + "; see: corelet up --help")
    return found


def up(call: "Call") -> None:
    """Run until stopped. Raises CoreletError with the sentence when it cannot start."""
    is_new_life = True
    while is_new_life:
        device = Device(call.folder, overrides(call.options))
        device.prepare()
        outcome: list[bool] = []
        port.net.run(_live(device, outcome, call))
        is_new_life = outcome == [True]
    print("stopped")


async def _live(device: Device, outcome: list[bool], call: "Call") -> None:
    await device.start()
    _greet(device, call)
    port.heap.forget(STARTERS)
    device.on_event = lambda event: _tell(device, event, call)
    outcome.append(await device.run())


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
