"""The composition root's outside: the commands of agent/__main__.py, done. No rules live here.

`up` is a device's life on the screen; `ask` is how the other commands reach a running one, or its state.
"""

from agent import limits, port, screen, settings
from agent.core.pairing import verifier
from agent.device import Device
from agent.errors import PortError, UsageError
from agent.membership import Left
from agent.service import control, pairing
from agent.state import CORE_ID_CHARS, State
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
HEX = "0123456789abcdef"
# Options of `up` -> keys of the settings.
FROM_OPTIONS = (("--name", "name"), ("--board", "board"), ("--listen", "listen"))
PORTS_FROM_OPTIONS = (("--port", "control_port"), ("--data-port", "data_port"))


def folder(options: dict[str, str]) -> str:
    return options.get("--state") or port.files.state_folder("corelet")


def overrides(options: dict[str, str]) -> "dict[str, Any]":
    """Settings that the command line names. Raises UsageError("usage") with the option's name."""
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
            raise UsageError("usage", error.text.replace("settings: " + key, option, 1) + "; see: corelet --help")
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
    device.on_event = lambda event: _tell(device, event)
    outcome.append(await device.run())


def _tell(device: Device, event: object) -> None:
    """What changes while a person looks on; a code on the screen must not outlive its window."""
    lines: list[str] = []
    if isinstance(event, pairing.Opened):
        lines = screen.window_lines(device.status()["window"])
    elif isinstance(event, verifier.Committed):
        lines = [f"paired with core {event.core}; the code on this screen is used up"]
    elif isinstance(event, verifier.RolledBack):
        lines = [f"core {event.core} did not connect within a minute, so nothing was paired; the code is good still"]
    elif isinstance(event, verifier.WindowClosed) and event.reason != "paired":
        lines = screen.window_lines({"open": False})
    elif isinstance(event, Left):
        lines = [f"left core {event.core}"]
    for line in lines:
        port.terminal.say(line)


def ask(state_folder: str, command: str, target: str) -> "dict[str, Any]":
    """The running device's answer; for leave and reset also without one, straight on its state."""
    if command == "leave" and (len(target) != CORE_ID_CHARS or [each for each in target if each not in HEX]):
        text = f"'{target}' is no core's id, which has 16 hex digits; see them with: corelet status"
        raise UsageError("usage", text)
    method, path = ACTIONS[command]
    try:
        return _result(control.ask(port.net, state_folder, method, path + target))
    except PortError as error:
        if error.code != "not_running" or command not in ("leave", "reset"):
            raise
    if not port.files.exists(state_folder):
        raise PortError("not_found", f"no device has its state in {state_folder}; name its folder with --state")
    return _leave(state_folder, target) if command == "leave" else _reset(state_folder)


def _result(coroutine: "Any") -> "dict[str, Any]":
    answers: list[dict[str, Any]] = []

    async def work() -> None:
        answers.append(await coroutine)

    port.net.run(work())
    if not answers:
        raise PortError("stopped", "stopped before it was done; nothing is half done, so say it again")
    return answers[0]


def _leave(state_folder: str, core_id: str) -> "dict[str, Any]":
    device = Device(state_folder, {})
    device.prepare()
    try:
        return _result(device.leave_alone(core_id))
    finally:
        device.state.close()


def _reset(state_folder: str) -> "dict[str, Any]":
    """Works on a damaged state too: it is what a person is told to do then."""
    state = State(port.files, port.codec(), state_folder)
    state.open()
    try:
        state.reset()
    finally:
        state.close()
    return {"restarted": False}


def boards() -> "dict[str, Any]":
    """Every profile with its ceilings."""
    found = []
    for name in loader.NAMES:
        profile = loader.load(name)
        ceilings = limits.in_force({key: getattr(profile, key) for key in schema.CEILINGS}, {})
        found.append({"id": name, "summary": profile.summary, "ceilings": ceilings})
    return {"boards": found}
