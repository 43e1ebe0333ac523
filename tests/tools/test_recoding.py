"""A fleet that grows codes what it has anew, without being asked; killed at any moment nothing is lost."""

import asyncio
import os
import random

import pytest

from agent.errors import CoreletError, UsageError
from tests.tools.fake_device import FakeDevice
from tests.tools.fake_network import Net, noise, run
from tools.gateway.objects.care import Brake, Care
from tools.gateway.registry.registry import Registry


class Killed(BaseException):
    """What SIGKILL looks like from inside: nothing of ours runs after it."""


async def grow(net, *numbers):
    for number in numbers:
        net.devices.append(FakeDevice(number))
        await net.devices[-1].start()


def coding(net):
    return {line.object.name: f"{line.object.k}/{line.object.n}" for line in net.objects.listed()}


def test_from_one_device_to_nine(tmp_path):
    async def scenario(net):
        data = {name: noise(size, size) for name, size in (("a", 1), ("b", 300_000), ("c", 0))}
        for name, content in data.items():
            await net.put(content, name)
        created = {line.object.name: line.object.created for line in net.objects.listed()}
        keys = {line.object.key for line in net.objects.listed()}
        for count, wanted in ((1, "1/2"), (1, ""), (1, "2/4"), (1, ""), (4, "4/8")):
            await grow(net, *range(len(net.devices) + 1, len(net.devices) + 1 + count))
            assert await net.recode() == (3 if wanted else 0)
            assert not wanted or set(coding(net).values()) == {wanted}
            now = {line.object.key for line in net.objects.listed()}
            assert not wanted or not now & keys, "a key has been used twice"
            keys |= now
        await net.quiet()
        assert all([await net.get(name) == content for name, content in data.items()])
        assert {line.object.name: line.object.created for line in net.objects.listed()} == created
        assert net.held() == sum(line.shards for line in net.objects.listed())
        assert all(line.survives == 4 for line in net.objects.listed())

    run(tmp_path, 1, scenario)


def test_put_while_some_were_away_is_coded_anew_when_they_are_back(tmp_path):
    async def scenario(net):
        for device in net.devices[3:]:
            await device.kill()
        await net.put(noise(100_000))
        assert coding(net) == {"file": "2/3"}
        for device in net.devices[3:]:
            await device.start()
            net.client.welcome(device.id)
        assert await net.recode() == 1 and coding(net) == {"file": "4/8"}

    run(tmp_path, 8, scenario)


def test_old_shards_stay_until_every_new_one_has_a_receipt(tmp_path):
    async def scenario(net):
        data = noise(300_000)
        stored = await net.put(data)
        await grow(net, 8, 9)
        net.devices[-1].is_forging = True
        object.__setattr__(net.objects._care, "patience_s", 0.3)
        assert await net.recode() == 0  # three of four is enough for a put, not for this
        assert coding(net) == {"file": "1/2"} and net.objects.find("file").id == stored.object.id
        await net.quiet()
        await net.much_later()  # nothing of the attempt is left
        assert sum(len(device.shards) for device in net.devices[2:]) == 0 and await net.get() == data
        net.devices[-1].is_forging = False
        assert await net.recode() == 0  # it waits a while after a failure
        net.objects.recoding._failed.clear()
        assert await net.recode() == 1 and await net.get() == data

    run(tmp_path, 2, scenario)


def test_an_object_that_is_removed_meanwhile_does_not_come_back(tmp_path):
    async def scenario(net):
        await net.put(noise(50_000))
        await grow(net, 8, 9)
        finish = net.registry.finish_object

        def removed(*arguments):
            net.registry.drop_object(net.objects.find("file").id)
            finish(*arguments)

        net.registry.finish_object = removed
        assert await net.recode() == 0
        await net.quiet()
        assert net.objects.listed() == [] and net.held() == 0

    run(tmp_path, 2, scenario)


def test_who_reads_the_old_one_reads_it_to_its_end(tmp_path):
    async def scenario(net):
        data = noise(5_000_000)
        await net.put(data)
        pieces = net.objects.get(net.objects.find("file"))
        found = await anext(pieces)
        await grow(net, 8, 9)
        recoding = asyncio.create_task(net.recode())
        await asyncio.sleep(1.5)
        assert not recoding.done() and coding(net) == {"file": "1/2"}
        async for piece in pieces:
            found += piece
        assert found == data and await recoding == 1 and coding(net) == {"file": "2/4"}

    run(tmp_path, 2, scenario, slots=(65536,))


