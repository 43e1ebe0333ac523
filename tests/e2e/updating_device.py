"""Devices that are nothing but their link and `python -m ota`, for the tests of roll-outs; CPython.

    python tests/e2e/updating_device.py BAD HOST PORT FOLDER ...

Each FOLDER is as for link_device.py, with the state of updates in FOLDER/ota. An order is followed as stage-0 and the
agent do: refresh and install, a restart into the trial, a confirmation. BAD: a file with digests of releases that crash
before they are heard of. Prints "FOLLOWED device result" for each order.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, ".")

from agent import port  # noqa: E402
from agent.errors import LimitError, UsageError  # noqa: E402
from agent.service.link import Identity, LinkService  # noqa: E402
from ota import client  # noqa: E402
from ota.report import write_json  # noqa: E402
from tests.e2e.link_device import Journal  # noqa: E402

HEALTHY = ("--healthy-s", "120", "--core-reached")
WORDS = {"staged": "staged", "current": "nothing"}


class Device:
    def __init__(self, folder, bad, broker):
        self.folder, self.bad, self.broker = folder, bad, broker
        self.boot, self.number, self.slot = 1, 0, ""
        self.result = None
        self.found = {}
        self.order = ""
        self.came = asyncio.Event()
        self.service = None

    def birth(self):
        slots, digest = self.found["slots"], ""
        if self.slot in slots:
            digest = slots[self.slot]["digest"]
        sequence = slots[self.slot]["sequence"] if digest else 0
        update = {"slot": self.slot or "package", "state": self.found["state"], "sequence": sequence}
        more = {"update": update | {"digest": digest, "result": self.result}, "addresses": ["127.0.0.1"]}
        return {"fw": "0.0.0", "board": "generic-linux", "name": self.folder.name, "data": 9} | more

    def telemetry(self):
        return {"uptime_s": 1}

    def bound(self):
        pass

    async def command(self, op, body):
        if op != "update" or body.get("order") != "install":
            raise UsageError("no_such", f"there is no command {op}")
        if self.order:
            raise LimitError("busy", "an order is under way")
        self.order = body["source"]
        self.came.set()
        return {"accepted": True}

    def here(self, verb):
        """A command that asks no source, in this process: a start of an interpreter less."""
        os.environ["CORELET_SLOT"] = self.slot
        pieces = []
        write_json(client.run([verb, str(self.folder / "ota")])[0], pieces.append)
        self.found = json.loads("".join(pieces))
        return self.found

    async def ota(self, verb, *words):
        environment = os.environ | {"CORELET_SLOT": self.slot}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ota", verb, str(self.folder / "ota"), *words, env=environment,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        found = json.loads(said)
        if "slots" in found:
            self.found = found
        return found

    def tell(self, do, word, found):
        self.number += 1
        active = self.found["active"]
        self.result = {
            "number": self.number, "do": do, "result": word, "reason": found.get("reason", ""),
            "text": found.get("text", "")[:240], "state": self.found["state"], "sequence": 0, "target": "",
            "active": self.found["slots"][active]["digest"] if active else "",
        }  # fmt: skip
        print("FOLLOWED", self.folder.name, do, word, found.get("reason", ""), flush=True)
        self.service.refresh()

    async def live(self):
        self.here("status")
        while True:
            record = {name: (self.folder / f"{name}.der").read_bytes() for name in ("ca", "cert")}
            record |= {"core": (self.folder / "core").read_text(), "brokers": [list(self.broker)]}
            key = (self.folder / "key.der").read_bytes()
            identity = Identity((self.folder / "device").read_text(), key, self.boot)
            self.service = LinkService(record, identity, self, Journal())
            running = asyncio.create_task(self.service.run())
            await self.until_restart()
            await self.service.stop()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.restart()

    async def until_restart(self):
        if self.found["state"] == "trial":
            found = await self.ota("confirm", *HEALTHY)
            self.tell("confirm", found["result"], found)
        while True:
            await self.came.wait()
            self.came.clear()
            refreshed = await self.ota("refresh", self.order)
            found = await self.ota("install", self.order) if refreshed["result"] != "refused" else refreshed
            word = "nothing" if found.get("reason") == "nothing" else WORDS.get(found["result"], found["result"])
            self.order = ""
            self.tell("install", word, found)
            if word == "staged":
                await asyncio.sleep(0.1)
                return

    async def restart(self):
        """A bad release crashes, until stage-0 falls back."""
        while True:
            self.boot += 1
            found = self.here("boot")
            self.slot = found["run"] if found["run"] in ("a", "b") else ""
            digest = found["slots"].get(self.slot, {}).get("digest", "x")
            if digest not in self.bad.read_text():
                return


async def main():
    bad, host, number, *folders = sys.argv[1:]
    devices = [Device(Path(folder), Path(bad), (host, int(number))) for folder in folders]
    await asyncio.gather(*[device.live() for device in devices])


if __name__ == "__main__":
    port.net.run(main())
