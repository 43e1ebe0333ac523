"""When a trial is over."""

from agent.core.trial import DEADLINE_MS, Trial


def noted(trial, start, end, core=True, within=True, step=5000):
    found = "wait"
    for now in range(start, end + 1, step):
        found = trial.note(now, core, within)
        if found != "wait":
            return found, now
    return found, end


def test_green_for_the_whole_time():
    assert noted(Trial(0, True, 60_000), 0, 100_000) == ("green", 60_000)
    assert noted(Trial(0, True, 60_000), 0, 55_000) == ("wait", 55_000)


def test_each_probe_starts_it_again():
    for core, within in ((False, True), (True, False)):
        trial = Trial(0, True, 60_000)
        noted(trial, 0, 50_000)
        assert trial.note(55_000, core, within) == "wait"
        assert noted(trial, 60_000, 200_000) == ("green", 115_000)
    trial = Trial(0, True, 60_000)
    noted(trial, 0, 50_000)
    assert noted(trial, 65_001, 300_000) == ("green", 125_001), "the loop stood still"


def test_offline():
    assert noted(Trial(0, False, 60_000), 0, 100_000, core=False) == ("green", 60_000)
    found, now = noted(Trial(0, True, 60_000), 0, 2 * DEADLINE_MS, core=False)
    assert (found, now) == ("late", DEADLINE_MS)
