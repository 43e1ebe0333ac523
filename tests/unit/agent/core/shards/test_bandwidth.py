"""The ceiling of the store's traffic: no more than it in any time, no less where somebody always asks, none refused."""

from agent.core.shards.bandwidth import BURST_MS, PIECE_BYTES_MIN, Bandwidth

RATE = 100_000


def used(pieces, late_ms=0, count=1000):
    """How many ms so many pieces take for one who asks for the next when the last may pass, its clock always late."""
    bandwidth, now = Bandwidth(RATE), 5_000_000
    for _ in range(pieces):
        wait_ms = bandwidth.take(count, now)
        now += wait_ms + (late_ms if wait_ms else 0)
    assert bandwidth.moved == pieces * count
    return now - 5_000_000


def test_the_rate_is_the_rate():
    for late_ms in (0, 1, 7, 50):
        assert 10_000 - BURST_MS - 20 <= used(1000, late_ms) <= 10_000 + late_ms


def test_what_was_not_used_is_not_saved():
    bandwidth = Bandwidth(RATE)
    bandwidth.take(1, 1000)
    assert [bandwidth.take(RATE // 10, 900_000) for _ in range(3)] == [0, 0, 100], "a tenth of a second, and one piece"


def test_many_wait_in_the_order_in_which_they_asked():
    bandwidth, now = Bandwidth(RATE), 1_000_000
    bandwidth.take(RATE // 10, now)
    waits = [bandwidth.take(2000, now) for _ in range(8)]
    assert waits == [0, 20, 40, 60, 80, 100, 120, 140]
    assert bandwidth.take(2000, now + 70) == 90, "the time that has passed is taken off"


def test_what_is_asked_for_at_once():
    assert Bandwidth(8000).piece(100_000) == PIECE_BYTES_MIN and Bandwidth(8000).piece(10) == 10
    assert Bandwidth(RATE).piece(100_000) == RATE // 20


def test_a_very_high_ceiling_is_a_number_like_others():
    bandwidth = Bandwidth(1 << 40)
    assert [bandwidth.take(1 << 20, 7) for _ in range(3)] == [0, 0, 0]
