"""Any k of n shards give back the data, with both engines, and both engines write the same bytes."""

import itertools
import os
import random

import pytest

from agent.errors import UsageError
from tools.gateway.objects.coding import (
    PROFILES,
    Code,
    IsaL,
    Profile,
    PureRows,
    engines,
    inverse,
    multiply,
    profile_for,
)

FULL = os.environ.get("CORELET_FULL") == "1"
SUBSETS_SAMPLED = 300
EVERY = [profile for _, profile in PROFILES]
CODED = [profile for profile in EVERY if profile.n > profile.k]


def parts_of(profile: Profile, length: int, seed: int = 1) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(length) for _ in range(profile.k)]


def test_field_is_0x11d():
    assert multiply(0x80, 2) == 0x1D
    assert all(multiply(value, inverse(value)) == 1 for value in range(1, 256))


def test_published_isa_l_row():
    # ISA-L gf_gen_cauchy1_matrix, k = 4: first parity row is inv(4), inv(5), inv(6), inv(7).
    from tools.gateway.objects.coding import generator

    assert generator(Profile(4, 6))[4] == [inverse(4), inverse(5), inverse(6), inverse(7)] == [71, 167, 122, 186]


@pytest.mark.parametrize("profile", EVERY, ids=str)
@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.__name__)
def test_every_k_subset_decodes(profile, engine):
    code = Code(profile, engine)
    parts = parts_of(profile, 33)
    shards = code.encode(parts)
    assert shards[: profile.k] == parts and len(shards) == profile.n
    subsets = list(itertools.combinations(range(profile.n), profile.k))
    if len(subsets) > SUBSETS_SAMPLED and not FULL:
        subsets = random.Random(7).sample(subsets, SUBSETS_SAMPLED)
    for chosen in subsets:
        assert code.decode({index: shards[index] for index in chosen}) == parts, chosen


@pytest.mark.skipif(IsaL not in engines(), reason="pyeclib is not installed")
@pytest.mark.parametrize("profile", CODED, ids=str)
@pytest.mark.parametrize("length", [1, 15, 16, 17, 4096, 65408])
def test_engines_write_the_same_bytes(profile, length):
    parts = parts_of(profile, length, length)
    assert Code(profile, IsaL).encode(parts) == Code(profile, PureRows).encode(parts)


def test_more_shards_than_needed_and_lengths():
    profile = Profile(2, 4)
    code = Code(profile)
    for length in (1, 2, 3, 100, 1000, 65536):
        parts = parts_of(profile, length)
        shards = code.encode(parts)
        assert code.decode(dict(enumerate(shards))) == parts
        assert code.decode({3: shards[3], 2: shards[2], 1: shards[1]}) == parts


def test_template_cache_is_bounded():
    if IsaL not in engines():
        pytest.skip("pyeclib is not installed")
    engine = IsaL(Profile(2, 3))
    for length in range(1, 40):
        parts = parts_of(engine.profile, length)
        shards = [*parts, *engine.encode(parts)]
        assert engine.decode({1: shards[1], 2: shards[2]}) == parts
    assert len(engine._templates) <= 8


def test_refuses_what_cannot_be_decoded():
    code = Code(Profile(2, 3))
    for shards in ({0: b"a"}, {0: b"a", 3: b"b"}, {0: b"a", 1: b"bb"}, {}):
        with pytest.raises(UsageError):
            code.decode(shards)
    with pytest.raises(UsageError):
        code.encode([b"a"])
    with pytest.raises(UsageError):
        Code(Profile(3, 2))


def test_profile_by_reachable_devices():
    wanted = {1: "1/1", 2: "1/2", 3: "2/3", 4: "2/4", 7: "2/4", 8: "4/8", 15: "4/8", 16: "10/16", 100: "10/16"}
    assert {devices: str(profile_for(devices)) for devices in wanted} == wanted
    assert [profile.receipts_min for profile in EVERY] == [13, 6, 3, 3, 2, 1]
    with pytest.raises(UsageError):
        profile_for(0)
