"""What is missing is made again, what is removed is deleted, also on devices that were away."""

import asyncio

import pytest

from agent.errors import PortError
from tests.tools.fake_device import FakeDevice
from tests.tools.fake_network import noise, run


def test_lost_shards_return(tmp_path):
    async def scenario(net):
        data = noise(600_000)
        await net.put(data)
        net.devices[2].shards.clear()
        await net.devices[0].kill()
        with pytest.raises(PortError):
            await net.get()
        await net.devices[0].start()
        await net.quiet()
        assert await net.get() == data
        for device in net.devices[:2]:
            await device.kill()
            await device.start()
        await net.quiet()
        assert net.objects.listed()[0].survives == 1
        assert len(net.devices[2].shards) == len(net.devices[0].shards)

    run(tmp_path, 3, scenario)


def test_remove_frees_devices_also_those_that_were_away(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        await net.devices[1].kill()
        worker = asyncio.create_task(net.objects.upkeep.run())
        _, shards_count, waiting = await net.objects.remove("file", 3.0)
        assert net.objects.listed() == [] and 0 < waiting < shards_count
        await net.devices[1].start()
        net.objects.upkeep.welcome(net.devices[1].id)
        for _ in range(100):
            if not net.held():
                break
            await asyncio.sleep(0.05)
        assert net.held() == 0
        worker.cancel()

    run(tmp_path, 3, scenario)


def test_interrupted_put_is_undone_at_the_next_start(tmp_path):
    async def scenario(net):
        data = noise(400_000)

        async def source():
            yield data
            await asyncio.sleep(30)

        task = asyncio.create_task(net.objects.put(source(), "file", lambda _: None))
        while not net.held():  # noqa: ASYNC110 (the fake has no event for it)
            await asyncio.sleep(0.01)
        net.registry.drop_object, kept = lambda _: 0, net.registry.drop_object  # the core is killed: no clean-up runs
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        net.registry.drop_object = kept
        assert net.held() and net.objects.undo_unfinished() > 0
        await net.quiet()
        assert net.held() == 0

    run(tmp_path, 3, scenario, slots=(65536,))


def test_forgotten_device_is_replaced_by_a_new_one(tmp_path):
    async def scenario(net):
        data = noise(300_000)
        await net.put(data)
        gone = net.devices.pop(0)
        net.registry.remove_device(gone.id)
        assert net.objects.listed()[0].survives == 0
        fresh = FakeDevice(9)
        await fresh.start()
        net.devices.append(fresh)
        await net.quiet()
        assert net.objects.listed()[0].survives == 1 and fresh.shards
        await net.devices[0].kill()
        assert await net.get() == data
        await gone.kill()

    run(tmp_path, 3, scenario)


def test_recoding_after_the_fleet_has_grown(tmp_path):
    async def scenario(net):
        data = noise(300_000)
        await net.put(data)
        for number in (8, 9):
            net.devices.append(FakeDevice(number))
            await net.devices[-1].start()
        assert await net.objects.recode_better(4) == 1
        assert await net.objects.recode_better(4) == 0
        await net.quiet()
        (line,) = net.objects.listed()
        assert (line.object.k, line.object.n, line.survives) == (2, 4, 2)
        assert await net.get() == data and net.held() == line.shards

    run(tmp_path, 2, scenario)
