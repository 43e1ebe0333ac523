"""The driver of the store: bodies in pieces, overlapping flushes."""

import asyncio

from agent.core.shards.space import Slab
from agent.service.slabs import PIECE_BYTES_MAX, piece_bytes
from tests.unit.agent.service.slab_bench import PIECE, Bench, data_of


def test_pieces():
    assert [piece_bytes(1 << log2) for log2 in (10, 16, 18, 20)] == [PIECE, PIECE, 8192, PIECE_BYTES_MAX]
    bench = Bench()
    bench.slabs.pieces = (16384, 16384)  # CPython: a piece costs more than its memory
    assert bench.slabs.piece_bytes(Slab(65536, 0, 1)) == 16384
    bench.slabs.pieces = (2048, 4096)
    assert bench.slabs.piece_bytes(Slab(1 << 20, 0, 1)) == 4096


def test_concurrent_puts_share_flushes():
    async def main():
        bench = Bench()
        await bench.open()
        assert await bench.put(data_of(0, 100)) == "stored"
        count = bench.disk.log.count("flush")
        bodies = [data_of(number, 100) for number in range(1, 11)]

        def reader(data):
            left = [data]

            async def read(bytes_max):
                piece, left[0] = left[0][:bytes_max], b""
                return piece

            return read

        results = await asyncio.gather(*[bench.put(data, reader(data)) for data in bodies])
        assert results == ["stored"] * 10
        assert bench.disk.log.count("flush") - count <= 3
        await bench.slabs.close()

    asyncio.run(main())
