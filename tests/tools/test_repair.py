"""Before the margin is gone, not for every short absence; who comes back late loses nothing and keeps no surplus."""

import itertools
import random

import pytest

from tests.tools.fake_device import FakeDevice
from tests.tools.fake_network import noise, run
from tools.gateway.objects.absences import Absences
from tools.gateway.objects.care import Care
from tools.gateway.objects.repair import JOBS_MAX
from tools.gateway.registry.margins import Presence


def survives(net, index=0):
    return net.objects.listed()[index].survives


async def fresh(net, *numbers):
    for number in numbers:
        net.devices.append(FakeDevice(number))
        await net.devices[-1].start()


def test_absence_is_counted_only_while_the_core_can_see(tmp_path):
    async def scenario(net):
        clock = itertools.count(0, 4)
        absences = Absences(net.registry, lambda: float(next(clock)))
        one = net.devices[0].id
        await net.devices[0].kill()
        for can_see, wanted in ((True, 4), (True, 8), (False, 8), (True, 12)):
            absences.look(net.targets(), can_see)
            assert absences.seconds(one) == wanted
        await net.devices[1].kill()
        absences.look(net.targets(), True)  # nobody is there: it is the network that is away
        assert absences.seconds(one) == 12 and absences.gone(12) == {one}
        for _ in range(20):
            next(clock)
        await net.devices[1].start()
        absences.look(net.targets(), True)  # this machine was asleep
        assert absences.seconds(one) == 17
        assert Absences(net.registry).seconds(one) == 17  # written when somebody came back
        await net.devices[0].start()
        absences.look(net.targets(), True)
        assert absences.seconds(one) == 0 and not Absences(net.registry).gone(0)

    run(tmp_path, 2, scenario)


