"""Who a board is in a manifest: UUIDs of the vendor's domain and of the board (RFC 9124 section 3.3.1; RFC 9562
section 5.5). The device knows its own as (vendor, class) of the image or package that put it there."""

import re
import uuid

from boards import loader
from ota.errors import UsageError

VENDOR = "corelet.invalid"  # until there is a domain: a maker names its own


def vendor_id(domain: str) -> bytes:
    """Version 5 in the name space of domains."""
    return _vendor(domain).bytes


def class_id(board: str, domain: str) -> bytes:
    """Version 5 of the board's name in the name space of the vendor."""
    return uuid.uuid5(_vendor(domain), board).bytes


def known_board(name: str) -> str:
    if name not in loader.NAMES:
        raise UsageError("board", f"expected a board: {', '.join(loader.NAMES)}; got {name}")
    return name


def _vendor(domain: str) -> uuid.UUID:
    name = domain or VENDOR
    if not re.fullmatch(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+", name) or len(name) > 253:
        raise UsageError("vendor", f"expected a domain in small letters, such as example.org, got {name}")
    return uuid.uuid5(uuid.NAMESPACE_DNS, name)
