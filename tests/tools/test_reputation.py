"""Beta reputation: what so many failures do to a new device and to an old one, and how long it remembers."""

from tools.gateway.audits.reputation import SCORE_MIN, TRIES_MAX, Reputation

NEW = Reputation("d", 1)


def test_a_new_device_may_fail_twice():
    assert NEW.score == 1.0 and NEW.takes_more
    twice = NEW.after(["corrupt", "ok", "lost"], 5)
    assert twice.is_trusted and (twice.audits, twice.failures, twice.outcome, twice.at) == (3, 2, "lost", 5)
    assert not twice.after(["lost"], 6).is_trusted


def test_an_old_one_may_fail_now_and_then():
    old = NEW.after(["ok"] * 5000, 1)
    assert old.after(["lost"] * 30, 2).is_trusted and not old.after(["lost"] * 50, 2).is_trusted
    # Three in a hundred for ever are borne, five are not.
    assert old.after((["ok"] * 97 + ["corrupt"] * 3) * 50, 2).is_trusted
    assert not old.after((["ok"] * 95 + ["corrupt"] * 5) * 50, 2).is_trusted


def test_it_forgets():
    bad = NEW.after(["lost"] * 10, 1)
    assert bad.score < SCORE_MIN and bad.after(["ok"] * 3000, 2).score > 0.995


def test_silence_costs_no_score():
    silent = NEW
    for number in range(TRIES_MAX):
        assert silent.takes_more
        silent = silent.contain([1, "00", []], number)
    assert silent.score == 1.0 and silent.is_trusted and not silent.takes_more and silent.contained == '[1, "00", []]'
    again = silent.after(["ok"], 9)
    assert again.takes_more and again.contained == "" and again.after([], 10).outcome == "ok"
