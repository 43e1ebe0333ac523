"""Files survive what the profile promises, come back byte-equal or not at all, and nothing half-stored is listed."""

import asyncio
import hashlib
import os
import random
import time
from contextlib import asynccontextmanager

import pytest

from agent import port
from agent.errors import CoreletError, LimitError, PortError, TrustError, UsageError
from tests.tools.fake_device import CORE_ID, FakeDevice
from tools.gateway import download, shards, upload
from tools.gateway.coding import Code, Profile
from tools.gateway.objects import Objects
from tools.gateway.registry import Registry
from tools.gateway.shards import ShardClient
from tools.gateway.stripes import Layout, Place, seal, stripe_bytes, unseal

LAYOUT = Layout(b"o" * 16, b"k" * 32, Profile(2, 3), 65536)


class Net:
    """A core without its link: objects over fake devices."""

    def __init__(self, folder, devices):
        self.devices = devices
        self.registry = Registry(folder)
        self.client = ShardClient(CORE_ID, port.codec(), port.crypto(), lambda: int(time.time()))
        self.objects = Objects(self.registry, self.client, lambda: {each.id: each.target() for each in devices})

    async def put(self, data, name="file", piece=70_000):
        async def source():
            for start in range(0, len(data), piece):
                yield data[start : start + piece]

        return await self.objects.put(source(), name, lambda _: None)

    async def get(self, name="file"):
        return b"".join([piece async for piece in self.objects.get(self.objects.find(name))])

    def held(self):
        return sum(len(device.shards) for device in self.devices)

    async def quiet(self):
        """Run the queue until it is empty."""
        for _ in range(20):
            for device in self.devices:
                self.objects.upkeep.welcome(device.id)
            if not await self.objects.upkeep.round():
                return


@asynccontextmanager
async def network(folder, count, **options):
    devices = [FakeDevice(number + 1, **options) for number in range(count)]
    for device in devices:
        await device.start()
    net = Net(folder, devices)
    try:
        yield net
    finally:
        await net.client.close()
        for device in devices:
            await device.kill()
        net.registry.close()


def run(folder, count, scenario, **options):
    async def main():
        async with network(folder, count, **options) as net:
            await scenario(net)

    asyncio.run(asyncio.wait_for(main(), 60))


def noise(length, seed=1):
    return random.Random(seed).randbytes(length)


# Stripes


@pytest.mark.parametrize("length", [0, 1, 2, 1000, LAYOUT.stripe_bytes])
def test_stripe_round_trip(length):
    code, plain = Code(LAYOUT.profile), noise(length)
    made = seal(LAYOUT, code, 5, plain, True)
    assert all(len(shard.data) <= 65536 - 128 and shard.name == hashlib.sha256(shard.data).digest() for shard in made)
    assert unseal(LAYOUT, code, Place(5, length, True), {1: made[1].data, 2: made[2].data}) == plain


def test_stripe_opens_only_in_its_own_place():
    code = Code(LAYOUT.profile)
    made = {index: shard.data for index, shard in enumerate(seal(LAYOUT, code, 5, b"x" * 100, False))}
    other = LAYOUT._replace(object_id=b"p" * 16)
    wrong = [(LAYOUT, Place(4, 100, False)), (LAYOUT, Place(5, 100, True)), (LAYOUT, Place(5, 99, False))]
    for layout, place in [
        *wrong,
        (other, Place(5, 100, False)),
        (LAYOUT._replace(key=b"l" * 32), Place(5, 100, False)),
    ]:
        with pytest.raises(TrustError):
            unseal(layout, code, place, made)


def test_full_stripe_fills_its_slots_exactly():
    for profile in (Profile(1, 1), Profile(2, 3), Profile(10, 16)):
        layout = LAYOUT._replace(profile=profile)
        made = seal(layout, Code(profile), 0, bytes(layout.stripe_bytes), True)
        assert {len(shard.data) for shard in made} == {65536 - 128}


# Put and get


@pytest.mark.parametrize("count,wanted", [(1, "1/1"), (2, "1/2"), (3, "2/3"), (5, "2/4"), (8, "4/8"), (16, "10/16")])
def test_round_trip_with_the_profile_of_the_fleet(tmp_path, count, wanted):
    async def scenario(net):
        data = noise(700_001)
        stored = await net.put(data)
        assert f"{stored.object.k}/{stored.object.n}" == wanted
        assert bool(stored.warning) == (count == 1) and stored.queued == 0
        assert await net.get() == data
        (line,) = net.objects.listed()
        assert line.survives == stored.object.n - stored.object.k and line.shards == net.held()
        stripes = net.registry.shards(stored.object.id).values()
        assert all(len({place.device for place in stripe}) == stored.object.n for stripe in stripes)

    run(tmp_path, count, scenario)


@pytest.mark.parametrize("size", [0, 1, LAYOUT.stripe_bytes - 1, LAYOUT.stripe_bytes, LAYOUT.stripe_bytes + 1])
def test_sizes_around_a_stripe(tmp_path, size):
    async def scenario(net):
        data = noise(size)
        await net.put(data)
        assert await net.get() == data

    run(tmp_path, 3, scenario, slots=(65536,))


