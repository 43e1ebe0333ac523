"""A stripe opens only in its own place, under its own key, and fills its slots exactly."""

import hashlib

import pytest

from agent.errors import TrustError
from tests.tools.fake_network import noise
from tools.gateway.objects.coding import Code, Profile
from tools.gateway.objects.stripes import Layout, Place, seal, unseal

LAYOUT = Layout(b"o" * 16, b"k" * 32, Profile(2, 3), 65536)


@pytest.mark.parametrize("length", [0, 1, 2, 1000, LAYOUT.stripe_bytes])
def test_stripe_round_trip(length):
    code, plain = Code(LAYOUT.profile), noise(length)
    made = seal(LAYOUT, code, 5, plain, True)
    assert all(len(shard.data) <= 65536 - 128 and shard.name == hashlib.sha256(shard.data).digest() for shard in made)
    assert unseal(LAYOUT, code, Place(5, length, True), {1: made[1].data, 2: made[2].data}) == plain


def test_stripe_opens_only_in_its_own_place():
    code = Code(LAYOUT.profile)
    made = {index: shard.data for index, shard in enumerate(seal(LAYOUT, code, 5, b"x" * 100, False))}
    other = LAYOUT._replace(object_id=b"p" * 16)
    wrong = [(LAYOUT, Place(4, 100, False)), (LAYOUT, Place(5, 100, True)), (LAYOUT, Place(5, 99, False))]
    for layout, place in [
        *wrong,
        (other, Place(5, 100, False)),
        (LAYOUT._replace(key=b"l" * 32), Place(5, 100, False)),
    ]:
        with pytest.raises(TrustError):
            unseal(layout, code, place, made)


def test_full_stripe_fills_its_slots_exactly():
    for profile in (Profile(1, 1), Profile(2, 3), Profile(10, 16)):
        layout = LAYOUT._replace(profile=profile)
        made = seal(layout, Code(profile), 0, bytes(layout.stripe_bytes), True)
        assert {len(shard.data) for shard in made} == {65536 - 128}
