"""The driver of the store: bodies in pieces, overlapping flushes, clients that vanish."""

import asyncio

from agent.errors import LimitError, PeerError, PortError
from agent.service.slabs import PIECE_BYTES_MAX, piece_bytes
from tests.expect import araises
from tests.unit.agent.service.slab_bench import PIECE, SLOT, Bench, data_of


def test_pieces():
    assert [piece_bytes(1 << log2) for log2 in (10, 16, 18, 20)] == [PIECE, PIECE, 8192, PIECE_BYTES_MAX]


def test_concurrent_puts_share_flushes():
    async def main():
        bench = Bench()
        await bench.slabs.open()
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


def test_clients_that_do_not_deliver():
    async def main():
        bench = Bench(quota=SLOT)
        await bench.slabs.open()

        async def broken(bytes_max):
            raise PortError("closed", "gone")

        async def wrong(bytes_max):
            return b"x" * bytes_max

        async def short(bytes_max):
            return b""

        for read, kind, code in (
            (broken, PortError, "closed"),
            (wrong, PeerError, "digest"),
            (short, PeerError, "short"),
        ):
            assert (await araises(kind, bench.put(data_of(1), read))).code == code
            assert bench.store.usage()["used"] == 0
        stuck = asyncio.Event()

        async def stall(bytes_max):
            await stuck.wait()
            return b""

        task = asyncio.create_task(bench.put(data_of(1), stall))
        await asyncio.sleep(0.01)
        assert bench.store.usage()["used"] == SLOT
        assert (await araises(LimitError, bench.put(data_of(2)))).code == "quota"
        task.cancel()
        await asyncio.sleep(0.01)
        assert bench.store.usage()["used"] == 0 and await bench.put(data_of(2)) == "stored"
        await bench.slabs.close()

    asyncio.run(main())


def test_a_client_that_leaves_during_the_flush_breaks_nothing():
    async def main():
        bench = Bench()
        bench.disk.flush_turns = 20
        await bench.slabs.open()
        one = asyncio.create_task(bench.put(data_of(1, 50)))
        while "header" not in bench.disk.log:
            await asyncio.sleep(0)
        one.cancel()
        bench.left = b""
        assert await bench.put(data_of(2, 50)) == "stored"
        assert await bench.get(data_of(1, 50)) == data_of(1, 50) and await bench.put(data_of(1, 50)) == "present"
        await bench.slabs.close()

    asyncio.run(main())
