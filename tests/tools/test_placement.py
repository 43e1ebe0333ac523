"""Placement is computed the same everywhere, follows the weights, moves little; happiness is a maximum matching."""

import itertools
import random

from tools.gateway.objects.placement import happiness, place, ranked, score

DEVICES = [f"{index:016x}" for index in range(8)]


def keys(count):
    return [b"stripe" + index.to_bytes(4, "big") for index in range(count)]


def test_one_shard_per_device_and_order_independent():
    weights = dict.fromkeys(DEVICES, 1.0)
    turned = dict(reversed(weights.items()))
    for key in keys(50):
        chosen = place(key, weights, 4)
        assert len(set(chosen)) == 4
        assert chosen == place(key, turned, 4)


def test_too_few_devices_and_no_room():
    assert place(b"k", {"a": 1.0, "b": 0.0, "c": -5.0}, 3) == ["a"]
    assert place(b"k", {}, 3) == []


def test_known_order_never_changes():
    # Written down on the day the format was chosen: another core must compute the same.
    assert ranked(b"stripe 7", {"a": 1.0, "b": 1.0, "c": 2.0, "d": 4.0}) == ["d", "c", "b", "a"]


def test_share_follows_weight():
    weights = {"small": 1.0, "middle": 2.0, "large": 5.0}
    firsts = [place(key, weights, 1)[0] for key in keys(8000)]
    for device, weight in weights.items():
        assert abs(firsts.count(device) / 8000 - weight / 8) < 0.02, device


def test_only_the_shards_of_a_lost_device_move():
    weights = dict.fromkeys(DEVICES, 1.0)
    without = {device: weight for device, weight in weights.items() if device != DEVICES[3]}
    for key in keys(500):
        before, after = place(key, weights, 3), place(key, without, 3)
        assert [device for device in before if device != DEVICES[3]] == [d for d in after if d in before]


def test_extreme_hashes_keep_scores_finite():
    assert all(0 < score(key, "d", 1e18) < float("inf") for key in keys(2000))


def brute_force(candidates):
    best = 0
    for choice in itertools.product(*[[None, *options] for options in candidates]):
        used = [device for device in choice if device is not None]
        if len(used) == len(set(used)):
            best = max(best, len(used))
    return best


def test_happiness_is_maximum_matching():
    assert happiness([["a"], ["a"], ["a"]]) == 1
    assert happiness([["a", "b"], ["a"], ["b", "c"]]) == 3
    assert happiness([]) == 0
    source = random.Random(3)
    for _ in range(300):
        candidates = [source.sample("abcde", source.randint(0, 3)) for _ in range(source.randint(0, 5))]
        assert happiness(candidates) == brute_force(candidates), candidates


def test_happiness_of_a_long_chain():
    assert happiness([[f"d{index}", f"d{index + 1}"] for index in range(500)] + [["d0"]]) == 501
