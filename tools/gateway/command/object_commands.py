"""`corelet-core objects`: what is stored, and with --health how safe each is, in plain words."""

import argparse
from typing import Any

from tools.gateway.command import commands, screen
from tools.gateway.command.client import Client
from tools.gateway.state import default_folder, typed

WIDTH = 78


def objects(client: Client, options: argparse.Namespace) -> int:
    """As `ls`; with --health the weakest come first."""
    if not options.health:
        return commands.ls(client, options)
    value = client.ask("GET", "/health")
    if options.json:
        screen.say_json(value)
        return 0
    if not value["objects"]:
        screen.say(f"no files are stored yet: {typed(options.state or default_folder(), 'put FILE')}")
        return 0
    for line in value["objects"]:
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
