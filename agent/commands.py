"""What the owner's commands do beside `up`: ask the running device, or work straight on its state when none runs."""

from agent import port, screen
from agent.errors import PortError, UsageError
from agent.service import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.__main__ import Call

    Said = tuple[dict[str, Any], list[str]]

CORE_ID_CHARS = 16
HEX = "0123456789abcdef"


def status(call: "Call") -> "Said":
    answer = ask(call, {"do": "status"})
    return answer, screen.status(answer)


def logs(call: "Call") -> "Said":
    answer = ask(call, {"do": "logs"})
    return answer, list(answer["lines"])


def pair_window(call: "Call") -> "Said":
    answer = ask(call, {"do": "pair-window"})
    return answer, screen.window_lines(answer)


def leave(call: "Call") -> "Said":
    core_id = call.words[0]
    if len(core_id) != CORE_ID_CHARS or [each for each in core_id if each not in HEX]:
        text = f"'{core_id}' is no core's id, which has 16 hex digits; see them with: corelet status"
        raise UsageError("usage", text)
    answer = _ask_or(call, {"do": "leave", "core": core_id}, lambda: _leave(call.folder, core_id))
    return answer, screen.left(answer)


def reset(call: "Call") -> "Said":
    if "--yes" not in call.options and port.terminal.is_terminal():
        print(f"This forgets the identity, the cores and the shards in {call.folder}.")
        if input("Type yes to go on: ").strip() != "yes":
            raise UsageError("no", "nothing was forgotten")
    answer = _ask_or(call, {"do": "reset"}, lambda: _reset(call.folder))
    return answer, screen.reset(answer)


def boards(_call: "Call") -> "Said":
    """Every profile with its ceilings."""
    from agent import limits
    from boards import loader, schema

    found = []
    for name in loader.NAMES:
        profile = loader.load(name)
        ceilings = limits.in_force({key: getattr(profile, key) for key in schema.CEILINGS}, {})
        found.append({"id": name, "summary": profile.summary, "ceilings": ceilings})
    answer: dict[str, Any] = {"boards": found}
    return answer, screen.boards(answer)


def ask(call: "Call", request: "dict[str, Any]") -> "dict[str, Any]":
    """The running device's answer. PortError("not_running") and control.ask's other errors."""
    return _result(control.ask(port.net, call.folder, request))


def _ask_or(call: "Call", request: "dict[str, Any]", alone: "Any") -> "dict[str, Any]":
    """The running device's answer, or `alone()` on the state when none runs."""
    try:
        return ask(call, request)
    except PortError as error:
        if error.code != "not_running":
            raise
    if not port.files.exists(call.folder):
        raise PortError("not_found", f"no device has its state in {call.folder}; name its folder with --state")
    return alone()  # type: ignore[no-any-return]


def _result(coroutine: "Any") -> "dict[str, Any]":
    answers: list[dict[str, Any]] = []

    async def work() -> None:
        answers.append(await coroutine)

    port.net.run(work())
    if not answers:
        raise PortError("stopped", "stopped before it was done; nothing is half done, so say it again")
    return answers[0]


def _leave(folder: str, core_id: str) -> "dict[str, Any]":
    from agent.device import Device

    device = Device(folder, {})
    device.prepare()
    try:
        return _result(device.leave_alone(core_id))
    finally:
        device.state.close()


def _reset(folder: str) -> "dict[str, Any]":
    """Works on a damaged state too: it is what a person is told to do then."""
    from agent.state import State

    state = State(port.files, port.codec(), folder)
    state.open()
    try:
        state.reset()
    finally:
        state.close()
    return {"restarted": False}
