"""A thousand devices, some with bad hardware: a bad release stops by itself within its cohort and bricks nobody, a good
one reaches all. One seed each; more of them with CORELET_FULL=1."""

import os

import pytest

from tests.tools.rollout_world import NEW, OLD, Faults, World
from tools.gateway.updates.places import FAILED, STOPPED, UPDATED, WAITING
from tools.gateway.updates.rollout import ABORTED, DONE

SEEDS = range(40) if os.environ.get("CORELET_FULL") else range(1)
QUICK = {"soak": "10m", "deadline": "30m"}


def settled(world):
    """Each has a reason, and none that is not broken is without a release that works."""
    for device in world.devices.values():
        place = world.rollout.places[device.id]
        assert place.reason and place.state in (UPDATED, FAILED, STOPPED, WAITING), place
        if not device.is_dead and not device.plans:
            assert device.is_up and device.state == "idle" or device.hardware in ("slow", "never_confirms"), device
            assert device.runs == (NEW if place.state == UPDATED else OLD) or device.hardware, (device, place)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bad_release_stops_within_its_cohort(seed):
    world = World(seed, Faults(broken=0.05, away=0.05), True, **QUICK)
    world.finish()
    assert world.rollout.standing.state == ABORTED and "failed" in world.rollout.standing.why
    assert world.rollout.standing.wave == 0 and world.most_open <= 10
    assert sum(NEW in device.ran for device in world.devices.values()) <= 10
    settled(world)
    assert not any(device.runs == NEW for device in world.devices.values() if not device.is_dead)
    reasons = {place.reason for place in world.rollout.places.values()}
    assert "aborted" in reasons and reasons & {"rolled_back", "silent"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_release_reaches_all(seed):
    world = World(seed, Faults(away=0.05, flaky=0.02), **QUICK)
    world.finish()
    world.run(lambda: world.rollout.counts()[WAITING] == 0 and world.rollout.is_over)  # latecomers, too
    assert world.rollout.standing.state == DONE
    assert all(device.runs == NEW for device in world.devices.values())
    assert world.rollout.counts()[UPDATED] == 1000
    settled(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_release_reaches_all_whose_hardware_works(seed):
    world = World(seed, Faults(broken=0.05), abort_at="40%", sample=10, **QUICK)
    world.finish()
    assert world.rollout.standing.state == DONE, world.rollout.standing
    assert all(device.runs == NEW for device in world.devices.values() if not device.hardware)
    failed = {device for device, place in world.rollout.places.items() if place.state == FAILED}
    assert failed and all(world.devices[device].hardware for device in failed)
    settled(world)
