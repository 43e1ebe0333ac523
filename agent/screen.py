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
    lines += row("board", status["board"] + " (" + status["board_summary"] + ")")
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


def status(answer: "dict[str, Any]") -> list[str]:
    lines = device_lines(answer) + row("device", answer["device"])
    shards, health = answer["shards"], answer["health"]
    used = limits.amount(shards["used"]) + " of " + limits.amount(shards["quota"]) + " used"
    if shards["read_only"]:
        used += "; no more are taken until it starts again: the disk is read-only or failed"
    lines += row("shards", str(shards["shards"]) + " kept, " + used)
    lines += row("relay", _relay(answer["relay"]))
    if "process_kib" in health:
        lines += row("memory", limits.amount(health["process_kib"] * 1024) + " used by this device")
    if not answer["cores"]:
        lines += row("cores", "none yet")
    for core in answer["cores"]:
        how = "connected" if core["connected"] else "not connected: " + core["why"]
        lines += row("core", core["core"] + " " + core["name"] + ", " + how)
    if answer["window"]["open"] or not answer["cores"]:
        lines += window_lines(answer["window"])
    return lines


def _relay(relay: "dict[str, Any]") -> str:
    """One sentence."""
    if not relay["on"]:
        return f"off: {relay['why']}"
    packets, size = relay["total"][1] + relay["total"][3], relay["total"][2] + relay["total"][4]
    text = f"port {relay['port']}, {limits.counted(relay['allocations'], 'allocations')} now, "
    text += f"{limits.counted(packets, 'packets')} ({limits.amount(size)}) so far; "
    if not [offer for offer in relay["offers"] if offer[3] == "wan"]:
        return text + "only for this network: " + (relay["reach"] or "no address of it is public")
    text += f"over IPv4, {relay['reach']}; " if relay["reach"] else ""
    proven = [row[0] for row in relay["proofs"]]
    is_proven = [offer for offer in relay["offers"] if offer[3] == "wan" and offer[0] in proven]
    return text + ("a core has reached it from outside" if is_proven else "no core has reached it from outside yet")


def left(answer: "dict[str, Any]") -> list[str]:
    lines = [f"Left core {answer['core']}; {limits.amount(answer['freed'])} that it kept here are free again."]
    if answer["told"]:
        lines.append("The core was told.")
        return lines
    text = "The core could not be reached: it will see this device as down until, there: corelet-core forget "
    return lines + wrapped((text + answer["device"]).split(" "), "")


def reset(answer: "dict[str, Any]") -> list[str]:
    if answer["restarted"]:
        return ["Identity, cores and shards are forgotten. The running device begins anew,", "with a fresh code."]
    return ["Identity, cores and shards are forgotten. Start again with: corelet up"]


def boards(answer: "dict[str, Any]") -> list[str]:
    lines = []
    for board in answer["boards"]:
        lines.append(board["id"] + ": " + board["summary"])
        lines += wrapped(["   "] + ", ".join(limits.shown(board["ceilings"])).split(" "), "    ")
    return lines
