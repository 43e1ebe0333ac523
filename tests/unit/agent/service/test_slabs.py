"""The driver of the store: bodies in pieces, overlapping flushes, clients that vanish, bits that flip between reads."""

import asyncio

from agent.core.shards.store import Store
from agent.errors import LimitError, PeerError, PortError
from agent.service.slabs import PIECE_BYTES_MAX, Slabs, piece_bytes
from tests.expect import araises, raises
from tests.sim.chance import Xorshift32
from tests.sim.flash import Flash
from tests.sim.referee import sha256
from tests.sim.shard_files import FOLDER, FlashFiles

CORE = "00112233445566aa"
SLOT = 65536
PIECE = piece_bytes(SLOT)


class Bench:
    """A store on a simulated disk."""

    def __init__(self, quota=20 * SLOT, flash=None):
        self.random = Xorshift32(5)
        self.flash = flash or Flash(self.random)
        self.files = FlashFiles(self.flash, None, 2)
        self.files.keeps_bodies = False
        self.store = Store(quota, (SLOT,), lambda core: 1_000_000)
        self.slabs = Slabs(self.files, FOLDER, self.store, lambda: 0, asyncio.create_task)

    async def put(self, data, read=None):
        """`read` replaces the client's body."""
        self.left = data
        ticket = self.store.put(CORE, sha256(data), len(data), 0, 0)
        try:
            result = await self.slabs.wait(ticket)
            return await self.slabs.take_body(ticket, read or self.body) if result == "ready" else result
        finally:
            self.store.abort(ticket)

    async def body(self, bytes_max):
        assert bytes_max <= PIECE_BYTES_MAX
        await asyncio.sleep(0)
        piece, self.left = self.left[:bytes_max], self.left[bytes_max:]
        return piece

    async def get(self, data):
        ticket = self.store.get(CORE, sha256(data), False)
        result = await self.slabs.wait(ticket)
        if result != "found":
            return result
        count = (ticket.length + ticket.piece_bytes - 1) // ticket.piece_bytes
        return b"".join([self.slabs.read_piece(ticket, number) for number in range(count)])

    def slot_of(self, data):
        """(path, offset) of its payload."""
        ticket = self.store.get(CORE, sha256(data), True)
        self.slabs.pump()
        return FOLDER + "/slab.64." + str(self.store.space.slab_of(ticket.slot).number), ticket.slot % 256 * SLOT + 128


def data_of(number, length=3000):
    return (b"shard %d " % number * (length // 8 + 1))[:length]


def test_pieces():
    assert [piece_bytes(1 << log2) for log2 in (10, 16, 18, 20)] == [PIECE, PIECE, 8192, PIECE_BYTES_MAX]


def test_there_and_back_over_a_restart():
    async def main():
        bench = Bench()
        await bench.slabs.open()
        for length in (0, 1, PIECE - 1, PIECE, PIECE + 1):
            assert await bench.put(data_of(1, length)) == "stored"
            assert await bench.get(data_of(1, length)) == data_of(1, length)
        assert await bench.put(data_of(1, 1)) == "present"
        await bench.slabs.close()
        bench = Bench(flash=bench.flash)
        await bench.slabs.open()
        for length in (0, 1, PIECE - 1, PIECE, PIECE + 1):
            assert await bench.get(data_of(1, length)) == data_of(1, length)
        assert await bench.put(data_of(1, 1)) == "present"
        assert bench.files.trace[-1][0] == "flush", "what an earlier process wrote is flushed before it is promised"
        await bench.slabs.close()

    asyncio.run(main())


def test_concurrent_puts_share_flushes():
    async def main():
        bench = Bench()
        await bench.slabs.open()
        assert await bench.put(data_of(0, 100)) == "stored"
        count = len([1 for entry in bench.files.trace if entry[0] == "flush"])
        bodies = [data_of(number, 100) for number in range(1, 11)]

        def reader(data):
            left = [data]

            async def read(bytes_max):
                piece, left[0] = left[0][:bytes_max], b""
                return piece

            return read

        results = await asyncio.gather(*[bench.put(data, reader(data)) for data in bodies])
        assert results == ["stored"] * 10
        assert len([1 for entry in bench.files.trace if entry[0] == "flush"]) - count <= 3
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
        bench.files.flush_turns = 20
        await bench.slabs.open()
        one = asyncio.create_task(bench.put(data_of(1, 50)))
        while not [entry for entry in bench.files.trace if entry[0] == "write" and len(entry[3]) == 128]:
            await asyncio.sleep(0)
        one.cancel()
        bench.left = b""
        assert await bench.put(data_of(2, 50)) == "stored"
        assert await bench.get(data_of(1, 50)) == data_of(1, 50) and await bench.put(data_of(1, 50)) == "present"
        await bench.slabs.close()

    asyncio.run(main())


def test_bits_that_flip_between_two_reads():
    async def main():
        bench = Bench()
        await bench.slabs.open()
        await bench.put(data_of(1))
        ticket = bench.store.get(CORE, sha256(data_of(1)), False)
        assert await bench.slabs.wait(ticket) == "found"
        path, offset = bench.slot_of(data_of(1))
        assert bench.slabs.read_piece(ticket, 0) == data_of(1)[:PIECE]
        bench.flash.flip_bit(path, offset + PIECE + 500, 3)
        assert raises(PortError, bench.slabs.read_piece, ticket, 1).code == "spoiled"
        assert raises(PortError, bench.slabs.read_piece, ticket, 0).code == "changed", "quarantined as a whole"
        assert [report.reason for report in bench.store.reports] == ["sha256"] and await bench.get(
            data_of(1)
        ) == "corrupt"
        await bench.slabs.close()

    asyncio.run(main())


def test_a_disk_that_fails():
    async def main():
        bench = Bench()
        await bench.slabs.open()
        await bench.put(data_of(1, 50))
        bench.files.failing = {"flush": "io"}
        assert (await araises(PortError, bench.put(data_of(2, 50)))).code == "io"
        bench.files.failing = {}
        assert (await araises(PortError, bench.put(data_of(3, 50)))).code == "io"
        assert await bench.get(data_of(1, 50)) == data_of(1, 50)
        await bench.slabs.close()
        bench = Bench(flash=bench.flash)
        await bench.slabs.open()
        bench.files.failing = {"write": "read_only"}
        assert (await araises(PortError, bench.put(data_of(3, 50)))).code == "read_only"
        assert await bench.get(data_of(1, 50)) == data_of(1, 50) and bench.store.usage()["read_only"]
        await bench.slabs.close()

    asyncio.run(main())


def test_a_disk_without_room_for_a_slab():
    async def main():
        bench = Bench()
        await bench.slabs.open()
        bench.files.free = 20 * SLOT + 1000
        assert (await araises(LimitError, bench.put(data_of(1)))).code == "disk_full"
        assert bench.store.fault == "" and bench.flash.list() == []

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
            bench.flash.create(FOLDER + "/" + name, 4096)
        bench.flash.create(FOLDER + "/slab.64.3", 2 * SLOT + 700)
        await bench.slabs.open()
        assert "shards/slab.64.7.new" not in bench.flash.list() and "shards/notes" in bench.flash.list()
        assert bench.store.usage()["allocated"] == 2 * SLOT + 700 and await bench.put(data_of(1)) == "stored"
        await bench.slabs.close()

    asyncio.run(main())