def test_no_room_for_a_second_copy_is_not_tried(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        await grow(net, 8, 9, 10)
        for device in net.devices:
            device.quota = device.used_bytes + 100_000
        assert await net.recode() == 0 and not net.objects.recoding._failed
        for device in net.devices[1:]:
            device.quota = 1 << 30
        assert await net.recode() == 1 and coding(net) == {"file": "2/4"}  # for those that have it

    run(tmp_path, 2, scenario)


def test_only_a_fleet_that_has_settled(tmp_path):
    async def scenario(net):
        recoding = net.objects.recoding
        recoding._care = Care(settled_s=0.2)
        assert not recoding.is_settled()
        await asyncio.sleep(0.25)
        assert recoding.is_settled()
        await grow(net, 8)
        assert not recoding.is_settled()

    run(tmp_path, 2, scenario)


def test_the_brake_holds_its_rate():
    async def main():
        brake = Brake(1_000_000)
        started = asyncio.get_running_loop().time()
        for _ in range(15):
            await brake.pass_by(100_000)
        assert asyncio.get_running_loop().time() - started >= 0.3

    asyncio.run(main())


POINTS = 48  # an attempt has somewhat fewer
END = 38  # where one takes the place of the other: always all of these
IS_FULL = os.environ.get("CORELET_FULL") == "1"
CUTS = [*sorted(random.Random(7).sample(range(1, END), END - 1 if IS_FULL else 4)), *range(END, POINTS)]


async def cut_short(net, folder, cut):
    """Code anew in a core of its own that ends at its `cut`-th write or request. Whether it got through."""
    left = cut

    def point(work):
        def counted(*arguments, **named):
            nonlocal left
            left -= 1
            if left <= 0:
                raise Killed
            return work(*arguments, **named)

        return counted

    registry = Registry(folder)
    core = Net(folder, net.devices, registry)
    registry._write, registry.drop_object = point(registry._write), point(registry.drop_object)
    core.client._send = point(core.client._send)
    try:
        await core.recode()
    except Killed:
        return False
    finally:
        await core.client.close()
        registry.close()
    return True


async def begin_again(net, data):
    """As it was before it was coded anew."""
    await net.objects.remove("file", 0)
    await net.quiet()
    kept, net.devices[2:] = net.devices[2:], []
    await net.put(data)
    net.devices += kept


def test_killed_at_any_point_nothing_is_lost(tmp_path):
    """Every write to the registry and every request to a device is a point where the core may end."""
    data = noise(600_000)
    reached = []

    async def scenario(net):
        await net.put(data)
        await grow(net, 8, 9)
        for cut in [*CUTS, 1 << 30]:
            is_through = await cut_short(net, tmp_path, cut)
            fresh = Net(tmp_path, net.devices, Registry(tmp_path))  # the next start
            fresh.objects.undo_unfinished()
            assert await fresh.get() == data, cut
            await fresh.quiet()
            (line,) = fresh.objects.listed()
            assert line.survives >= 1 and (fresh.held() == line.shards or fresh.registry.job_counts()), cut
            assert coding(fresh) == {"file": "2/4"} or not is_through
            reached.append(not is_through)
            if coding(fresh) == {"file": "2/4"}:
                await begin_again(fresh, data)
            await fresh.client.close()
            fresh.registry.close()

    run(tmp_path, 2, scenario, slots=(65536,))
    assert sum(reached) > len(CUTS) // 2 and not reached[-1]


@pytest.mark.parametrize("kind", ["hash", "gone"])
def test_a_damaged_object_stays_as_it_is(tmp_path, kind):
    async def scenario(net):
        stored = await net.put(noise(50_000))
        await grow(net, 8, 9)
        if kind == "hash":
            import sqlalchemy as sa

            with net.registry._write() as connection:
                connection.execute(sa.text("UPDATE objects SET sha256 = x'00'"))
        else:
            with pytest.raises(UsageError):
                net.registry.finish_object(stored.object.id, 1, b"", "no such id")
        assert await net.recode() == (kind == "gone")
        if kind == "hash":
            assert net.objects.find("file").id == stored.object.id
            with pytest.raises(CoreletError):
                await net.get()

    run(tmp_path, 2, scenario)
