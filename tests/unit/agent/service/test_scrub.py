"""The scrub's driver: rot is found and told, the mark survives, a busy device is left alone, but not for ever."""

import asyncio

from agent.core.shards.flash import TIDY, Flash
from agent.errors import PortError
from agent.service import scrub
from tests.unit.agent.core.shards.rig import CORE, Rig, name_of, payload

PATH = "shards/scrub"


class Files:
    """The two words that the mark needs."""

    def __init__(self):
        self.content = {}

    def read(self, path, bytes_max):
        if len(self.content.get(path, bytes(bytes_max + 1))) > bytes_max:
            raise PortError("not_found", path)
        return self.content[path]

    def write_atomic(self, path, data):
        self.content[path] = data


class Slabs:
    """What the scrub asks of the driver, on a rig."""

    def __init__(self, rig):
        self.rig = rig

    def file(self, slab):
        return self.rig.slabs[slab.name]

    def failing(self, slab):
        raise PortError(self.code, "the test said so")

    async def wait(self, ticket):
        self.rig.pump()
        return ticket.result


class Service:
    """`busy`: so often it is not quiet."""

    def __init__(self, busy=0):
        self.busy = busy
        self.told = 0

    def is_quiet(self):
        self.busy -= 1
        return self.busy < 0

    def take_reports(self):
        self.told += 1


def with_files(body):
    """On a disk in memory, and with pauses of no length."""
    sleep = asyncio.sleep
    scrub.asyncio.sleep = lambda seconds: sleep(0)
    try:
        asyncio.run(body(Files()))
    finally:
        scrub.asyncio.sleep = sleep


def test_rot_is_found_and_the_mark_is_kept():
    async def main(files):
        rig = Rig()
        for number in range(5):
            rig.put(payload(number))
        (slab,) = rig.slabs.values()
        slab.slot(3)[150] ^= 1
        shard = bytes(slab.slot(3)[40:72])
        slab.slot(1)[20] ^= 1
        header = bytes(slab.slot(1)[40:72])
        service = Service(busy=3)
        task = asyncio.create_task(scrub.run(rig.store, Slabs(rig), scrub.Mark(files, PATH), service))
        for _ in range(30):
            await asyncio.sleep(0)
        found = sorted([(each.reason, each.shard) for each in rig.store.reports])
        assert found == [("header", header[:5]), ("sha256", shard)] and service.told >= 5
        assert rig.store.is_quarantined(CORE, shard) and not rig.store.is_quarantined(CORE, name_of(payload(9)))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        assert scrub.Mark(files, PATH).read()[:2] == (1024, 0)

    with_files(main)


def test_a_device_that_is_never_quiet_is_scrubbed_all_the_same():
    async def main(files):
        rig = Rig()
        rig.put(payload(1))
        rig.log.clear()
        task = asyncio.create_task(scrub.run(rig.store, Slabs(rig), scrub.Mark(files, PATH), Service(busy=1000)))
        for _ in range(scrub.YIELD_S - 5):
            await asyncio.sleep(0)
        assert rig.log == []
        for _ in range(10):
            await asyncio.sleep(0)
        assert "hash" in rig.log and files.content == {}, "flash wears"
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        assert scrub.Mark(files, PATH).read() == (1024, 0, 0), "an orderly end writes it down"

    with_files(main)


def test_marks_that_are_none():
    async def main(files):
        assert scrub.Mark(files, PATH).read() == (0, 0, 0)
        for bad in (b"", b"1 2", b"1 2 x", b"1 2 3 4", b"-1 2 3", b"9" * 50):
            files.content[PATH] = bad
            assert scrub.Mark(files, PATH).read() == (0, 0, 0)
        scrub.Mark(files, PATH).write((65536, 3, 255))
        assert scrub.Mark(files, PATH).read() == (65536, 3, 255)

    with_files(main)


def test_the_mark_is_paid_for_and_not_written_when_the_day_is_used_up():
    for used, is_written in ((0, True), (1 << 20, False)):

        async def main(files, used=used, is_written=is_written):
            rig = Rig()
            rig.put(payload(1))
            rig.store.flash = Flash(1 << 20)
            rig.store.flash.spend(used)
            left = rig.store.flash.left(TIDY, rig.store.now)
            task = asyncio.create_task(scrub.run(rig.store, Slabs(rig), scrub.Mark(files, PATH), Service()))
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            assert (PATH in files.content) == is_written
            assert rig.store.flash.left(TIDY, rig.store.now) == (left - scrub.SAVE_BYTES if is_written else left)

        with_files(main)


def test_no_descriptor_left_is_no_rot():
    async def main(files):
        rig = Rig()
        rig.put(payload(1))
        slabs = Slabs(rig)
        slabs.code, slabs.file = "stopped", slabs.failing
        await scrub.verify(rig.store, slabs, 0)
        assert not rig.store.reports
        slabs.code = "io"
        await scrub.verify(rig.store, slabs, 0)
        assert [each.reason for each in rig.store.reports] == ["header"]

    with_files(main)
