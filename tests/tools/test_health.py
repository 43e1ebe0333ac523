"""`corelet-core objects --health`: the right number, and the right reason."""

import asyncio

from tests.tools.fake_device import FakeDevice
from tests.tools.fake_network import noise, run


async def seen(net):
    (line,) = await net.objects.doctor.look()
    return line.survives, line.of, line.repairing, "; ".join(line.reasons)


def test_all_is_well_and_says_nothing(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        assert await seen(net) == (4, 4, 0, "")
        assert net.objects.doctor.summary["survive"] == 4 and net.objects.doctor.summary["below"] == 0

    run(tmp_path, 8, scenario)


def test_who_is_away_and_since_when(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        await net.devices[2].kill()
        net.pass_time(50)
        survives, of, repairing, reasons = await seen(net)
        assert (survives, of, repairing) == (3, 4, 0) and reasons == "fake-3 is away (since 55 s)"
        for device in net.devices[3:6]:
            await device.kill()
        assert "fake-3, fake-4 and 2 others" not in reasons
        assert "fake-3, fake-4 and 2 others are away" in (await seen(net))[3]
        await net.devices[6].kill()
        survives, _, _, reasons = await seen(net)
        assert survives == -1 and "cannot be read until one of these is back" in reasons
        assert net.objects.doctor.summary["unreadable"] == 1

    run(tmp_path, 8, scenario)


def test_too_few_devices_then_repaired_when_there_are_enough(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        net.registry.remove_device(net.devices.pop().id)
        survives, of, repairing, reasons = await seen(net)
        assert (survives, of) == (0, 1) and repairing > 0 and "all need 3 devices with room" in reasons
        net.devices.append(FakeDevice(9))
        await net.devices[-1].start()
        assert "to be made again" in (await seen(net))[3]
        await net.quiet()
        assert await seen(net) == (1, 1, 0, "")

    run(tmp_path, 3, scenario)


def test_one_device_is_no_safety_and_the_reason_is_told(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        alone = "only one device is up; it is coded anew, to survive a loss, when there is a second one"
        assert await seen(net) == (0, 0, 0, alone)
        net.registry.remove_device(net.devices.pop().id)
        assert "all need 1 device with room" in (await seen(net))[3]

    run(tmp_path, 1, scenario)


def test_coded_for_fewer_devices_than_there_are(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        for number in range(2, 10):
            net.devices.append(FakeDevice(number))
            await net.devices[-1].start()
        assert await seen(net) == (0, 0, 0, "it will be coded anew for the 9 devices that are up")
        recoding = asyncio.create_task(net.recode())
        while not net.objects.recoding.busy_with:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0)
        assert (await net.objects.doctor.look())[-1].reasons == ["it is being coded anew for more safety"]
        await recoding
        for device in net.devices:
            device.quota = device.used_bytes
        net.registry.remove_device(net.devices[0].id)
        assert await net.recode() == 0

    run(tmp_path, 1, scenario)


def test_no_room_to_code_it_anew(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        for number in range(2, 10):
            net.devices.append(FakeDevice(number, quota=1000))
            await net.devices[-1].start()
        assert await seen(net) == (0, 0, 0, "the devices lack room to code it anew for all 9 of them")

    run(tmp_path, 1, scenario)
