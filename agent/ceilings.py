"""`corelet limits`: what is in force and whose word it is, and the owner's lower ceilings (owner/settings.json).

In force = min(board, machine, owner). A command's own process: the running device loads nothing of this; it is told
which ceiling changed and says whether it follows at once.
"""

from agent import commands, limits, port, screen
from agent.errors import PortError, UsageError
from agent.state import State
from boards import loader, schema

if False:
    from typing import Any

    from agent.__main__ import Call

HOLDERS = {"kernel": "the kernel", "runtime": "the interpreter", "self": "the device itself"}
BOARD = "board"  # in the place of a number: the board's ceiling, without one of the owner's


def show(call: "Call") -> "commands.Said":
    status = _status(call)
    kept, profile, how, most = _known(call, status)
    in_force = status.get("ceilings") or limits.in_force(most, kept["ceilings"])
    rows = []
    for name in schema.CEILINGS:
        row = {"ceiling": name, "unit": schema.field(name)[4], "in_force": in_force[name], "board": profile[name]}
        row["machine"], row["owner"] = most[name], kept["ceilings"].get(name)
        row["level"] = status.get("levels", {}).get(name, "")
        rows.append(row)
    answer: dict[str, Any] = {"board": profile["id"], "recognised_by": how, "running": bool(status), "ceilings": rows}
    return answer, _lines(answer)


def set_one(call: "Call") -> "commands.Said":
    """Durable before the running device hears of it."""
    key, text = call.words
    if key not in schema.CEILINGS:
        raise UsageError("setting", f"there is no ceiling '{key}'; there are: {', '.join(schema.CEILINGS)}")
    status = _status(call)
    kept, _, _, most = _known(call, status)
    if text == BOARD:
        kept["ceilings"].pop(key, None)
    else:
        kept["ceilings"][key] = _number(schema.field(key), text, most[key])
    State(port.files, port.codec(), call.folder).write_settings(kept)
    value = limits.in_force(most, kept["ceilings"])[key]
    answer: dict[str, Any] = {"ceiling": key, "in_force": value, "running": bool(status), "followed": True}
    if status:
        answer["level"] = status["levels"].get(key, "none")
        answer.update(commands.ask(call, {"do": "limit", "key": key, "value": value}))
        answer["followed"] = answer["in_force"] == value
    text = f"{key} is {value} {schema.field(key)[4]}"
    if not status or not answer["followed"]:
        text += " from the next start on"
    text += "" if answer.get("level") != "none" else ", but nothing holds it yet"
    text += f"; until then it is {answer['in_force']}." if not answer["followed"] else "."
    return answer, screen.wrapped(text.split(" "), "")


def _number(row: "tuple[Any, ...]", text: str, most: int) -> int:
    """UsageError with what is allowed: the schema's least, and at most what board and machine allow."""
    is_number = 0 < len(text) <= 20 and not [each for each in text if each not in "0123456789"]
    if not is_number or not row[2] <= int(text) <= most:
        allowed = f"a whole number {row[2]}..{most} {row[4]} (more is not this board's), or: {BOARD}"
        raise UsageError("setting", f"{row[0]} is '{text}'; allowed: {allowed}")
    return int(text)


def _status(call: "Call") -> "dict[str, Any]":
    """Of the running device; {} when none runs. PortError("not_found") when there never was one."""
    try:
        return commands.ask(call, {"do": "status"})
    except PortError as error:
        if error.code != "not_running":
            raise
    if not port.files.exists(call.folder + "/owner"):
        raise PortError("not_found", f"no device has its state in {call.folder}; name its folder with --state")
    return {}


def _known(call: "Call", status: "dict[str, Any]") -> "tuple[dict[str, Any], dict[str, Any], str, dict[str, int]]":
    """(the owner's settings, profile, by what it was chosen, the ceilings before the owner's)."""
    kept = State(port.files, port.codec(), call.folder).read_settings()
    size = port.files.total_bytes(call.folder) // 1024
    profile, how, most = loader.choose(status.get("board") or kept["board"], port.health().board_evidence(), size)
    return kept, profile, status.get("recognised_by") or how, status.get("most") or most


def _lines(answer: "dict[str, Any]") -> list[str]:
    lines = screen.row("board", f"{answer['board']}; {answer['recognised_by']}")
    for row in answer["ceilings"]:
        text = f"{row['in_force']} {row['unit']}"
        if row["level"]:
            text += "; " + ("nothing holds it yet" if row["level"] == "none" else "held by " + HOLDERS[row["level"]])
        if row["owner"] is not None:
            text += f"; yours, the board allows {row['machine']}"
        if row["machine"] < row["board"]:
            text += f"; this machine has less than its board, which would have {row['board']}"
        if row["in_force"] != min(row["machine"], row["machine"] if row["owner"] is None else row["owner"]):
            text += "; what you set begins with the next start"
        lines += screen.wrapped([f"  {row['ceiling']:<22}"] + text.split(" "), " " * 25)
    return lines
