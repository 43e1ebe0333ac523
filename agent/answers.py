"""What a person reads when a command was answered: lines of plain words. No I/O. For agent/commands.py; what `up` shows
too is in agent/screen.py, which a device has loaded all its life.
"""

from agent import limits, screen

if False:
    from typing import Any


def status(answer: "dict[str, Any]") -> list[str]:
    lines = screen.device_lines(answer) + screen.row("device", answer["device"])
    shards, health = answer["shards"], answer["health"]
    used = limits.amount(shards["used"]) + " of " + limits.amount(shards["quota"]) + " used"
    if shards["read_only"]:
        used += "; no more are taken until it starts again: the disk is read-only or failed"
    for kind, what in (("trash", "deleted lately"), ("cache", "cached")):
        if shards[kind]:
            used += f", {limits.amount(shards[kind])} {what}"
    lines += screen.row("shards", str(shards["shards"]) + " kept, " + used)
    if shards["flash_day"]:
        left = limits.amount(shards["flash_left"]) + " of " + limits.amount(shards["flash_day"])
        lines += screen.row("flash", left + " may be written for shards now")
    lines += screen.row("traffic", limits.amount(shards["moved"]) + " of shards sent and received since the start")
    lines += screen.row("relay", _relay(answer["relay"]))
    lines += screen.row("updates", _updates(answer.get("update")))
    if "process_kib" in health:
        lines += screen.row("memory", limits.amount(health["process_kib"] * 1024) + " used by this device")
    if not answer["cores"]:
        lines += screen.row("cores", "none yet")
    for core in answer["cores"]:
        how = "connected" if core["connected"] else "not connected: " + core["why"]
        how += ", leaves it when others have what is kept for it" * core["leaving"]
        lines += screen.row("core", core["core"] + " " + core["name"] + ", " + how)
    if answer["window"]["open"] or not answer["cores"]:
        lines += screen.window_lines(answer["window"])
    return lines


def _updates(update: "dict[str, Any] | None") -> str:
    """One sentence."""
    if update is None:
        return "off: it was not started by stage-0 (ota/stage0.sh)"
    where = "the package" if update["slot"] == "package" else f"slot {update['slot']}"
    text: str = f"release {update['sequence']} of {where}" + ", on trial" * (update["state"] == "trial")
    text += f"; core {update['core']} may order others" if update["core"] else "; no core may order another"
    last = update["result"]
    return text + (f"; last order: {last['do']}, {last['result']}: {last['text']}" if last else "")


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
    return lines + screen.wrapped((text + answer["device"]).split(" "), "")


def reset(answer: "dict[str, Any]") -> list[str]:
    if answer["restarted"]:
        return ["Identity, cores and shards are forgotten. The running device begins anew,", "with a fresh code."]
    return ["Identity, cores and shards are forgotten. Start again with: corelet up"]


def boards(answer: "dict[str, Any]") -> list[str]:
    lines = []
    for board in answer["boards"]:
        lines.append(board["id"] + ": " + board["summary"])
        lines += screen.wrapped(["   "] + ", ".join(limits.shown(board["ceilings"])).split(" "), "    ")
    return lines
