"""The sealed channel: each record opens once, at the other end, in its step and order."""

from tests.unit.agent.core.pairing.bodies import crypto

# isort: split

from agent.core.pairing.channel import Channel, link_secret
from agent.errors import TrustError
from tests.expect import raises

SHARED = b"k" * 32


def ends() -> tuple:
    return Channel(crypto, SHARED, True), Channel(crypto, SHARED, False)


def test_both_directions_in_order() -> None:
    device, core = ends()
    for number in range(3):
        assert core.open(3, device.seal(3, bytes((number,)))) == bytes((number,))
        assert device.open(4, core.seal(4, b"bundle")) == b"bundle"


def test_another_step_order_direction_or_key() -> None:
    device, core = ends()
    first, second = device.seal(3, b"one"), device.seal(3, b"two")
    cases = ((core, 4, first), (core, 3, second), (device, 3, first), (core, 3, first[:-1]), (core, 3, b""))
    for end, step, sealed in cases:
        assert raises(TrustError, end.open, step, sealed).code == "aead"
    assert raises(TrustError, Channel(crypto, b"x" * 32, False).open, 3, first).code == "aead"
    assert core.open(3, first) == b"one"
    assert raises(TrustError, core.open, 3, first).code == "aead", "a record was replayed"


def test_link_secret_is_neither_key_nor_shared() -> None:
    secret = link_secret(crypto, SHARED)
    assert len(secret) == 32 and secret != SHARED
    assert secret == crypto.hkdf_sha256(SHARED, b"", b"corelet link v1", 32)
