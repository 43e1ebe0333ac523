"""The driver of the store over a restart."""

import asyncio

from tests.unit.agent.service.slab_bench import PIECE, Bench, data_of

LENGTHS = (PIECE + 1, 1, 0)


def test_there_and_back_over_a_restart():
    async def first():
        bench = Bench()
        await bench.open()
        for length in LENGTHS:
            assert await bench.put(data_of(1, length)) == "stored"
            assert await bench.get(data_of(1, length)) == data_of(1, length)
        assert await bench.put(data_of(1, 1)) == "present"
        await bench.slabs.close()
        return bench.disk

    async def second(disk):
        bench = Bench(disk=disk)
        await bench.open()
        for length in LENGTHS:
            assert await bench.get(data_of(1, length)) == data_of(1, length)
        assert await bench.put(data_of(1, 1)) == "present"
        assert bench.disk.log[-1] == "flush", "what an earlier process wrote is flushed before it is promised"
        await bench.slabs.close()

    asyncio.run(second(asyncio.run(first())))
