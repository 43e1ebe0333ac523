"""A device that leaves: what moves, what is coded anew, when it is let go, and when it is told what would be lost."""

from agent.errors import LimitError
from tests.tools.fake_device import FakeDevice
from tests.tools.fake_network import noise, run
from tools.gateway.objects import handover as module
from tools.gateway.objects.handover import Handover


class Leaving:
    """The last device leaves; `said`: what it hears."""

    def __init__(self, net, number=-1):
        self.net, self.said = net, []
        self.leaver = net.devices[number]
        self.leaver.is_leaving = True
        work = (net.objects.repair, net.objects.recoding)
        self.handover = Handover(net.registry, net.targets, work, self.command)

    async def command(self, device, op, body, timeout_s):
        assert device == self.leaver.id
        self.said.append((op, body))
        return {}

    async def look(self):
        """What it hears now."""
        self.said.clear()
        await self.handover.look()
        (found,) = self.said
        return found

    async def go(self):
        """It has left."""
        self.net.registry.part_device(self.leaver.id)
        self.net.devices.remove(self.leaver)
        await self.leaver.kill()


async def join(net, *numbers):
    for number in numbers:
        net.devices.append(FakeDevice(number))
        await net.devices[-1].start()


def test_the_only_device_stays_and_hears_what_would_be_lost_until_another_is_there(tmp_path):
    async def scenario(net):
        data = noise(300_000)
        await net.put(data)
        await net.put(noise(1000, 2), "other")
        leaving = Leaving(net)
        op, word = await leaving.look()
        ids = [line.object.id[:8] for line in net.objects.listed()]
        assert op == "leaving" and word["end"] == 1 and word["lost"] == 2 and word["ids"].split() == ids
        names = ", ".join(line.object.name for line in net.objects.listed())
        assert f"keeps of {names}: pair another device" in leaving.handover.warnings()[0]
        await leaving.handover.look()
        assert len(leaving.said) == 1, "once is enough"
        leaving.leaver.is_leaving = False
        await leaving.handover.look()
        assert leaving.handover.warnings() == []

        await join(net, 9)
        leaving.leaver.is_leaving = True
        shards = net.registry.shard_counts()[leaving.leaver.id]
        assert await leaving.look() == ("leaving", {"left": shards, "lost": 2, "ids": " ".join(ids), "end": 0})
        await net.quiet()
        assert await leaving.look() == ("leave", {})
        assert net.held() == shards and not leaving.leaver.shards, "what has moved is deleted where it was"
        await leaving.go()
        assert await net.get() == data

    run(tmp_path, 1, scenario)


def test_devices_that_are_away_have_time_to_come_before_it_hears_of_losses(tmp_path, monkeypatch):
    """As after a restart of the core: the one that leaves is there first."""

    async def scenario(net):
        await net.put(noise(300_000))
        leaving = Leaving(net)
        await join(net, 9)
        net.devices[-1].is_up = False
        assert (await leaving.look())[1]["end"] == 0
        monkeypatch.setattr(module, "ARRIVAL_S", -1)
        assert (await leaving.look())[1]["end"] == 1

    run(tmp_path, 1, scenario)


def test_moving_never_makes_an_object_unreadable_or_weaker(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        leaving = Leaving(net)
        await join(net, 9)
        before = net.objects.listed()[0]
        assert await net.objects.repair.plan() > 0
        assert net.objects.listed()[0] == before
        await net.quiet()
        assert net.objects.listed()[0] == before and not leaving.leaver.shards

    run(tmp_path, 3, scenario)


def test_what_no_device_can_take_is_coded_anew_before_it_goes(tmp_path):
    async def scenario(net):
        data = noise(300_000)
        await net.put(data)
        leaving = Leaving(net)
        assert (await leaving.look())[1]["end"] == 0
        assert await net.recode() == 1
        await net.quiet()
        assert await leaving.look() == ("leave", {})
        await leaving.go()
        (line,) = net.objects.listed()
        assert (line.object.k, line.object.n, line.survives) == (1, 2, 1) and await net.get() == data

    run(tmp_path, 3, scenario)


def test_a_settled_fleet_is_not_waited_for_when_somebody_leaves(tmp_path):
    async def scenario(net):
        object.__setattr__(net.care, "settled_s", 1000)
        assert not net.objects.recoding.is_settled()
        Leaving(net)
        assert net.objects.recoding.is_settled()
        net.devices[-1].is_up = False
        assert not net.objects.recoding.is_settled()

    run(tmp_path, 3, scenario)


def test_who_leaves_gets_nothing_new_and_is_not_coded_for(tmp_path):
    async def scenario(net):
        leaving = Leaving(net)
        stored = await net.put(noise(100_000))
        assert (stored.object.k, stored.object.n) == (1, 2) and not leaving.leaver.shards
        assert await leaving.look() == ("leave", {})

    run(tmp_path, 3, scenario)


def test_no_progress_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    async def scenario(net):
        data = noise(100_000)
        await net.put(data)
        leaving = Leaving(net)
        await join(net, 9)
        net.devices[-1].is_forging = True
        assert (await leaving.look())[1]["end"] == 0
        await net.objects.upkeep.round()
        assert (await leaving.look())[1]["end"] == 0
        monkeypatch.setattr(module, "PATIENCE_S", -1)
        assert (await leaving.look())[1]["end"] == 1
        assert await net.get() == data

    run(tmp_path, 1, scenario)


def test_a_verdict_that_was_not_heard_is_said_again(tmp_path):
    async def scenario(net):
        await net.put(noise(1000))
        leaving = Leaving(net)
        heard = leaving.command

        async def deaf(*_):
            raise LimitError("offline", "not there")

        leaving.handover._command = deaf
        await leaving.handover.look()
        leaving.handover._command = heard
        assert (await leaving.look())[1]["end"] == 1

    run(tmp_path, 1, scenario)


def test_two_that_leave_together_are_no_place_for_each_other(tmp_path):
    async def scenario(net):
        await net.put(noise(1000))
        net.devices[0].is_leaving = True
        leaving = Leaving(net)
        assert (await leaving.look())[1]["lost"] == 1

    async def commands(self, device, op, body, timeout_s):
        if device == self.leaver.id:
            self.said.append((op, body))
        return {}

    Leaving.command, kept = commands, Leaving.command
    try:
        run(tmp_path, 2, scenario)
    finally:
        Leaving.command = kept
