"""`corelet-core release ...` and `corelet-core rollout ...`: what they ask of the running core, how they show it."""

import argparse
import base64
import json
from pathlib import Path
from typing import Any

from agent.errors import PortError, UsageError
from tools.gateway.command import screen
from tools.gateway.command.client import Client
from tools.gateway.state import as_typed

RELEASE_WORDS = "add ENVELOPE --pack FILE | ls | rm DIGEST"
ROLLOUT_WORDS = "start DIGEST | status | pause | resume | abort"
BAR_CHARS = 24
SHOWN_MAX = 20  # devices on a screen; all of them are in --json
FILE_BYTES_MAX = 16 << 20
STATES = {
    "running": "goes on", "paused": "is paused", "aborted": "was aborted", "done": "is done",
}  # fmt: skip


def release(client: Client, options: argparse.Namespace) -> int:
    """By the words that follow."""
    words = options.words
    if len(words) == 2 and words[0] == "add":
        value = client.ask("POST", "/releases", json.dumps(_offer(words[1], options)).encode())
        lines = [f"{screen.mark(True)} release {value['sequence']}, digest {value['digest']}"]
        lines.append(f"  {value['trouble']}" if value["trouble"] else f"  signed as root {value['root']} asks")
    elif words == ["ls"]:
        value = client.ask("GET", "/releases")
        lines = _releases(value["releases"])
    elif len(words) == 2 and words[0] == "rm":
        value = client.ask("DELETE", f"/releases/{words[1]}")
        lines = [f"release {value['sequence']} ({value['digest'][:16]}) is removed: devices that run it keep it"]
    else:
        raise UsageError("usage", f"'release {' '.join(words)}' is no command; there are: {RELEASE_WORDS}")
    return _show(options, value, lines)


def _offer(envelope: str, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "envelope": _file(envelope), "pack": _file(options.pack) if options.pack else "",
        "approvals": [_file(one) for one in options.approval], "roots": [_file(one) for one in options.root],
    }  # fmt: skip


def _file(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise PortError("file", f"{name} cannot be read: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise UsageError("usage", f"{name} is longer than any file of a release, {FILE_BYTES_MAX} bytes")
    return base64.b64encode(data).decode()


def _releases(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["no releases are here yet: corelet-core release add ENVELOPE --pack FILE --root FILE"]
    rows = [
        (
            str(one["sequence"]), one["digest"][:16], screen.amount(one["bytes"]), str(one["signatures"]),
            str(one["approvals"]), one["rollout"] or "-", screen.cut(one["trouble"], 60) or "ready",
        )
        for one in found
    ]  # fmt: skip
    head = ("NUMBER", "DIGEST", "SIZE", "SIGNED", "APPROVED", "ROLL-OUT", "FOR DEVICES")
    return screen.table(head, rows).split("\n")


def rollout(client: Client, options: argparse.Namespace) -> int:
    """By the words that follow."""
    words = options.words
    if len(words) == 2 and words[0] == "start":
        named = ("canary", "waves", "soak", "abort_at", "deadline", "sample")
        body = {"digest": words[1]} | {name: getattr(options, name) for name in named}
        value = client.ask("POST", "/rollout", json.dumps(body).encode())
    elif words in (["pause"], ["resume"], ["abort"]):
        value = client.ask("POST", f"/rollout/{words[0]}")
    elif words == ["status"]:
        value = client.ask("GET", "/rollout")
    else:
        raise UsageError("usage", f"'rollout {' '.join(words)}' is no command; there are: {ROLLOUT_WORDS}")
    return _show(options, value, _rollout(value["rollout"]))


def _rollout(value: dict[str, Any]) -> list[str]:
    if not value:
        return ["nothing was rolled out yet: corelet-core rollout start DIGEST"]
    head = f"release {value['sequence']} ({value['digest'][:16]}): the roll-out {STATES[value['state']]}"
    lines = [head + (f": {value['why']}" if value["why"] else "")]
    lines += [_wave(wave) for wave in value["waves"]]
    if value["waits_for"]:
        lines.append(f"the open wave waits for {value['waits_for']}")
    counts = value["counts"]
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no devices are paired")
    odd = [one for one in value["devices"] if one["state"] in ("failed", "ordered", "staged", "trial", "unfit")]
    if odd:
        rows = [
            (
                screen.cut(one["name"] or one["id"], 18), one["state"], one["reason"], screen.age(one["since_s"]),
                screen.cut(one["text"], 40),
            )
            for one in odd[:SHOWN_MAX]
        ]  # fmt: skip
        lines += screen.table(("NAME", "STATE", "REASON", "SINCE", "WHY"), rows).split("\n")
    if len(odd) > SHOWN_MAX:
        lines.append(f"and {len(odd) - SHOWN_MAX} more: --json has all of them")
    return lines


def _wave(wave: dict[str, Any]) -> str:
    """`#` updated, `!` failed, `>` under way, `.` still to come."""
    total = max(1, wave["devices"])
    bar, done = "", 0
    for sign, count in (("#", wave["updated"]), ("!", wave["failed"]), (">", wave["under_way"])):
        done += count
        bar += sign * (max(BAR_CHARS * done // total, len(bar) + (count > 0)) - len(bar))
    words = f"{wave['updated']} of {wave['devices']} updated"
    words += f", {wave['failed']} failed" if wave["failed"] else ""
    state = {"over": "over", "open": "open", "closed": "not yet"}[wave["state"]]
    return f"  {wave['name']:<8}{wave['share']:>7}  [{bar[:BAR_CHARS].ljust(BAR_CHARS, '.')}]  {state}: {words}"


def _show(options: argparse.Namespace, value: dict[str, Any], lines: list[str]) -> int:
    if options.json:
        screen.say_json(value)
    else:
        screen.say("\n".join(screen.printable(as_typed(line, options.state)) for line in lines))
    return 0