def test_devices_hold_nothing_readable(tmp_path):
    async def scenario(net):
        await net.put(b"a secret sentence. " * 20_000)
        for device in net.devices:
            assert all(b"secret" not in data for data in device.shards.values())

    run(tmp_path, 3, scenario)


def test_slot_class_follows_devices_and_size(tmp_path):
    async def scenario(net):
        sizes = {"small": 100_000, "middle": stripe_bytes(Profile(2, 3), 262144), "large": 2_200_000}
        slots = {name: (await net.put(noise(size), name)).object.slot for name, size in sizes.items()}
        assert slots == {"small": 65536, "middle": 262144, "large": 1048576}
        net.devices[1].slots = (65536,)
        assert (await net.put(noise(2_200_000), "again")).object.slot == 65536

    run(tmp_path, 3, scenario)


def test_any_one_of_three_may_die(tmp_path):
    async def scenario(net):
        data = noise(1_000_000)
        await net.put(data)
        for device in net.devices:
            await device.kill()
            assert net.objects.listed()[0].survives == 0
            assert await net.get() == data
            await device.start()
            net.client.welcome(device.id)
        assert net.objects.listed()[0].survives == 1

    run(tmp_path, 3, scenario)


def test_death_that_the_link_has_not_seen(tmp_path):
    async def scenario(net):
        data = noise(1_000_000)
        await net.put(data)
        await net.devices[0].kill()
        net.devices[0].is_up = True  # as the link still believes
        assert await net.get() == data

    run(tmp_path, 3, scenario)


def test_too_many_dead_is_one_sentence(tmp_path):
    async def scenario(net):
        await net.put(noise(1000))
        await net.devices[0].kill()
        await net.devices[1].kill()
        with pytest.raises(PortError) as caught:
            await net.get()
        assert caught.value.code == "too_few_shards" and "bring back fake-1 or fake-2" in caught.value.text

    run(tmp_path, 3, scenario)


def test_a_liar_is_never_believed_and_its_shards_are_made_again(tmp_path):
    async def scenario(net):
        data = noise(600_000)
        await net.put(data)
        net.devices[0].is_lying = True
        assert await net.get() == data
        assert sum(net.registry.job_counts().values()) > 0
        net.devices[1].is_lying = True
        with pytest.raises(CoreletError):
            await net.get()

    run(tmp_path, 3, scenario)


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


def test_manifest_hash_is_checked_at_the_end(tmp_path):
    async def scenario(net):
        await net.put(b"hello")
        with net.registry._write() as connection:
            import sqlalchemy as sa

            connection.execute(sa.text("UPDATE objects SET sha256 = x'00'"))
        with pytest.raises(TrustError) as caught:
            await net.get()
        assert caught.value.code == "hash"

    run(tmp_path, 3, scenario)


def test_slow_device_is_hedged(tmp_path, monkeypatch):
    async def scenario(net):
        monkeypatch.setattr(download, "HEDGE_S", 0.2)
        data = noise(100_000)
        await net.put(data)
        net.devices[0].delay_s = net.devices[1].delay_s = 0.0
        net.devices[0].delay_s = 10
        started = time.monotonic()
        assert await net.get() == data
        assert time.monotonic() - started < 3

    run(tmp_path, 3, scenario)


# Puts that go wrong


def test_no_device_no_put(tmp_path):
    async def scenario(net):
        with pytest.raises(UsageError) as caught:
            await net.put(b"x")
        assert caught.value.code == "no_devices"

    run(tmp_path, 0, scenario)


def test_full_devices_refuse_before_anything_is_sent(tmp_path):
    async def scenario(net):
        with pytest.raises(LimitError) as caught:
            await net.put(b"x")
        assert caught.value.code == "no_room" and net.held() == 0 and net.objects.listed() == []

    run(tmp_path, 3, scenario, quota=60_000)


def test_quota_reached_midway_undoes_the_put(tmp_path):
    async def scenario(net):
        with pytest.raises(LimitError):
            await net.put(noise(3_000_000))
        assert net.objects.listed() == [] and net.registry.unfinished() == []
        await net.quiet()
        assert net.held() == 0 and not net.registry.job_counts()

    run(tmp_path, 3, scenario, quota=500_000, slots=(65536,))


def test_source_that_breaks_undoes_the_put(tmp_path):
    async def scenario(net):
        async def source():
            yield noise(500_000)
            raise ConnectionError("reader went away")

        with pytest.raises(ConnectionError):
            await net.objects.put(source(), "half", lambda _: None)
        assert net.objects.listed() == []
        await net.quiet()
        assert net.held() == 0

    run(tmp_path, 3, scenario)


