"""A whole core process whose link and broker are made up: `python -m tests.tools.fake_core STATE FLEET.json`.

Everything from the command line down to the shards is real. FLEET.json is what tests/tools/fake_fleet.py wrote.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from agent import port
from tests.tools.fake_device import FakeDevice
from tools.gateway import life
from tools.gateway.app import Core, Options
from tools.gateway.registry.tables import Device


class FakeCore(Core):
    def __init__(self, options, fleet):
        super().__init__(options)
        self._known = {}
        for line in json.loads(Path(fleet).read_text()):
            fake = FakeDevice(line["number"])
            fake.port = line["port"]
            self._known[fake.id] = fake
            if fake.id not in {device.id for device in self.registry.devices()}:
                self.registry.add_device(
                    Device(
                        fake.id, f"fake-{fake.number}", "generic-linux", "0.1.0", b"", 1, fake.link_secret,
                        "paired", "127.0.0.1", int(time.time()),
                    )
                )  # fmt: skip
        self.fleet.reload()
        self.ca.core_id = "c0" * 8
        self.client._core_id = "c0" * 8

    async def _open_broker(self):
        async def nothing(*_):
            return None

        self.broker = SimpleNamespace(
            kind="made up", banner="", endpoints=lambda: [("127.0.0.1", 1)], allow=nothing, forbid=nothing, stop=nothing
        )

    async def _open_links(self):
        async def nothing(*_):
            return {}

        self.links = SimpleNamespace(
            trouble="", sessions=dict, presence=self._made_up, close=nothing, command=nothing, wait_up=nothing
        )

    async def _open_browser(self):
        self.browser = None

    def _made_up(self, device_id):
        fake = self._known.get(device_id)
        if fake is None:
            return None
        birth = {
            "boot": fake.boot, "session": 1, "fw": "0.1.0", "runtime": "cpython", "addresses": ["127.0.0.1"],
            "data": fake.port, "slots": list(fake.slots), "quota": fake.quota, "used": 0,
        }  # fmt: skip
        seen_at = port.clock.now_ms() - 500
        return SimpleNamespace(is_up=True, birth=birth, telemetry={}, seen_at=seen_at, doubled_at=None)


class HangingCore(FakeCore):
    """A task that will not be cancelled."""

    async def start(self):
        await super().start()
        self._tasks.append(asyncio.create_task(self._hang()))

    async def _hang(self):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue


class BlockedCore(FakeCore):
    """The loop itself hangs."""

    async def start(self):
        await super().start()
        asyncio.get_running_loop().call_later(1.0, time.sleep, 3600)


def main():
    state, fleet, *rest = sys.argv[1:]
    kind = {"hang": HangingCore, "block": BlockedCore}.get(rest[0] if rest else "", FakeCore)
    life.STOP_S = 3.0
    life.Core = lambda options: kind(options, fleet)
    return life.run(Options(Path(state), "fake", "127.0.0.1"), False)


if __name__ == "__main__":
    sys.exit(main())
