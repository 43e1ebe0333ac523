"""What a person reads: answers of the device as lines of plain words. No I/O, no colours."""

from agent import limits

if False:
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


def quoted(word: str) -> str:
    """As a shell takes it for one word."""
    plain = "/-_.+0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if word and not [character for character in word if character not in plain]:
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def row(head: str, text: str) -> list[str]:
    """ "  head      text", on as many lines as it needs."""
    return wrapped([f"  {head:<9}"] + text.split(" "), " " * 12)


def device_lines(status: "dict[str, Any]") -> list[str]:
    """The head of `up` and `status`."""
    lines = ["Corelet " + status["version"] + " on " + status["runtime"], f"  {'name':<9} " + status["name"]]
    lines += row("board", f"{status['board']} ({status['board_summary']}); {status['recognised_by']}")
    lines += row("ceilings", ", ".join(limits.shown(status["ceilings"])))
    lines += row("address", ", ".join([_at(address, status["control_port"]) for address in status["addresses"]]))
    lines.append(f"  {'state':<9} " + status["folder"])
    for feature, sentence in status["missing"]:
        lines += row("off", feature + ": " + sentence)
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
