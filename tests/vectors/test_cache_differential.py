"""The cache policies against libcachesim: SIEVE's every hit and miss is the same, S3-FIFO's miss ratio within 0.01.

And what the product makes of them spares the flash: fewer bytes written for each byte served than second-miss LRU.
"""

import importlib.util

import pytest

from tests.e2e import needs
from tests.vectors import caching

TRACES = {
    "cloudphysics": (caching.cloud_physics, 5000),
    "zipf 0.9, 30 % once": (lambda: caching.zipf(60_000, 20_000, 0.9, 1, 300), 1000),
    "zipf 0.7": (lambda: caching.zipf(60_000, 20_000, 0.7, 2), 1000),
    "zipf 1.0": (lambda: caching.zipf(60_000, 20_000, 1.0, 3), 1000),
}
WITHIN = 0.01


@pytest.fixture(params=TRACES)
def trace(request: pytest.FixtureRequest) -> "tuple[list[int], int]":
    make, slots = TRACES[request.param]
    return make(), slots


def referee(policy: str, requests: "list[int]", slots: int) -> bytes:
    if importlib.util.find_spec("libcachesim") is None:
        needs.absent("needs the Python module libcachesim: pip install -e '.[dev]'")
    return caching.referee(policy, requests, slots)


def test_sieve_is_libcachesims(trace: "tuple[list[int], int]") -> None:
    assert caching.run(caching.plain_sieve(trace[1]), *trace).each == referee("Sieve", *trace)


def test_s3fifo_is_near_libcachesims(trace: "tuple[list[int], int]") -> None:
    requests, slots = trace
    hits = sum(referee("S3FIFO", requests, slots)) / len(requests)
    plain = caching.run(caching.plain_s3fifo(slots), requests, slots * 9 // 10)
    product = caching.run(caching.product_s3fifo(slots), requests, slots)
    assert abs(plain.hits - hits) <= WITHIN
    assert product.hits >= hits - WITHIN, "and more hits are welcome"


def test_the_flash_is_spared(trace: "tuple[list[int], int]") -> None:
    requests, slots = trace
    most = caching.second_miss_lru(requests, slots).wear
    for policy in (caching.product_s3fifo(slots), caching.product_sieve(slots)):
        assert caching.run(policy, requests, slots).wear < most


def test_discarding_keeps_the_order() -> None:
    """Against the same policies on a trace where those that are taken out were never there."""
    for make in (caching.plain_sieve, caching.product_s3fifo):
        policy, other = make(1000), make(1000)
        for slot in range(300):
            policy.insert(slot)
            if slot % 3:
                other.insert(slot)
            if slot % 7 == 0 and slot % 3:
                policy.touch(slot)
                other.touch(slot)
        policy.discard([slot for slot in range(300) if slot % 3 == 0])
        for _ in range(150):
            victim = policy.victim()
            assert victim == other.victim()
        left = [policy.victim() for _ in range(60)]
        assert left == [other.victim() for _ in range(60)] and left[-1] == -1