def test_forged_receipts_do_not_count(tmp_path):
    async def scenario(net):
        net.devices[0].is_forging = True
        with pytest.raises(LimitError) as caught:
            await net.put(b"x" * 1000)
        assert caught.value.code == "too_few_receipts" and "receipt for something else" in caught.value.text

    run(tmp_path, 3, scenario)


def test_quorum_is_enough_and_the_rest_is_made_later(tmp_path):
    async def scenario(net):
        net.devices[3].is_forging = True
        data = noise(400_000)
        stored = await net.put(data)
        assert stored.queued > 0 and net.objects.listed()[0].survives == 1
        net.devices[3].is_forging = False
        await net.quiet()
        assert net.objects.listed()[0].survives == 2 and await net.get() == data

    run(tmp_path, 4, scenario)


def test_device_killed_during_put_gets_its_shards_when_back(tmp_path):
    async def scenario(net):
        data = noise(3_000_000)

        async def source():
            yield data[:1_000_000]
            await net.devices[2].kill()
            yield data[1_000_000:]

        stored = await net.objects.put(source(), "file", lambda _: None)
        assert stored.queued > 0 and await net.get() == data
        await net.devices[2].start()
        await net.quiet()
        assert net.objects.listed()[0].survives == 2

    run(tmp_path, 4, scenario, slots=(65536,))


def test_refusing_device_is_replaced_by_a_spare(tmp_path):
    async def scenario(net):
        net.devices[0].quota = 10_000_000
        target = net.devices[0].target
        net.devices[0].target = lambda: target()._replace(free_bytes=1 << 40)  # it promises more than it has
        net.devices[0].quota = 0
        data = noise(300_000)
        stored = await net.put(data)
        assert stored.queued == 0 and not net.devices[0].shards and await net.get() == data

    run(tmp_path, 5, scenario)


def test_busy_devices_are_asked_again(tmp_path):
    async def scenario(net):
        net.devices[0].busy_answers = 2
        assert (await net.put(b"x" * 1000)).queued == 0
        assert await net.get() == b"x" * 1000

    run(tmp_path, 3, scenario)


def test_names(tmp_path):
    async def scenario(net):
        await net.put(b"one", "a")
        for name, code in (
            ("a", "name_taken"),
            ("", "name"),
            ("x" * 201, "name"),
            ("a\nb", "name"),
            ("\x1b[2J", "name"),
        ):
            with pytest.raises(UsageError) as caught:
                await net.put(b"two", name)
            assert caught.value.code == code
        one, two = await asyncio.gather(net.put(b"1", "same"), net.put(b"2", "same"), return_exceptions=True)
        assert isinstance(two, UsageError) and one.object.name == "same"
        with pytest.raises(UsageError):
            net.objects.find("nothing")

    run(tmp_path, 3, scenario)


# Removing, forgetting, growing


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


# The client


def test_tokens_are_single_use_and_of_this_boot(tmp_path):
    async def scenario(net):
        await net.put(b"x" * 10)
        tokens = [used for device in net.devices for used in device.used_tokens]
        assert len(set(tokens)) == len(tokens) == 3
        net.devices[0].boot += 1
        stale = net.devices[0].target()._replace(boot=7)
        name = next(iter(net.devices[0].shards))
        with pytest.raises(TrustError):
            await net.client.get(stale, name, 13)
        assert await net.client.has(net.devices[1].target(), next(iter(net.devices[1].shards)), 13)
        assert not await net.client.has(net.devices[1].target(), bytes(32), 13)

    run(tmp_path, 3, scenario)


def test_endless_answer_is_cut_off(tmp_path):
    async def scenario(net):
        await net.put(b"x" * 10)
        device = net.devices[0]
        name, data = next(iter(device.shards.items()))
        device.shards[name] = data * 100_000
        with pytest.raises(PortError):
            await net.client.get(device.target(), name, len(data))

    run(tmp_path, 3, scenario)


def test_dead_device_is_left_alone_for_a_while(tmp_path):
    async def scenario(net):
        await net.devices[0].kill()
        target = net.devices[0].target()
        for _ in range(2):
            with pytest.raises(PortError) as caught:
                await net.client.get(target, bytes(32), 10)
        assert "a moment ago" in caught.value.text and net.client.cost(target.device) > 100
        net.client.welcome(target.device)
        assert not net.client.is_suspended(target.device)

    run(tmp_path, 1, scenario)


def test_other_addresses_are_tried(tmp_path):
    async def scenario(net):
        await net.put(b"x" * 10)
        net.client._peers.clear()
        name, data = next(iter(net.devices[0].shards.items()))
        addresses = ("fe80::1", "nonsense", "127.0.0.9", "127.0.0.1")
        target = net.devices[0].target()._replace(addresses=addresses)
        assert await net.client.get(target, name, len(data)) == data

    run(tmp_path, 1, scenario)


def test_limits_are_where_the_text_says():
    assert upload.WINDOW_BYTES == download.WINDOW_BYTES == 16 << 20
    assert shards.REQUESTS_PER_DEVICE_MAX == 4
    assert os.environ.get("CORELET_FULL") in (None, "1")
