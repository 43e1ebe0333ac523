"""Fake devices in a process of their own: `python -m tests.tools.fake_fleet COUNT FLEET.json`, until killed."""

import asyncio
import json
import sys
from pathlib import Path

from tests.tools.fake_device import FakeDevice


async def main():
    count, path = int(sys.argv[1]), Path(sys.argv[2])
    devices = [FakeDevice(number + 1, quota=1 << 40) for number in range(count)]
    for device in devices:
        await device.start()
    text = json.dumps([{"number": device.number, "port": device.port} for device in devices])
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
