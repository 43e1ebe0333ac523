"""The driver of the store: clients that do not deliver, or vanish."""

import asyncio

from agent.errors import LimitError, PeerError, PortError
from tests.expect import araises
from tests.unit.agent.service.slab_bench import SLOT, Bench, data_of


def test_clients_that_do_not_deliver():
    async def main():
        bench = Bench(quota=SLOT)
        await bench.open()

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
        await bench.slabs.close()

    asyncio.run(main())


def test_a_client_that_stalls_and_vanishes():
    async def main():
        bench = Bench(quota=SLOT)
        await bench.open()
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
        await bench.open()
        one = asyncio.create_task(bench.put(data_of(1, 50)))
        while "header" not in bench.disk.log:
            await asyncio.sleep(0)
        one.cancel()
        bench.left = b""
        assert await bench.put(data_of(2, 50)) == "stored"
        assert await bench.get(data_of(1, 50)) == data_of(1, 50) and await bench.put(data_of(1, 50)) == "present"
        await bench.slabs.close()

    asyncio.run(main())
