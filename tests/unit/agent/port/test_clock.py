"""The contract of agent.port.clock."""

import time

from agent.port import MICROPYTHON, clock


def test_never_goes_back():
    before = clock.now_ms()
    time.sleep(0.03)
    after = clock.now_ms()
    assert isinstance(after, int) and 25 <= after - before < 5000


def test_unix_time_is_whole_seconds():
    assert isinstance(clock.unix_time(), int) and abs(clock.unix_time() - time.time()) < 2


def test_ticks_that_wrap_are_added_up():
    if not MICROPYTHON:
        return
    wrap = time.ticks_add(0, -1) + 1  # type: ignore[attr-defined]
    saved = clock._state[:]  # type: ignore[attr-defined]
    try:
        # As if the last question had been asked 100 ms before the wrap-around of a 40-day-old process.
        clock._state[0] = 40 * 86400 * 1000  # type: ignore[attr-defined]
        clock._state[1] = (time.ticks_ms() - 100) % wrap  # type: ignore[attr-defined]
        grown = clock.now_ms() - 40 * 86400 * 1000
        assert 100 <= grown < 1000, grown
    finally:
        clock._state[:] = saved  # type: ignore[attr-defined]
