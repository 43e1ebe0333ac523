"""A put that cannot keep its promise is undone; nothing half-stored is listed."""

import asyncio

import pytest

from agent import port
from agent.errors import LimitError, UsageError
from agent.wire import token
from tests.tools.fake_network import noise, run


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
        assert net.held() == 0
        await net.much_later()  # what was never stored is denied first, and that is not believed at once
        assert not net.registry.job_counts()

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


def signed(device, claims, **other):
    """A receipt for what was asked, but for `other`."""
    fields = {
        "device": device.id, "boot": device.boot, "token_id": claims.token_id, "operation": "put",
        "shard": claims.shard, "size": claims.size, "result": "stored",
    }  # fmt: skip
    secret = other.pop("secret", device.link_secret)
    return token.encode_receipt(port.codec(), port.crypto(), secret, token.Receipt(**(fields | other)))


DENIALS = {
    "nothing": lambda device, claims: b"",
    "thanks": lambda device, claims: b"stored, thank you",
    "cut": lambda device, claims: signed(device, claims)[:-1],
    "another key": lambda device, claims: signed(device, claims, secret=bytes(32)),
    "another device": lambda device, claims: signed(device, claims, device="f" * 16),
    "another request": lambda device, claims: signed(device, claims, token_id=bytes(8)),
    "another shard": lambda device, claims: signed(device, claims, shard=bytes(32)),
    "fewer bytes": lambda device, claims: signed(device, claims, size=claims.size - 1),
    "an offer": lambda device, claims: signed(device, claims, operation="offer", result="cached"),
    "declined": lambda device, claims: signed(device, claims, result="declined"),
}


@pytest.mark.parametrize("denied", DENIALS)
def test_who_keeps_a_shard_and_denies_the_receipt_is_not_counted(tmp_path, denied):
    """Bytes that nobody has promised to keep are no copy: the file is safe without them, or the put fails."""

    async def scenario(net):
        denier = net.devices[0]
        honest, denier._receipt = denier._receipt, lambda claims, _: DENIALS[denied](denier, claims)
        stored = await net.put(b"x" * 1000)
        assert stored.queued == 1 and len(denier.shards) == 1, "it has the bytes"
        assert denier.id not in net.registry.shard_counts() and net.objects.listed()[0].shards == 3
        assert net.objects.listed()[0].survives == 1
        denier._receipt = honest
        await net.quiet()
        assert net.registry.shard_counts()[denier.id] == 1 and net.objects.listed()[0].survives == 2

    run(tmp_path, 4, scenario)


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
