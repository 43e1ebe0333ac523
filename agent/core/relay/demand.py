"""What an Allocate or Refresh request asks for, read from its attributes (RFC 8656 sections 7.2, 8.2 and 18).

Raises Refusal with the error code of the answer; nothing is decided here that needs the state of the relay.
"""

from collections import namedtuple

from agent.core.relay.credentials import Refusal
from agent.errors import PeerError
from agent.wire import stun

LIFETIME_DEFAULT_S = 600
LIFETIME_MAX_S = 3600
_UDP = 17
_FAMILIES = {stun.IPV4: 4, stun.IPV6: 6}

# `families`: tuple of 4 and 6; two of them are one allocation with two relayed addresses. `token`: of a reservation.
Demand = namedtuple("Demand", ("families", "is_even", "is_reserving", "token", "lifetime_s"))


def read_allocate(message: stun.Message) -> Demand:
    """Refusal 400, 440, 442, in the order of section 7.2."""
    transport = _exact(message, stun.REQUESTED_TRANSPORT, 4)
    if transport is None:
        raise Refusal(stun.BAD_REQUEST, "Allocate needs REQUESTED-TRANSPORT.")
    if transport[0] != _UDP:
        raise Refusal(stun.TRANSPORT_NOT_SUPPORTED, "Only UDP is relayed.")
    even = _exact(message, stun.EVEN_PORT, 1)
    family = _exact(message, stun.REQUESTED_ADDRESS_FAMILY, 4)
    additional = _exact(message, stun.ADDITIONAL_ADDRESS_FAMILY, 4)
    if additional is None:
        additional = _exact(message, stun.ADDITIONAL_ADDRESS_FAMILY_DRAFT, 4)
    token = _exact(message, stun.RESERVATION_TOKEN, 8)
    is_reserving = even is not None and even[0] & 0x80 != 0
    given = [each for each in (family, additional, even) if each is not None]
    if token is not None and given:
        raise Refusal(stun.BAD_REQUEST, "RESERVATION-TOKEN goes with no family and no EVEN-PORT.")
    if family is not None and additional is not None:
        raise Refusal(stun.BAD_REQUEST, "REQUESTED- and ADDITIONAL-ADDRESS-FAMILY exclude each other.")
    if additional is not None and (additional[0] != stun.IPV6 or is_reserving):
        raise Refusal(stun.BAD_REQUEST, "ADDITIONAL-ADDRESS-FAMILY is IPv6 and reserves nothing.")
    families: tuple[int, ...] = (4,) if additional is None else (4, 6)
    if family is not None:
        families = (_family(family),)
    lifetime_s = read_lifetime(message) or LIFETIME_DEFAULT_S
    return Demand(families, even is not None, is_reserving, token, lifetime_s)


def read_lifetime(message: stun.Message) -> int:
    """Seconds to grant (sections 7.2 and 8.2): 0, or LIFETIME_DEFAULT_S to LIFETIME_MAX_S."""
    value = _exact(message, stun.LIFETIME, 4)
    asked = LIFETIME_DEFAULT_S if value is None else int.from_bytes(value, "big")
    return 0 if asked == 0 else max(LIFETIME_DEFAULT_S, min(asked, LIFETIME_MAX_S))


def read_family(message: stun.Message) -> int:
    """Of a Refresh: 4, 6 or 0 for all (section 8.2)."""
    value = _exact(message, stun.REQUESTED_ADDRESS_FAMILY, 4)
    return 0 if value is None else _family(value)


def read_peers(message: stun.Message) -> "list[stun.Address]":
    """All XOR-PEER-ADDRESS, at least one (section 10.2)."""
    values = [value for kind, value in message.attributes if kind == stun.XOR_PEER_ADDRESS]
    if not values:
        raise Refusal(stun.BAD_REQUEST, "The request names no peer.")
    try:
        return [stun.read_xor_address(value, message.transaction) for value in values]
    except PeerError:
        raise Refusal(stun.BAD_REQUEST, "A peer is no address.")


def read_channel(message: stun.Message) -> int:
    """Section 12.2, with the range of RFC 5766: 0x4000 to 0x7FFF."""
    value = _exact(message, stun.CHANNEL_NUMBER, 4)
    number = 0 if value is None else value[0] << 8 | value[1]
    if not stun.CHANNEL_FIRST <= number <= stun.CHANNEL_LAST:
        raise Refusal(stun.BAD_REQUEST, "A channel has a number from 0x4000 to 0x7FFF.")
    return number


def _family(value: bytes) -> int:
    if value[0] not in _FAMILIES:
        raise Refusal(stun.FAMILY_NOT_SUPPORTED, "Families are IPv4 and IPv6.")
    return _FAMILIES[value[0]]


def _exact(message: stun.Message, kind: int, size: int) -> bytes | None:
    value = message.get(kind)
    if value is not None and len(value) != size:
        raise Refusal(stun.BAD_REQUEST, "An attribute has the wrong size.")
    return value
