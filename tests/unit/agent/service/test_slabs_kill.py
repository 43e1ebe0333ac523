"""The driver of the store: a kill after a checkpoint. (A file of its own: it needs most of 128 KiB.)"""

import asyncio

from tests.unit.agent.service import slab_bench
from tests.unit.agent.service.slab_bench import SLOT, Bench, data_of

slab_bench.STARTING = ()  # three starts: compiled once, kept
slab_bench.BLOCK = 144  # a header and ten bytes


def test_a_kill_after_a_checkpoint():
    """What was written since then is found, and only the slab that has it is read."""
    large = 4 * SLOT

    async def first():
        bench = Bench(20 * large, slot=large)  # slabs of 16 and of 4
        await bench.open()
        for number in range(18):
            assert await bench.put(data_of(number, 10)) == "stored"
        await bench.slabs.close()
        return bench.disk

    async def second(disk):
        bench = Bench(20 * large, disk, slot=large)
        await bench.open()
        assert await bench.put(data_of(18, 10)) == "stored", "in the slab of 4, and never closed"
        bench.slabs._tidying.cancel()

    async def third(disk):
        bench = Bench(20 * large, disk, slot=large)
        disk.log.clear()
        await bench.open()
        assert disk.log.count("read") == 2 + 1 + 3 + 4
        assert bench.store.usage()["shards"] == 19
        assert await bench.get(data_of(18, 10)) == data_of(18, 10)
        await bench.slabs.close()

    disk = asyncio.run(first())
    asyncio.run(second(disk))
    asyncio.run(third(disk))
