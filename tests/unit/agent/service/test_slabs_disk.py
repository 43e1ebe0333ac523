"""The driver of the store on a disk that fails, or flips bits between reads."""

import asyncio

from agent.errors import PortError
from tests.expect import araises, raises
from tests.unit.agent.service import slab_bench
from tests.unit.agent.service.slab_bench import CORE, FOLDER, PIECE, SLOT, Bench, data_of, sha256


def slot_of(bench, data):
    """(path, offset) of its payload."""
    ticket = bench.store.get(CORE, sha256(data), True)
    bench.slabs.pump()
    return FOLDER + "/slab.64." + str(bench.store.space.slab_of(ticket.slot).number), ticket.slot % 256 * SLOT + 128


def flip_bit(disk, path, offset):
    number, at = divmod(offset, slab_bench.BLOCK)  # another test may have made them smaller
    block = bytearray(disk.files[path][1][number])
    block[at] ^= 1
    disk.files[path][1][number] = bytes(block)


def test_bits_that_flip_between_two_reads():
    async def main():
        bench = Bench()
        await bench.open()
        await bench.put(data_of(1))
        ticket = bench.store.get(CORE, sha256(data_of(1)), False)
        assert await bench.slabs.wait(ticket) == "found"
        path, offset = slot_of(bench, data_of(1))
        assert bench.slabs.read_piece(ticket, 0) == data_of(1)[:PIECE]
        flip_bit(bench.disk, path, offset + PIECE + 500)
        assert raises(PortError, bench.slabs.read_piece, ticket, 1).code == "spoiled"
        assert raises(PortError, bench.slabs.read_piece, ticket, 0).code == "changed", "quarantined as a whole"
        assert [report.reason for report in bench.store.reports] == ["sha256"]
        assert await bench.get(data_of(1)) == "corrupt"
        await bench.slabs.close()

    asyncio.run(main())


def test_a_disk_that_fails():
    async def main():
        bench = Bench()
        await bench.open()
        await bench.put(data_of(1, 50))
        bench.disk.failing = {"flush": "io"}
        assert (await araises(PortError, bench.put(data_of(2, 50)))).code == "io"
        bench.disk.failing = {}
        assert (await araises(PortError, bench.put(data_of(3, 50)))).code == "io"
        assert await bench.get(data_of(1, 50)) == data_of(1, 50)
        await bench.slabs.close()
        bench = Bench(disk=bench.disk)
        await bench.open()
        bench.disk.failing = {"write": "read_only"}
        assert (await araises(PortError, bench.put(data_of(3, 50)))).code == "read_only"
        assert await bench.get(data_of(1, 50)) == data_of(1, 50) and bench.store.usage()["read_only"]
        await bench.slabs.close()

    asyncio.run(main())
