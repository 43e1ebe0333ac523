"""The driver of the store on a disk without room, and on one that is not ours alone."""

import asyncio

from agent.errors import LimitError
from tests.expect import araises
from tests.unit.agent.service.slab_bench import FOLDER, SLOT, Bench, data_of


def test_a_disk_without_room_for_a_slab():
    async def main():
        bench = Bench()
        await bench.open()
        bench.disk.free = 20 * SLOT + 1000
        assert (await araises(LimitError, bench.put(data_of(1)))).code == "disk_full"
        assert bench.store.fault == "" and bench.disk.files == {}
        await bench.slabs.close()

    asyncio.run(main())


def test_strange_files_in_the_folder():
    async def main():
        bench = Bench()
        for name in (
            "slab.64.7.new",
            "slab.0.1",
            "slab.63.1",
            "slab.64.x",
            "slab.64",
            "slab..",
            "slab.64.\u00b2",
            "notes",
        ):
            bench.disk.files[FOLDER + "/" + name] = [4096, {}]
        bench.disk.files[FOLDER + "/slab.64.3"] = [2 * SLOT + 700, {}]
        await bench.open()
        assert "shards/slab.64.7.new" not in bench.disk.files and "shards/notes" in bench.disk.files
        assert bench.store.usage()["allocated"] == 2 * SLOT + 700 and await bench.put(data_of(1)) == "stored"
        await bench.slabs.close()

    asyncio.run(main())


def test_a_slab_that_lost_its_bytes_keeps_its_number():
    """Of a file system that was repaired, or something else of that name: the next slab is another file."""

    async def main():
        bench = Bench(quota=60 * SLOT)
        bench.disk.files = {FOLDER + "/slab.64.0": [0, {}], FOLDER + "/slab.64.1": [700, {}]}
        await bench.open()
        assert await bench.put(data_of(1)) == "stored" and FOLDER + "/slab.64.2" in bench.disk.files
        await bench.slabs.close()

    asyncio.run(main())
