"""Full jitter: bounds, spread, growth, reset."""

from agent.core.backoff import PAUSE_MS_MAX, PAUSE_MS_MIN, Backoff
from tests.sim.chance import Xorshift32


def test_every_pause_is_between_its_bounds() -> None:
    for extreme, wanted in ((b"\0\0\0\0", PAUSE_MS_MIN), (None, None)):
        random = Xorshift32(5)
        backoff = Backoff(lambda length, fixed=extreme, random=random: fixed or random.bytes(length))
        cap = PAUSE_MS_MIN
        for _ in range(40):
            cap = min(2 * cap, PAUSE_MS_MAX)
            pause = backoff.pause_ms()
            assert PAUSE_MS_MIN <= pause <= cap
            assert wanted is None or pause == wanted
        assert cap == PAUSE_MS_MAX


def test_the_largest_jitter_reaches_the_cap_and_no_further() -> None:
    for attempt, cap in ((1, 2_000), (2, 4_000), (3, 8_000), (8, 256_000), (9, 300_000), (30, 300_000)):
        backoff = Backoff(lambda length, cap=cap: (cap - PAUSE_MS_MIN).to_bytes(length, "big"))
        for _ in range(attempt - 1):
            backoff.pause_ms()
        assert backoff.pause_ms() == cap


def test_a_fleet_does_not_come_back_in_step() -> None:
    pauses = []
    for seed in range(200):
        random = Xorshift32(seed + 1)
        backoff = Backoff(random.bytes)
        for _ in range(8):
            backoff.pause_ms()
        pauses.append(backoff.pause_ms())
    quarters = [len([each for each in pauses if each * 4 // (PAUSE_MS_MAX + 1) == part]) for part in range(4)]
    assert min(quarters) > 25, quarters


def test_reset_forgets() -> None:
    backoff = Backoff(lambda length: b"\xff" * length)
    for _ in range(9):
        backoff.pause_ms()
    backoff.reset()
    assert backoff.pause_ms() <= 2_000


def test_another_cap() -> None:
    random = Xorshift32(9)
    backoff = Backoff(random.bytes, 30_000)
    assert max([backoff.pause_ms() for _ in range(100)]) <= 30_000
