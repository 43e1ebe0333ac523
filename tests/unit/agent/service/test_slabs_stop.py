"""The driver of the store: what an orderly stop leaves to the next start."""

import asyncio

from tests.unit.agent.service import slab_bench
from tests.unit.agent.service.slab_bench import FOLDER, Bench, data_of

slab_bench.STARTING = ()  # two starts: compiled once, kept


def test_an_orderly_stop_leaves_a_checkpoint_and_a_start_reads_no_header():
    async def life(disk, number, start_reads):
        bench = Bench(disk=disk)
        bench.disk.log.clear()
        await bench.open()
        assert bench.disk.log.count("read") == start_reads
        assert await bench.put(data_of(number, 50)) == "stored"
        for each in range(number + 1):
            assert await bench.get(data_of(each, 50)) == data_of(each, 50)
        await bench.slabs.close()
        return bench.disk

    disk = None
    for number, start_reads in ((0, 0), (1, 5), (2, 5)):  # memo 2, checkpoint's head, part and table
        disk = asyncio.run(life(disk, number, start_reads))
    index, memo = disk.files[FOLDER + "/slab.index"], disk.files[FOLDER + "/slab.memo"]
    assert index[0] == 1024 + 16 + 12 * 20 + 4 and memo[0] == 8192
    del disk.files[FOLDER + "/slab.index"]
    disk = asyncio.run(life(disk, 3, 2 + 20))
    disk.files[FOLDER + "/slab.index"] = index
    asyncio.run(life(disk, 4, 3 + 20))
