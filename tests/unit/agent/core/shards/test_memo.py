"""The memo: the newer of two records counts, and damage of one is noticed."""

from agent.core.shards.memo import MARKS_MAX, MEMO_BYTES, Memo

NEVER = bytes(MEMO_BYTES)


def written(memo, hours=None):
    return memo.encode(hours or [7] * 25)


def test_round_trip_and_turns():
    memo = Memo()
    memo.generation = 5
    memo.begin(0xDEADBEEF)
    memo.mark(3)
    memo.mark(MARKS_MAX - 1)
    one_at, one = written(memo, list(range(25)))
    memo.mark(9)
    two_at, two = written(memo, [1 << 40] * 25)
    assert (one_at, two_at) == (4096, 0) and len(one) == MEMO_BYTES
    found = Memo()
    assert found.decode([two, one]) == 2
    assert (found.serial, found.generation, found.checkpoint, found.is_all) == (2, 5, 0xDEADBEEF, False)
    assert [number for number in range(MARKS_MAX + 1) if found.is_marked(number)] == [3, 9, MARKS_MAX - 1, MARKS_MAX]
    assert found.hours == [0xFFFFFFFF] * 25
    found = Memo()
    assert found.decode([NEVER, one]) == 2 and found.hours == list(range(25)) and not found.is_marked(9)


def test_beyond_the_bits_every_slab_is_marked():
    memo = Memo()
    memo.begin(1)
    assert not memo.is_marked(0)
    memo.mark(MARKS_MAX)
    assert memo.is_marked(0) and memo.is_all


def test_every_flipped_bit():
    memo = Memo()
    _, one = written(memo)
    _, two = written(memo)
    for bit in range(0, 8 * MEMO_BYTES, 3):
        bad = bytearray(two)
        bad[bit // 8] ^= 1 << bit % 8
        found = Memo()
        assert found.decode([bytes(bad), one]) == 1 and found.serial == 1
    for bad in (b"", two[:-1], b"\xff" * MEMO_BYTES):
        assert Memo().decode([bad, bad]) == 0
    assert Memo().decode([NEVER, NEVER]) == 0 and Memo().is_all
