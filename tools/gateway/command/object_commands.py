"""`corelet-core ls` and `objects`: what is stored, and with --health how safe each is, in plain words."""

import argparse
import time
from typing import Any

from tools.gateway.command import screen
from tools.gateway.command.client import Client
from tools.gateway.state import default_folder, typed

WIDTH = 78


def stored(client: Client, options: argparse.Namespace, path: str) -> list[dict[str, Any]]:
    """A line for each file; none where all is said already: as JSON, or that there are none."""
    value = client.ask("GET", path)
    if options.json:
        screen.say_json(value)
        return []
    if not value["objects"]:
        screen.say(f"no files are stored yet: {typed(options.state or default_folder(), 'put FILE')}")
    lines: list[dict[str, Any]] = value["objects"]
    return lines


def ls(client: Client, options: argparse.Namespace) -> int:
    """All files."""
    lines = stored(client, options, "/objects")
    if not lines:
        return 0
    rows = [
        (
            screen.cut(line["name"], 16),
            line["id"][:8],
            screen.amount(line["size"]),
            str(line["shards"]),
            f"{line['k']}/{line['n']}",
            survives(line["survives"]),
            time.strftime("%Y-%m-%d", time.localtime(line["created"])),
        )
        for line in lines
    ]
    screen.say(screen.table(("NAME", "ID", "SIZE", "SHARDS", "ANY", "SURVIVES", "STORED"), rows))
    if any(line["survives"] < line["n"] - line["k"] or not line["survives"] for line in lines):
        screen.warn(f"why some survive no more: {typed(options.state or default_folder(), 'objects --health')}")
    return 0


def survives(losses: int) -> str:
    """In words."""
    if losses < 0:
        return "NOT READABLE"
    return "no loss" if losses == 0 else f"{losses} loss{'es' if losses > 1 else ''}"


def objects(client: Client, options: argparse.Namespace) -> int:
    """As `ls`; with --health the weakest come first."""
    if not options.health:
        return ls(client, options)
    for line in stored(client, options, "/health"):
        screen.say("\n".join(_lines(line)))
    return 0


def _lines(line: dict[str, Any]) -> list[str]:
    name = screen.printable(screen.cut(line["name"], 28))
    if line["survives"] < 0:
        state = screen.paint("CANNOT BE READ NOW", "red")
    else:
        state = f"survives {line['survives']} of {line['of']} losses now"
    lines = [f"{screen.mark(line['survives'] > 0)} {name.ljust(28)}  any {line['k']} of {line['n']}, {state}"]
    return lines + [screen.cut("    " + screen.printable(reason), WIDTH) for reason in line["reasons"]]
