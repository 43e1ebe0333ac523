"""A core without its link: objects over fake devices on loopback, for tests."""

import asyncio
import random
import time
from contextlib import asynccontextmanager

from agent import port
from tests.tools.fake_device import CORE_ID, FakeDevice
from tools.gateway.objects import repair
from tools.gateway.objects.care import Care
from tools.gateway.objects.objects import Objects
from tools.gateway.objects.shards import ShardClient
from tools.gateway.registry.registry import Registry


class Net:
    """A core without its link: objects over fake devices."""

    def __init__(self, folder, devices, registry=None):
        self.devices = devices
        self.ahead_s = 0.0  # of the real clock
        self.registry = registry or Registry(folder)
        self.client = ShardClient(CORE_ID, port.codec(), port.crypto(), lambda: int(time.time()))
        self.care = Care(away_s=100, urgent_s=10, settled_s=0, patience_s=5, scan_s=0, background_bps=1 << 30)
        self.objects = Objects(self.registry, self.client, self.targets, self.care)
        self.objects.upkeep._unix_time = lambda: time.time() + self.ahead_s

    def targets(self):
        return {each.id: each.target() for each in self.devices}

    def pass_time(self, seconds):
        """As the core sees it: who is away is away for so much longer."""
        absences = self.objects.absences
        for _ in range(seconds // 5 + 1):
            absences._looked -= 5
            absences.look(self.targets(), True)

    async def put(self, data, name="file", piece=70_000):
        async def source():
            for start in range(0, len(data), piece):
                yield data[start : start + piece]

        return await self.objects.put(source(), name, lambda _: None)

    async def get(self, name="file"):
        return b"".join([piece async for piece in self.objects.get(self.objects.find(name))])

    def prefer(self, device):
        """So that it is asked."""
        self.client.scores._peaks[device] = (0.01, time.monotonic())

    async def recode(self):
        """One round, with the queue at work beside it as in a core."""
        worker = asyncio.create_task(self.objects.upkeep.run())
        try:
            return await self.objects.recoding.step()
        finally:
            worker.cancel()

    def held(self):
        return sum(len(device.shards) for device in self.devices)

    async def quiet(self):
        """Run the queue until it is empty."""
        repair.REST = 0
        for _ in range(20):
            for device in self.devices:
                self.objects.upkeep.welcome(device.id)
            if not await self.objects.upkeep.round():
                return

    async def much_later(self):
        """Long enough for what devices deny to be believed."""
        for _ in range(4):
            self.ahead_s += 400
            await self.quiet()


@asynccontextmanager
async def network(folder, count, **options):
    devices = [FakeDevice(number + 1, **options) for number in range(count)]
    for device in devices:
        await device.start()
    net = Net(folder, devices)
    try:
        yield net
    finally:
        await net.client.close()
        for device in devices:
            await device.kill()
        net.registry.close()


def run(folder, count, scenario, **options):
    async def main():
        async with network(folder, count, **options) as net:
            await scenario(net)

    asyncio.run(asyncio.wait_for(main(), 60))


def noise(length, seed=1):
    return random.Random(seed).randbytes(length)
