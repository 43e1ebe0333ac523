"""Files survive what the profile promises and come back byte-equal or not at all."""

import time

import pytest

from agent.errors import CoreletError, PortError, TrustError
from tests.tools.fake_network import noise, run
from tools.gateway.objects.coding import Profile
from tools.gateway.objects.stripes import stripe_bytes

STRIPE_BYTES = stripe_bytes(Profile(2, 3), 65536)


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


@pytest.mark.parametrize("size", [0, 1, STRIPE_BYTES - 1, STRIPE_BYTES, STRIPE_BYTES + 1])
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
        net.prefer(net.devices[0].id)  # so that it is asked
        assert await net.get() == data
        assert sum(net.registry.job_counts().values()) > 0
        net.devices[1].is_lying = True
        with pytest.raises(CoreletError):
            await net.get()

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


def test_slow_device_is_hedged(tmp_path):
    async def scenario(net):
        data = noise(100_000)
        await net.put(data)
        net.devices[0].delay_s = net.devices[1].delay_s = 0.0
        net.devices[0].delay_s = 10
        started = time.monotonic()
        assert await net.get() == data
        assert time.monotonic() - started < 3

    run(tmp_path, 3, scenario)
