"""The driver of the store: a checkpoint."""

import asyncio

from tests.unit.agent.service.slab_bench import FOLDER, Bench, data_of


def test_a_checkpoint_that_could_not_be_read_never_counts_again():
    path = FOLDER + "/slab.index"

    async def first():
        bench = Bench()
        await bench.open()
        assert await bench.put(data_of(0, 10)) == "stored"
        await bench.slabs.close()
        return bench.disk

    async def second(disk):
        index = disk.files.pop(path)
        bench = Bench(disk=disk)
        await bench.open()
        assert await bench.put(data_of(1, 10)) == "stored"
        bench.slabs._tidying.cancel()
        disk.files[path] = index

    async def third(disk):
        bench = Bench(disk=disk)
        await bench.open()
        assert await bench.get(data_of(1, 10)) == data_of(1, 10) and await bench.get(data_of(0, 10)) == data_of(0, 10)
        await bench.slabs.close()

    disk = asyncio.run(first())
    asyncio.run(second(disk))
    asyncio.run(third(disk))
