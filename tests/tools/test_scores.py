"""Who lags is left at once, and is asked again later; what is late follows what is usual."""

from tools.gateway.objects.scores import (
    HEDGE_S_MAX,
    HEDGE_S_MIN,
    HEDGE_START_S,
    HEDGES_BURST,
    LATE_TIMES,
    LIE_S,
    START_S,
    Scores,
)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def scores():
    clock = Clock()
    return Scores(clock), clock


def test_a_peak_counts_at_once_and_is_forgotten_slowly():
    made, clock = scores()
    assert made.expected_s("a") == START_S
    for _ in range(50):
        made.answered("a", 0.01)
        clock.now += 0.1
    assert 0.005 < made.expected_s("a") <= 0.01
    made.answered("a", 3.0)
    assert made.expected_s("a") == 3.0
    clock.now += 1
    made.answered("a", 0.01)
    assert made.expected_s("a") > 2
    clock.now += 60
    assert made.expected_s("a") < 0.02
    made.lied("a")
    assert made.expected_s("a") == LIE_S
    made.drop("a")
    assert made.expected_s("a") == START_S


def test_one_that_was_not_waited_for_took_at_least_so_long():
    made, _ = scores()
    made.answered("a", 0.01)
    made.late("a", 0.4)
    assert made.expected_s("a") == 0.4 * LATE_TIMES
    made.late("a", 0.1)
    assert made.expected_s("a") == 0.4 * LATE_TIMES


def test_late_is_what_one_in_twenty_is():
    made, _ = scores()
    assert made.hedge_s() == HEDGE_START_S
    for number in range(100):
        made.took(0.1 + number / 1000)
    assert 0.19 <= made.hedge_s() <= 0.2
    for _ in range(200):
        made.took(0.0001)
    assert made.hedge_s() == HEDGE_S_MIN
    for _ in range(200):
        made.took(60)
    assert made.hedge_s() == HEDGE_S_MAX
    made.given_up(0.001)  # was given up for another reason: says nothing of what is usual
    assert made.hedge_s() == HEDGE_S_MAX


def test_hedges_have_a_budget():
    made, clock = scores()
    assert [made.may_hedge() for _ in range(int(HEDGES_BURST) + 2)] == [True] * int(HEDGES_BURST) + [False] * 2
    for _ in range(9):
        made.took(0.01)
    assert not made.may_hedge()
    for _ in range(2):
        made.took(0.01)
    assert made.may_hedge() and not made.may_hedge()
    clock.now += 2
    assert made.may_hedge()
