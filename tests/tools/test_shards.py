"""The client believes no device: tokens for one use and one boot, bounded answers, every address tried."""

import pytest

from agent.errors import CoreletError, PortError, TrustError
from tests.tools.fake_network import noise, run
from tools.gateway.objects import shards


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


HOSTILE = [
    (503, b"Retry-After: " + b"9" * 5000 + b"\r\n"),
    (503, "Retry-After: \u0663\r\n".encode()),
    (200, b"Content-Encoding: gzip\r\n"),
    (301, b"Location: http://[::1%]@x:99999999/\r\n"),
    (99, b""),
    (200, b"Content-Length: 99999999999999999999\r\n"),
    (200, b"\0: \xff\r\n"),
]


@pytest.mark.parametrize("stranger", HOSTILE)
def test_hostile_answers_are_one_devices_failure(tmp_path, stranger, monkeypatch):
    monkeypatch.setattr(shards, "BUSY_WAIT_S_MAX", 0.01)

    async def scenario(net):
        net.devices[0].stranger = stranger
        target = net.devices[0].target()
        for work in (
            lambda: net.client.put(target, bytes(32), b"x"),
            lambda: net.client.get(target, bytes(32), 1),
            lambda: net.client.has(target, bytes(32), 1),
            lambda: net.client.delete(target, bytes(32), 1),
        ):
            net.client.welcome(target.device)
            if stranger[0] == 200 and work.__code__.co_names[1] == "has":
                continue  # a plain yes is what it asks for
            with pytest.raises(CoreletError):
                await work()
        data = noise(10_000)
        await net.put(data)
        assert await net.get() == data

    run(tmp_path, 4, scenario)


@pytest.mark.parametrize("over", [{"port": 1 << 70}, {"port": -1}, {"boot": 1 << 200}, {"addresses": (5, None, "::%")}])
def test_hostile_births_are_one_devices_failure(tmp_path, over):
    async def scenario(net):
        with pytest.raises(CoreletError):
            await net.client.get(net.devices[0].target()._replace(**over), bytes(32), 1)

    run(tmp_path, 1, scenario)
