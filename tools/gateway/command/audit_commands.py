"""`corelet-core audit`: one round of questions now, and what the devices are trusted with."""

import argparse
import json
from typing import Any

from tools.gateway.command import screen
from tools.gateway.command.client import Client


def audit(client: Client, options: argparse.Namespace) -> int:
    """One device or all. Exit status 1 when shards were lost or rotten, or a device that is up did not answer."""
    value = client.ask("POST", "/audits", json.dumps({"device": options.device}).encode())
    lines = value["audits"]
    failed = sum(line["outcomes"].get(word, 0) for line in lines for word in ("lost", "corrupt", "timeout"))
    if options.json:
        screen.say_json(value)
        return 1 if failed else 0
    if not lines:
        screen.say("no devices are paired yet")
        return 0
    rows = [
        (
            screen.cut(line["name"], 14),
            line["device"][:8],
            *[str(line["outcomes"].get(word, 0)) for word in ("ok", "lost", "corrupt")],
            "-" if line["missing"] < 0 else str(line["missing"]),
            str(line["strays"]),
            trust(line["reputation"]),
        )
        for line in lines
    ]
    screen.say(screen.table(("NAME", "ID", "OK", "LOST", "CORRUPT", "MISSING", "STRAYS", "TRUST"), rows))
    for line in lines:
        if line["problem"]:
            screen.warn(screen.printable(line["problem"]))
        if not line["reputation"]["trusted"]:
            name = screen.printable(line["name"])
            screen.warn(f"{name} gets no new shards, and those it has go elsewhere; pair it anew to trust it again")
    return 1 if failed else 0


def trust(value: dict[str, Any]) -> str:
    """A reputation in a column. "mute": it owes an answer."""
    if not value["trusted"]:
        return "lost"
    return f"{int(value['score'] * 100)}%" if value["takes_more"] else "mute"
