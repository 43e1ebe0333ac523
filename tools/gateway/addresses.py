"""Where the core may connect to when a device says so: plain IP addresses of the kind a home network uses.

A paired device is still not its owner: what it names in its birth must not turn the core into a client of the services
on the core's own machine, of a router's link-local metadata, or of whatever a crafted string can be read as. No names
are looked up. Bounds: ADDRESSES_MAX of one device; REMEMBERED answers.
"""

import functools
import ipaddress
from collections.abc import Iterable
from typing import Any

from agent.errors import UsageError

ADDRESSES_MAX = 8
PORT_MAX = 65535
REMEMBERED = 4096
DEFAULT_PORT = 7411  # of a device that is asked to pair

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parsed(text: Any) -> Address | None:
    """A literal without a scope id, an IPv4-mapped one as IPv4; None for anything else."""
    if not isinstance(text, str) or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def usable_addresses(named: Any, paired: str) -> tuple[str, ...]:
    """What of `named` may be connected to, first the one the device was paired at; each rebuilt from its number.

    Loopback only for a device that was paired over loopback."""
    given = named[:ADDRESSES_MAX] if isinstance(named, list | tuple) else ()
    return _usable(tuple(each for each in given if isinstance(each, str)), paired)


@functools.lru_cache(REMEMBERED)
def _usable(given: tuple[str, ...], paired: str) -> tuple[str, ...]:
    """Asked of every device several times a second: of a thousand it would take the loop a third of its time."""
    home = parsed(paired)
    is_local = paired == "localhost" or (home is not None and home.is_loopback)
    addresses = [address for address in map(parsed, (paired, *given)) if address is not None]
    return tuple(str(address) for address in dict.fromkeys(addresses) if _is_usable(address, home, is_local))


def usable_port(value: Any) -> int:
    """1 to 65535, else 0."""
    is_port = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= PORT_MAX
    return value if is_port else 0


def plain(addresses: Iterable[str]) -> list[str]:
    """Those that are addresses at all, as the shard client needs them whoever made the list."""
    found = [address for address in map(parsed, addresses) if address is not None]
    # Link-local IPv6 needs the sender's interface, which a birth cannot know.
    return [str(each) for each in found if not each.is_unspecified and not (each.version == 6 and each.is_link_local)]


def _is_usable(address: Address, home: Address | None, is_local: bool) -> bool:
    if address.is_unspecified or address.is_multicast or (address.version == 6 and address.is_link_local):
        return False
    if address.is_loopback:  # before "reserved", which ::1 is too
        return is_local
    if address == home:
        return True
    is_this_network = address.version == 4 and address.packed[0] == 0
    return not (address.is_reserved or address.is_link_local or is_this_network)


def parse_address(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT, [IPv6]:PORT. UsageError("address")."""
    host, port = text.strip(), str(DEFAULT_PORT)
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        text = f"{text!r} is no address: write HOST:PORT, for example 192.168.1.20:{DEFAULT_PORT}"
        raise UsageError("address", text)
    return host, int(port)
