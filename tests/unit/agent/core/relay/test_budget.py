"""The budget of answers to strangers: by prefix, bounded."""

from agent.core.relay.budget import BURST_S, PREFIXES_MAX, Budget


def test_budget_by_prefix_length() -> None:
    budget = Budget(1)
    for _ in range(BURST_S):
        assert budget.take(b"\x26\x08" + bytes(14), 0)
    assert not budget.take(b"\x26\x08" + bytes(5) + b"\xff" * 9, 0), "the same /56"
    assert budget.take(b"\x26\x08" + bytes(4) + b"\x01" + bytes(9), 0)
    assert budget.take(b"\x26\x08\0\0", 0)


def test_budget_is_bounded() -> None:
    """Thousands of forged prefixes share one bucket; when they are quiet the table is free again."""
    budget = Budget(2)
    taken = [budget.take((number << 8).to_bytes(4, "big"), 0) for number in range(5000)]
    assert sum(taken) == PREFIXES_MAX + 2 * BURST_S and len(budget) <= PREFIXES_MAX + 1
    assert budget.take(b"\xc8\0\0\1", 10000) and len(budget) <= 2
