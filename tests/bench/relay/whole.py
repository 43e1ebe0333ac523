"""A whole device beside its real core, for the benches of it: paired, started again since, relaying for its users.

with Whole("cpython", folder) as whole:
    whole.server, whole.account     # for Client and the loads
    whole.pid

The device has one processor for itself, all the rest shares the other. Its peers are on loopback, which its owner
allows here; ceilings are those of the board `generic-linux`.
"""

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.relay.turn import Account
from tests.e2e.network import Network, until
from tools.demonstration import HEAP

DEVICE_CORE, OTHER_CORE = 0, 1
HEAP_RELAYING = "768k"  # what a MicroPython device needs for its relay beside all the rest
OWNER = {"relay": "on", "relay_allow": ["127.0.0.0/8"], "board": "generic-linux"}
REALM = "corelet"
UDP_URL = re.compile(r"turn:([0-9.]+):(\d+)\?transport=udp")
READY_S = 60


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """What is started here stays there."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


class Whole:
    def __init__(self, runtime: str, folder: Path) -> None:
        self.runtime = runtime
        self._network = Network(folder)

    def __enter__(self) -> "Whole":
        try:
            self._begin()
        except BaseException:
            self._network.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._network.__exit__()

    def _begin(self) -> None:
        with on_core(OTHER_CORE):
            self.core = self._network.core()
        self.device = self._network.device(self.runtime)
        heap = f"heapsize={HEAP_RELAYING}"
        self.device.command = [word.replace(f"heapsize={HEAP}", heap) for word in self.device.command]
        with on_core(DEVICE_CORE):
            self.device.start()
            self.id = str(self.core.pair(self.device)["device"])
            self.device.stop()
            (self.device.state / "owner" / "settings.json").write_text(json.dumps(OWNER))
            self.device.restart()
        until("its relay", self._is_reachable, READY_S)
        entry = self.core.say("relay", "credentials", "--user", "bench", "--lan")["iceServers"][0]
        host, number = next(found.groups() for found in map(UDP_URL.fullmatch, entry["urls"]) if found)
        self.server = (host, int(number))
        self.account = Account(entry["username"], entry["credential"], REALM)
        self.pid = self.device.process.pid

    def _is_reachable(self) -> bool:
        """Where it is now; the core may still know the port of its life before."""
        port = f":{self.device.status().get('relay', {}).get('port')}?"
        ways = [way for line in self.core.ask("/relays")["relays"] if line["id"] == self.id for way in line["ways"]]
        return any(way["is_reachable"] and port in way["url"] for way in ways)

    def words(self) -> list[str]:
        """For the loads (load.py, late.py)."""
        server = f"{self.server[0]}:{self.server[1]}"
        who = ["--user", self.account.user, "--password", self.account.password, "--realm", REALM]
        return ["--server", server, "--pid", str(self.pid), *who]

    def shard_access(self) -> dict[str, Any]:
        """What the core needs for a token of its own making (storing.py)."""
        status = self.device.status()
        with sqlite3.connect(self.core.state / "registry.sqlite") as registry:
            (secret,) = registry.execute("select link_secret from devices where id = ?", (self.id,)).fetchone()
        names = {"core": self.core.id, "device": self.id, "secret": secret.hex()}
        return names | {"boot": status["boot"], "port": status["data_port"]}

    def dropped(self) -> dict[str, int]:
        """By reason, as it counts itself."""
        found: dict[str, int] = self.device.status()["relay"]["dropped"]
        return found

    def logs(self) -> str:
        """What it wrote down."""
        return self.device.run("logs").stdout
