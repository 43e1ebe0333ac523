"""What the owner's commands do beside `up`: ask the running device, or work straight on its state when none runs."""

import asyncio

from agent import answers, limits, port, screen
from agent.errors import PortError, UsageError
from agent.service import control
from agent.wire import shape

if False:
    from typing import Any

    from agent.__main__ import Call

    Said = tuple[dict[str, Any], list[str]]

SYSTEM_FOLDER = "/var/lib/corelet"  # where root's device has its state
LOG_TAIL_BYTES = 8192  # of each of the two files
STOP_S = 20
LOST = "; files that have no other copy are lost, and nothing brings them back."


def status(call: "Call") -> "Said":
    answer = ask(call, {"do": "status"})
    return answer, answers.status(answer)


def logs(call: "Call") -> "Said":
    try:
        answer = ask(call, {"do": "logs"})
    except PortError as error:
        if error.code != "not_running" or not port.files.exists(call.folder + "/logs"):
            raise
        answer = {"lines": _logged(call.folder + "/logs/")}
    return answer, list(answer["lines"])


def pair_window(call: "Call") -> "Said":
    answer = ask(call, {"do": "pair-window"})
    return answer, screen.window_lines(answer)


def leave(call: "Call") -> "Said":
    core_id = call.words[0]
    if not shape.fits(core_id, shape.ID):
        text = f"'{core_id}' is no core's id, which has 16 hex digits; see them with: corelet status"
        raise UsageError("usage", text)
    is_now = "--now" in call.options
    if port.files.exists(call.folder + "/cores/" + core_id):
        how = " now" + LOST if is_now else ", once others have them."
        _be_sure(call, f"Leaving core {core_id} deletes every shard that it keeps here" + how)
    request = {"do": "leave-now" if is_now else "leave", "core": core_id}
    answer = _ask_or(call, request, lambda: _leave(call.folder, core_id, is_now))
    if "freed" not in answer:
        from agent import leaving

        answer = _result(leaving.watch(call, core_id))
    return answer, answers.left(answer)


def stop(call: "Call") -> "Said":
    answer = ask(call, {"do": "stop"})
    _result(_unlocked(call.folder))
    return answer, ["Stopped."]


async def _unlocked(folder: str) -> None:
    """Until no process holds the state. PortError("timeout")."""
    for _ in range(STOP_S * 10):
        await asyncio.sleep(0.1)
        try:
            port.files.lock(folder).close()
            return
        except PortError as error:
            if error.code != "state_in_use":
                raise
    raise PortError("timeout", f"the device on {folder} has not ended within {STOP_S} s; what it does: corelet logs")


def reset(call: "Call") -> "Said":
    cores = call.folder + "/cores"
    if port.files.exists(cores):
        count = limits.counted(len(port.files.list(cores)), "cores")
        loss = f"A reset of {call.folder} deletes its identity, its pairing with {count} and every shard kept here"
        _be_sure(call, loss + LOST)
    answer = _ask_or(call, {"do": "reset"}, lambda: _reset(call.folder))
    return answer, answers.reset(answer)


def _be_sure(call: "Call", loss: str) -> None:
    """Raises UsageError("unsure") unless a person says yes, here or by --yes."""
    if "--yes" in call.options:
        return
    if not port.terminal.is_terminal():
        raise UsageError(
            "unsure",
            loss + " To do it without a question: " + call.again("--now " * ("--now" in call.options) + "--yes"),
        )
    print("\n".join(screen.wrapped(loss.split(" "), "")))
    if input("Type yes to go on: ").strip() != "yes":
        raise UsageError("unsure", "nothing was changed")


def boards(_call: "Call") -> "Said":
    """Every profile with its ceilings."""
    from boards import loader, schema

    found = []
    for name in loader.NAMES:
        profile = loader.load(name)
        ceilings = limits.in_force({key: profile[key] for key in schema.CEILINGS}, {})
        found.append({"id": name, "summary": profile["summary"], "ceilings": ceilings})
        port.heap.forget(("boards." + name.replace("-", "_"),))
    answer: dict[str, Any] = {"boards": found}
    return answer, answers.boards(answer)


def ask(call: "Call", request: "dict[str, Any]") -> "dict[str, Any]":
    """The running device's answer. PortError("not_running") and control.ask's other errors."""
    try:
        return _result(control.ask(port.net, call.folder, request))
    except PortError as error:
        folder, is_default = call.folder, "--state" not in call.options
        if error.code == "not_running" and is_default and folder != SYSTEM_FOLDER and port.files.exists(SYSTEM_FOLDER):
            error.text = f"no device of yours runs on {folder}; root's is in {SYSTEM_FOLDER}: sudo "
            error.text += call.again("--state " + SYSTEM_FOLDER)
        if error.code == "denied":
            error.text = f"the device on {folder} is another user's; ask as that user, or as root: sudo "
            error.text += call.again("--state " + screen.quoted(folder))
        raise


def _ask_or(call: "Call", request: "dict[str, Any]", alone: "Any") -> "dict[str, Any]":
    """The running device's answer, or `alone()` on the state when none runs."""
    try:
        return ask(call, request)
    except PortError as error:
        if error.code != "not_running":
            raise
    if not port.files.exists(call.folder):
        raise PortError("not_found", f"no device has its state in {call.folder}; name its folder with --state")
    port.terminal.guard()
    return alone()  # type: ignore[no-any-return]


def _result(coroutine: "Any") -> "dict[str, Any]":
    answers: list[dict[str, Any]] = []

    async def work() -> None:
        answers.append(await coroutine)

    port.net.run(work())
    if not answers:
        raise PortError("stopped", "stopped before it was done; nothing is half done, so say it again")
    return answers[0]


def _leave(folder: str, core_id: str, is_now: bool) -> "dict[str, Any]":
    from agent import leaving
    from agent.device import Device

    device = Device(folder, {})
    device.prepare()
    try:
        return _result(leaving.alone(device, core_id, is_now))
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


def _logged(folder: str) -> list[str]:
    """The last lines in the two files of a device that does not run, the older file first."""
    segments = []
    for name in ("0.log", "1.log"):
        if not port.files.exists(folder + name):
            continue
        size = port.files.size(folder + name)
        slab = port.files.open_slab(folder + name)
        try:
            number = slab.read(0, 64).split(b"\n")[0].split(b" ")[-1]
            start = max(0, size - LOG_TAIL_BYTES)
            lines = slab.read(start, size - start).split(b"\n")[1:]  # the first is the file's head, or not whole
        finally:
            slab.close()
        segments.append((int(number) if number.isdigit() else 0, lines))
    segments.sort(key=lambda segment: segment[0])
    return [_text(line) for _, lines in segments for line in lines if line]


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except ValueError:
        return "(a line that is damaged)"
