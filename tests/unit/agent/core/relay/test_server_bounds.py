"""The tables of one allocation are bounded (RFC 8656 sections 10.2 and 12.2: 508)."""

from agent.core.relay.permissions import CHANNELS_MAX, PERMISSIONS_MAX
from tests.unit.agent.core.relay.relaying import PEER, pair


def test_bounds() -> None:
    """508 when the tables of an allocation are full; what is there is still refreshed; what ends makes room."""
    place, caller, _ = pair()
    for number in range(CHANNELS_MAX):
        assert caller.bind(0x4000 + number, (PEER[0], 2000 + number)) == 0
    assert caller.bind(0x4800, (PEER[0], 3000)) == 508
    assert caller.bind(0x4000, (PEER[0], 2000)) == 0
    for number in range(PERMISSIONS_MAX - 1):
        assert caller.permit((b"\x08\x09\0" + bytes([number]), 1)) == 0
    assert caller.permit((b"\x08\x0a\0\0", 1)) == 508
    assert caller.permit((b"\x08\x09\0\0", 1), PEER, PEER) == 0
    place.at(300000)
    assert caller.permit((b"\x08\x0a\0\0", 1)) == 0


def test_bound_of_permissions_and_channels_together() -> None:
    """A channel without room for its permission is none at all."""
    _, caller, _ = pair()
    for number in range(PERMISSIONS_MAX):
        assert caller.permit((b"\x08\x09\0" + bytes([number]), 1)) == 0
    assert caller.bind(0x4000, PEER) == 508
    assert caller.bind(0x4000, (b"\x08\x09\0\0", 5000)) == 0, "its number is still free"
