"""The driver of the store where strangers have taken all file descriptors: what cannot be opened now is not wrong."""

import asyncio

from agent.errors import PortError
from tests.expect import araises, raises
from tests.unit.agent.service.slab_bench import CORE, Bench, data_of, sha256


def test_a_machine_without_descriptors_loses_nothing():
    async def main():
        bench = Bench()
        await bench.open()
        await bench.put(data_of(1, 50))
        ticket = bench.store.get(CORE, sha256(data_of(1, 50)), False)
        assert await bench.slabs.wait(ticket) == "found"
        bench.disk.failing = {"read": "stopped", "write": "stopped"}
        assert (await araises(PortError, bench.get(data_of(1, 50)))).code == "stopped"
        assert raises(PortError, bench.slabs.read_piece, ticket, 0).code == "stopped"
        assert (await araises(PortError, bench.put(data_of(2, 50)))).code == "stopped"
        bench.disk.failing = {}
        assert await bench.get(data_of(1, 50)) == data_of(1, 50) and await bench.put(data_of(2, 50)) == "stored"
        assert not bench.store.reports
        await bench.slabs.close()

    asyncio.run(main())
