"""Power cuts under the product's own driver (agent/service/slabs.py): what it did to the disk, judged as in store.py.

Eight clients put, delete and put again at once; then the store is stopped in order, and started again from its
checkpoint for eight more. The order in which an event loop runs them differs between the interpreters, so the trace
hash covers what each client was told, not the order. CORELET_FULL=1 judges every prefix.
"""

import asyncio

from agent.core.shards.layouts import store_of
from agent.service.slabs import Slabs
from tests.sim.chance import Xorshift32
from tests.sim.flash import Flash
from tests.sim.referee import Referee, sha256
from tests.sim.shard_files import FOLDER, FlashFiles
from tests.sim.world import World

CORE = "00112233445566aa"
SLOT = 65536
QUOTA = 20 * SLOT
FLASH_DAY = 1 << 30
CLIENTS = 16
PREFIXES = 40
PLANS = (("put",), ("put", "put"), ("put", "delete"), ("put", "put", "delete", "put"))


class Bench:
    """A store on a simulated disk; what happened is in `trace`."""

    def __init__(self, random: Xorshift32, layout: str) -> None:
        self.layout = layout
        self.trace: list = []
        self.files = FlashFiles(Flash(random), self.trace, 2)

    async def run(self, bodies: "list[bytes]") -> "list[list[str]]":
        """One life of it."""
        self.store = store_of(self.layout)(QUOTA, (SLOT,), lambda core: 1_000_000)
        self.store.limit(FLASH_DAY, 0)
        self.slabs = Slabs(self.files, FOLDER, self.store, lambda: 0, asyncio.create_task)
        await self.slabs.open()
        clients = [self._client(data, PLANS[len(data) % len(PLANS)]) for data in bodies]
        results: list = await asyncio.gather(*clients)
        await self.slabs.close()
        return results

    async def _client(self, data: bytes, plan: "tuple[str, ...]") -> "list[str]":
        shard = sha256(data)
        results = []
        for operation in plan:
            self.trace.append(("begin", operation, CORE, shard, data, 0))
            if operation == "put":
                ticket = self.store.put(CORE, shard, len(data), 0, 0)
                if await self.slabs.wait(ticket) == "ready":
                    await self.slabs.take_body(ticket, _Body(data).read)
            else:
                ticket = self.store.delete(CORE, shard, 0)
                await self.slabs.wait(ticket)
            self.trace.append(("ack", operation, CORE, shard, ticket.result))
            results.append(ticket.result)
        return results


class _Body:
    """A client's bytes, some at a time."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    async def read(self, bytes_max: int) -> bytes:
        await asyncio.sleep(0)
        piece = self._left[: min(bytes_max, 300)]
        self._left = self._left[len(piece) :]
        return piece


def run(seed: int, layout: str = "slabs") -> bytes:
    world = World(seed)
    bodies = [world.random.bytes(world.random.between(1, 40)) * world.random.between(1, 20) for _ in range(CLIENTS)]
    bench = Bench(world.random, layout)
    results = asyncio.run(bench.run(bodies[: CLIENTS // 2]))
    results += asyncio.run(bench.run(bodies[CLIENTS // 2 :]))
    assert not bench.store.memo.is_all, "the second life began with the checkpoint of the first"
    for data, result in zip(bodies, results):  # noqa: B905 (no strict= on MicroPython)
        world.trace(data, result)
    trace = bench.trace
    del bench
    referee = Referee(trace, QUOTA, (SLOT,), FLASH_DAY, layout)
    referee.judge_some(Xorshift32(seed + 77), PREFIXES)
    return world.trace_hash()
