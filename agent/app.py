"""The composition root's outside: the commands of agent/__main__.py, done. No rules live here.

`up` is a device's life on the screen; `ask` is how the other commands reach a running one, or its state.
"""

from agent import limits, port, screen
from agent.device import Device
from agent.errors import PortError
from agent.service import control
from agent.state import State
from boards import loader, schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ACTIONS = {
    "status": ("GET", "/status"),
    "logs": ("GET", "/logs"),
    "pair-window": ("POST", "/pair-window"),
    "leave": ("POST", "/leave?core="),
    "reset": ("POST", "/reset"),
}
FROM_OPTIONS = (("--name", "name"), ("--board", "board"))
PORTS_FROM_OPTIONS = (("--port", "control_port"), ("--data-port", "data_port"))


def folder(options: dict[str, str]) -> str:
    return options.get("--state") or port.files.state_folder("corelet")


def overrides(options: dict[str, str]) -> "dict[str, Any]":
    """Settings that the command line names; agent/settings.py checks them."""
    found: "dict[str, Any]" = {key: options[option] for option, key in FROM_OPTIONS if option in options}
    for option, key in PORTS_FROM_OPTIONS:
        if option in options:
            text = options[option]
            is_number = len(text) <= 5 and text and not [each for each in text if each not in "0123456789"]
            found[key] = int(text) if is_number else text
    if "--listen" in options:
        found["listen"] = [each.strip() for each in options["--listen"].split(",")]
    return found


def up(state_folder: str, options: dict[str, str]) -> int:
    """Run until stopped. Raises CoreletError with the sentence when it cannot start."""
    is_new_life = True
    while is_new_life:
        device = Device(state_folder, overrides(options))
        device.prepare()
        outcome: list[bool] = []
        port.net.run(_live(device, outcome))
        is_new_life = outcome == [True]
    print("stopped")
    return 0


async def _live(device: Device, outcome: list[bool]) -> None:
    await device.start()
    status = device.status()
    lines = screen.device_lines(status)
    if status["window"]["open"]:
        lines += screen.window_lines(status["window"])
    else:
        lines += ["  core      " + core["core"] + " " + core["name"] for core in status["cores"]]
    port.terminal.say("\n".join(lines))
    outcome.append(await device.run())


def ask(state_folder: str, command: str, target: str) -> "dict[str, Any]":
    """The running device's answer; for leave and reset also without one, straight on its state."""
    answers: list[dict[str, Any]] = []
    method, path = ACTIONS[command]

    async def question() -> None:
        answers.append(await control.ask(port.net, state_folder, method, path + target))

    try:
        port.net.run(question())
    except PortError as error:
        if error.code != "not_running" or command not in ("leave", "reset"):
            raise
        return _without_device(state_folder, command, target)
    return answers[0]


def _without_device(state_folder: str, command: str, target: str) -> "dict[str, Any]":
    state = State(port.files, port.codec(), state_folder)
    state.open()
    try:
        if command == "reset":
            state.reset()
            return {"restarted": False}
        state.remove_core(target)
        return {"core": target, "freed": 0}
    finally:
        state.close()


def boards() -> "dict[str, Any]":
    """Every profile with its ceilings."""
    found = []
    for name in loader.NAMES:
        profile = loader.load(name)
        ceilings = limits.in_force({key: getattr(profile, key) for key in schema.CEILINGS}, {})
        found.append({"id": name, "summary": profile.summary, "ceilings": ceilings})
    return {"boards": found}