def test_a_short_absence_moves_nothing_a_long_one_only_at_the_bound(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        await fresh(net, 20, 21)
        before = net.held()
        await net.devices[0].kill()
        net.pass_time(50)
        await net.quiet()
        assert survives(net) == 3 and net.held() == before
        net.pass_time(100)  # gone, but there is margin enough (bound 2 of 4)
        await net.quiet()
        assert survives(net) == 3 and net.held() == before
        await net.devices[1].kill()
        net.pass_time(100)
        await net.quiet()
        assert survives(net) == 4  # at the bound everything is made again

    run(tmp_path, 8, scenario)


def test_the_next_loss_would_take_it_so_minutes_are_enough(tmp_path):
    async def scenario(net):
        await net.put(noise(100_000))
        await fresh(net, 9)
        await net.devices[0].kill()
        await net.quiet()
        assert survives(net) == 0
        net.pass_time(15)
        await net.quiet()
        assert survives(net) == 1

    run(tmp_path, 3, scenario)


def test_who_comes_back_late_gives_up_what_has_moved_and_keeps_the_rest(tmp_path):
    async def scenario(net):
        data = noise(300_000)
        await net.put(data)
        late = net.devices[0]
        held = dict(late.shards)
        await late.kill()
        await fresh(net, 9)
        net.pass_time(15)
        await net.quiet()
        assert survives(net) == 1 and late.shards == held
        await net.put(noise(50_000, 2), "second")
        await late.start()
        net.pass_time(5)
        await net.quiet()
        assert not late.shards and not net.registry.job_counts() and await net.get() == data
        assert net.held() == sum(line.shards for line in net.objects.listed())

    run(tmp_path, 3, scenario)


def test_who_comes_back_before_the_repair_keeps_its_shards(tmp_path):
    async def scenario(net):
        await net.put(noise(300_000))
        late = net.devices[0]
        held = dict(late.shards)
        await late.kill()
        await fresh(net, 9)
        net.pass_time(15)
        assert await net.objects.repair.plan() == len(held)
        await late.start()
        requests = len(net.devices[-1].requests)
        await net.quiet()
        assert late.shards == held and survives(net) == 1
        assert len(net.devices[-1].requests) == requests and not net.registry.job_counts()

    run(tmp_path, 3, scenario)


def test_the_weakest_come_first_and_a_bounded_number_at_a_time(tmp_path):
    async def scenario(net):
        for number in range(3):
            await net.put(noise(65_000 * 40, number), f"file{number}")
        await fresh(net, 9)
        stripes = net.registry.shards(net.objects.find("file1").id)
        net.registry.part_device(net.devices[0].id)
        for stripe in stripes.values():  # of the second object another one, too
            place = next(each for each in stripe if each.device == net.devices[1].id)
            net.registry.doubt_shard(place)
            net.registry.lose_shard(place)
        up = frozenset(device.id for device in net.devices[1:])
        presence = Presence(up, frozenset(), frozenset(), {65536: 4})
        frail = net.registry.frail(presence, 1000)
        assert [each.margin for each in frail] == sorted(each.margin for each in frail)
        assert {each.object for each in frail[: len(stripes)]} == {net.objects.find("file1").id}
        net.objects.repair._targets = lambda: {each: net.targets()[each] for each in sorted(up)}
        await net.objects.repair.plan()
        assert net.registry.waiting_for_any() <= JOBS_MAX + 4

    run(tmp_path, 4, scenario, slots=(65536,))


def test_what_no_device_could_take_is_not_queued(tmp_path):
    async def scenario(net):
        await net.put(noise(100_000))
        await net.devices[0].kill()
        net.pass_time(200)
        assert await net.objects.repair.plan() == 0 and not net.registry.job_counts()

    run(tmp_path, 3, scenario)


@pytest.mark.parametrize("spares", [0, 4])
def test_any_four_of_eight_may_go_for_good(tmp_path, spares):
    """With devices to spare each stripe is whole again; without, it is coded anew for the four that are left."""

    async def scenario(net):
        data = noise(700_000)
        await net.put(data)
        await fresh(net, *range(20, 20 + spares))
        for device in random.Random(spares).sample(net.devices[:8], 4):
            await device.kill()
        assert await net.get() == data and survives(net) == 0
        net.pass_time(200)
        await net.quiet()
        await net.recode()
        await net.quiet()
        assert survives(net) == (4 if spares else 2) and await net.get() == data

    run(tmp_path, 8, scenario)


def test_a_repair_reads_a_stripe_once_for_all_its_lost_shards(tmp_path):
    async def scenario(net):
        await net.put(noise(100_000))
        await fresh(net, *range(20, 24))
        for device in net.devices[:4]:
            await device.kill()
        net.pass_time(200)
        before = sum(len(device.requests) for device in net.devices)
        await net.quiet()
        assert survives(net) == 4
        assert sum(len(device.requests) for device in net.devices) - before == 4 + 4  # k read, four written

    run(tmp_path, 8, scenario)


def test_a_device_that_has_no_room_any_more_does_not_keep_its_shard_waiting(tmp_path):
    async def scenario(net):
        net.devices[3].is_forging = True
        await net.put(noise(100_000))
        assert survives(net) == 1
        net.devices[3].is_forging = False
        net.devices[3].shards.clear()
        net.devices[3].quota = 0
        await fresh(net, 9)
        await net.quiet()
        assert survives(net) == 2 and net.devices[-1].shards

    run(tmp_path, 4, scenario)


def test_a_deletion_never_takes_what_is_stored_again(tmp_path, monkeypatch):
    async def scenario(net):
        await net.put(noise(50_000))
        place = net.registry.shards(net.objects.find("file").id)[0][0]
        net.registry.enqueue_delete([place])
        (job,) = net.registry.jobs(place.device, 1 << 40, 10)
        net.registry.withdraw_delete(place)
        await net.objects.upkeep._delete(job)  # read before it was withdrawn
        assert net.held() == 3
        net.objects.upkeep._deleting.add((place.device, place.name))
        net.registry.doubt_shard(place)
        net.registry.lose_shard(place)
        next(each for each in net.devices if each.id == place.device).shards.clear()
        await net.quiet()
        assert survives(net) == 0 and net.held() == 2  # it waits until that deletion has ended

    run(tmp_path, 3, scenario)


def test_one_that_has_left_is_not_waited_for_until_the_next_look(tmp_path):
    async def scenario(net):
        net.objects.repair._care = Care(scan_s=1000)
        await net.put(noise(100_000))
        await net.objects.repair.plan()
        await fresh(net, 9)
        gone = net.devices.pop(0)
        net.registry.part_device(gone.id)
        await net.quiet()
        assert survives(net) == 0
        net.objects.upkeep.released()
        await net.quiet()
        assert survives(net) == 1
        await gone.kill()

    run(tmp_path, 3, scenario)
