"""`corelet-core relay ...`: what it asks of the running core, and how it shows the answer."""

import argparse
import json
from typing import Any

from agent.errors import UsageError
from tools.gateway.command import screen
from tools.gateway.command.client import Client
from tools.gateway.state import as_typed

WORDS = "list | credentials --user NAME | key new NAME | key list | key remove NAME"


def relay(client: Client, options: argparse.Namespace) -> int:
    """By the words that follow."""
    words = options.words
    if words == ["list"]:
        value = client.ask("GET", "/relays")
        lines = _listed(value["relays"])
    elif words == ["credentials"]:
        if not options.user:
            raise UsageError("usage", "whose credentials? corelet-core relay credentials --user NAME")
        body = {"user": options.user, "ttl": options.ttl, "lan": options.lan}
        value = client.ask("POST", "/relay-credentials", json.dumps(body).encode())
        lines = _issued(value)
    elif words == ["key", "list"]:
        value = client.ask("GET", "/relay-keys")
        lines = [key["name"] + ("  for clients in the devices' network" if key["lan"] else "") for key in value["keys"]]
        lines = lines or ["no keys yet: corelet-core relay key new NAME"]
    elif len(words) == 3 and words[:2] == ["key", "new"]:
        value = client.ask("POST", "/relay-keys", json.dumps({"name": words[2], "lan": options.lan}).encode())
        lines = [value["key"], "It is shown only now. Applications send it: Authorization: Bearer KEY, to"]
        where = f"GET {value['url']}/ice-servers?user=NAME"
        lines.append(where if value["url"] else "nowhere yet: start the core with --web 8480 behind `up`")
    elif len(words) == 3 and words[:2] == ["key", "remove"]:
        value = client.ask("DELETE", f"/relay-keys/{words[2]}")
        lines = [f"the key {words[2]} is worth nothing now"]
    else:
        raise UsageError("usage", f"'relay {' '.join(words)}' is no command; there are: {WORDS}")
    if options.json:
        screen.say_json(value)
    else:
        screen.say("\n".join(screen.printable(as_typed(line, options.state)) for line in lines))
    return 0


def _listed(relays: list[dict[str, Any]]) -> list[str]:
    if not relays:
        return ["no devices are paired yet"]
    rows = []
    for line in relays:
        ways = [way for way in line["ways"] if way["is_reachable"]]
        where = "outside" if any(way["scope"] == "wan" for way in ways) else "its network" if ways else "-"
        if not line["ways"]:
            where = "off" if line["is_up"] else "down"
        best = min((way["rtt_ms"] for way in ways), default=None)
        rows.append(
            (
                screen.cut(line["name"], 18),
                where,
                "-" if best is None else f"{best:.1f} ms",
                str(line["allocations"]),
                str(line["packets"]),
                screen.amount(line["bytes"]),
                str(sum(line["refused"].values())),
            )
        )
    return screen.table(("NAME", "FROM", "RTT", "CALLS", "PACKETS", "BYTES", "REFUSED"), rows).split("\n")


def _issued(value: dict[str, Any]) -> list[str]:
    lines = []
    for server in value["iceServers"]:
        lines += [*server["urls"], f"  username    {server['username']}", f"  credential  {server['credential']}"]
    if len(value["iceServers"]) == 1:
        lines.append("only one relay can be reached: a client cannot survive its loss")
    return [*lines, f"good for {screen.age(value['ttl'])}"]
