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
        assert not net.devices[2].shards and net.objects.listed()[0].survives == 0  # its word alone is not enough yet
        await net.much_later()
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
        assert await net.recode() == 1
        assert await net.recode() == 0
        await net.quiet()
        (line,) = net.objects.listed()
        assert (line.object.k, line.object.n, line.survives) == (2, 4, 2)
        assert await net.get() == data and net.held() == line.shards

    run(tmp_path, 2, scenario)


NOT_FOUND = (404, b"Server: nginx\r\n")


@pytest.mark.parametrize("stranger", [NOT_FOUND, (410, b""), (200, b""), (401, b"")])
def test_strangers_at_the_addresses_lose_nothing(tmp_path, stranger):
    """Devices away, somebody else at their addresses: everything is there when they are back."""

    async def scenario(net):
        data = noise(600_000)
        await net.put(data)
        for device in net.devices:
            device.stranger = stranger
        for _ in range(2):
            with pytest.raises(PortError):
                await net.get()
            await net.quiet()  # welcomes them again and again: that must not make denials count faster
        assert net.objects.listed()[0].survives >= 0
        for device in net.devices:
            device.stranger = (0, b"")
            net.client.welcome(device.id)
        assert await net.get() == data
        await net.much_later()
        assert await net.get() == data
        (line,) = net.objects.listed()
        assert line.survives == 1 and line.shards == net.held() and not net.registry.job_counts()

    run(tmp_path, 3, scenario)


@pytest.mark.parametrize("count", [1, 3])
def test_strangers_for_days_lose_nothing(tmp_path, count):
    async def scenario(net):
        data = noise(300_000)
        await net.put(data)
        for device in net.devices:
            device.stranger = NOT_FOUND
        with pytest.raises(PortError):
            await net.get()
        for _ in range(5):
            await net.much_later()
        rows = [each for stripe in net.registry.shards(net.objects.find("file").id).values() for each in stripe]
        assert any(each.state == "missing" for each in rows) and all(each.device for each in rows)
        for device in net.devices:
            device.stranger = (0, b"")
            net.client.welcome(device.id)
        assert await net.get() == data  # the rows still name their places, and reads ask there
        await net.much_later()
        (line,) = net.objects.listed()
        assert line.shards == net.held() and line.survives == (1 if count == 3 else 0)

    run(tmp_path, count, scenario)


def test_denials_count_only_minutes_apart(tmp_path):
    async def scenario(net):
        await net.put(noise(100_000))
        lost = net.devices[0]
        gone = dict(lost.shards)
        lost.shards.clear()
        net.prefer(lost.id)  # so that it is asked
        await net.get()
        states = []
        for ahead_s in (0, 1, 299, 310, 311, 620):
            net.ahead_s = ahead_s
            net.objects.upkeep.welcome(lost.id)
            await net.objects.upkeep.round()
            place = next(each for each in net.registry.shards(net.objects.find("file").id)[0] if each.device == lost.id)
            states.append(place.state)
        assert states[:-1] == ["suspect"] * 5 and states[-1] == "missing"
        await net.quiet()
        assert lost.shards == gone and net.objects.listed()[0].survives == 1

    run(tmp_path, 3, scenario)


def test_lost_shard_moves_to_a_fresh_device_and_its_old_place_is_cleared(tmp_path):
    async def scenario(net):
        data = noise(100_000)
        await net.put(data)
        liar, fresh = net.devices[0], FakeDevice(9)
        await fresh.start()
        net.devices.append(fresh)
        liar.is_lying = True
        net.prefer(liar.id)
        assert await net.get() == data
        await net.much_later()
        assert fresh.shards and not liar.shards and net.objects.listed()[0].survives == 1
        assert not net.registry.job_counts()

    run(tmp_path, 3, scenario)


def test_stranger_cannot_make_a_deletion_forgotten(tmp_path):
    async def scenario(net):
        await net.put(noise(100_000))
        net.devices[0].stranger = NOT_FOUND
        await net.objects.remove("file", 0.0)
        await net.quiet()
        net.devices[0].stranger = (0, b"")
        assert net.held() == 1
        await net.much_later()
        assert net.held() == 0 and not net.registry.job_counts()

    run(tmp_path, 3, scenario)


def test_one_bad_job_does_not_stop_the_others(tmp_path, monkeypatch):
    async def scenario(net):
        await net.put(noise(100_000))
        bad, delete = net.devices[0].id, net.client.delete

        async def broken(target, name, size):
            if target.device == bad:
                raise RuntimeError("a defect of ours that this device found")
            await delete(target, name, size)

        monkeypatch.setattr(net.client, "delete", broken)
        net.registry.drop_object(net.objects.find("file").id)
        assert await net.objects.upkeep.round()
        assert net.held() == 1 and net.registry.job_counts() == {(bad, "delete"): 1}
        monkeypatch.undo()
        await net.quiet()
        assert net.held() == 0

    run(tmp_path, 3, scenario)


def test_recoding_goes_on_after_an_object_that_cannot_be_read(tmp_path):
    async def scenario(net):
        await net.put(noise(10_000), "gone")
        first = list(net.devices[0].shards)
        await net.put(noise(10_000, 2), "fine")
        for device in net.devices:
            for name in first:
                device.shards.pop(name, None)
        for number in (8, 9):
            net.devices.append(FakeDevice(number))
            await net.devices[-1].start()
        assert await net.recode() == 1
        assert {line.object.name: line.object.n for line in net.objects.listed()} == {"gone": 2, "fine": 4}

    run(tmp_path, 2, scenario)
