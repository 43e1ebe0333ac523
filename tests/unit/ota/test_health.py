"""When a trial is over."""

from ota.health import DEADLINE_MS, Health


def noted(health, start, end, core=True, within=True, step=5000):
    found = "wait"
    for now in range(start, end + 1, step):
        found = health.note(now, core, within)
        if found != "wait":
            return found, now
    return found, end


def test_green_for_the_whole_time():
    assert noted(Health(0, True, 60_000), 0, 100_000) == ("green", 60_000)
    assert noted(Health(0, True, 60_000), 0, 55_000) == ("wait", 55_000)


def test_each_probe_starts_it_again():
    for core, within in ((False, True), (True, False)):
        health = Health(0, True, 60_000)
        noted(health, 0, 50_000)
        assert health.note(55_000, core, within) == "wait"
        assert noted(health, 60_000, 200_000) == ("green", 115_000)
    health = Health(0, True, 60_000)
    noted(health, 0, 50_000)
    assert noted(health, 65_001, 300_000) == ("green", 125_001), "the loop stood still"


def test_offline():
    assert noted(Health(0, False, 60_000), 0, 100_000, core=False) == ("green", 60_000)
    found, now = noted(Health(0, True, 60_000), 0, 2 * DEADLINE_MS, core=False)
    assert (found, now) == ("late", DEADLINE_MS)
