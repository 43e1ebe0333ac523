"""What a person reads: answers of the device as lines of plain words. No I/O, no colours."""

from agent import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COLUMNS = 80


def wrapped(pieces: list[str], indent: str) -> list[str]:
    """The pieces as lines of at most COLUMNS characters, a longer piece on a line of its own; `indent` is before all
    lines but the first."""
    lines = [""]
    for piece in pieces:
        if lines[-1].strip() and len(lines[-1]) + 1 + len(piece) > COLUMNS:
            lines.append(indent + piece)
        else:
            lines[-1] += " " + piece if lines[-1] else piece
    return lines


def device_lines(status: "dict[str, Any]") -> list[str]:
    """The head of `up` and `status`."""
    lines = [
        "Corelet " + status["version"] + " on " + status["runtime"],
        "  name      " + status["name"],
        "  board     " + status["board"] + " (" + status["board_summary"] + ")",
        "  ceilings  " + ", ".join(limits.shown(status["ceilings"])),
        "  address   " + ", ".join([_at(address, status["control_port"]) for address in status["addresses"]]),
        "  state     " + status["folder"],
    ]
    for feature, sentence in status["missing"]:
        lines.append("  off       " + feature + ": " + sentence)
    return lines


def _at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def window_lines(window: "dict[str, Any]") -> list[str]:
    """The setup code, as text and, where it could be drawn, as a QR."""
    if not window["open"]:
        return ["The pairing window is closed; open it with: corelet pair-window"]
    left = f"{window['seconds_left'] // 60}:{window['seconds_left'] % 60:02d}"
    lines = ["", "  setup code  " + window["code"], ""]
    lines += window.get("picture", [])
    lines.append("waiting for a full core (" + left + " left); there: corelet-core pair " + window["code"])
    return lines


def status(answer: "dict[str, Any]") -> list[str]:
    lines = device_lines(answer) + ["  device    " + answer["device"]]
    shards = answer["shards"]
    lines.append(
        f"  shards    {shards['shards']} kept, {shards['used'] // 1024} KiB of {shards['quota'] // 1024} KiB used"
    )
    health = answer["health"]
    if "process_kib" in health:
        lines.append(f"  memory    {health['process_kib'] // 1024} MiB used by this device")
    if not answer["cores"]:
        lines.append("  cores     none yet")
    for core in answer["cores"]:
        how = "connected" if core["connected"] else "not connected: " + core["why"]
        lines.append("  core      " + core["core"] + " " + core["name"] + ", " + how)
    if answer["window"]["open"] or not answer["cores"]:
        lines += window_lines(answer["window"])
    return lines


def left(answer: "dict[str, Any]") -> list[str]:
    return [f"Left core {answer['core']}; {answer['freed'] // 1024} KiB that it kept here are free again."]


def reset(answer: "dict[str, Any]") -> list[str]:
    return ["Identity, cores and shards are forgotten. Start again with: corelet up"] + (
        ["The running device has started anew."] if answer["restarted"] else []
    )


def boards(answer: "dict[str, Any]") -> list[str]:
    lines = []
    for board in answer["boards"]:
        lines.append(board["id"] + ": " + board["summary"])
        lines.append("    " + ", ".join(limits.shown(board["ceilings"])))
    return lines
