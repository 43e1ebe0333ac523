"""The driver of the store over a restart. (Few new names: the interpreter's table of them grows by 7 KiB at once.)"""

import asyncio
import gc

from tests.unit.agent.service.slab_bench import PIECE, Bench, data_of


def test_there_and_back_over_a_restart():
    async def main():
        bench = Bench()
        await bench.open()
        for length in (PIECE + 1, 1, 0):
            assert await bench.put(data_of(1, length)) == "stored"
            assert await bench.get(data_of(1, length)) == data_of(1, length)
        assert await bench.put(data_of(1, 1)) == "present"
        await bench.slabs.close()
        return bench.disk

    async def run(disk):
        bench = Bench(disk=disk)
        await bench.open()
        for length in (PIECE + 1, 1, 0):
            assert await bench.get(data_of(1, length)) == data_of(1, length)
        assert await bench.put(data_of(1, 1)) == "present"
        assert bench.disk.log[-1] == "flush", "what an earlier process wrote is flushed before it is promised"
        await bench.slabs.close()

    disk = asyncio.run(main())
    gc.collect()
    asyncio.run(run(disk))
