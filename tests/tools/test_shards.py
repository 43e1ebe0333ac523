"""The client believes no device: tokens for one use and one boot, bounded answers, every address tried."""

import pytest

from agent.errors import PortError, TrustError
from tests.tools.fake_network import run


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
