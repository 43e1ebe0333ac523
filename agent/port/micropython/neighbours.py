"""One link, and who is a neighbour on it (RFC 6762 section 11)."""

from collections import namedtuple

# `addresses`: packed, to announce there; `networks`: (packed address, prefix length) whose hosts are neighbours.
Link = namedtuple("Link", ("key", "addresses", "networks"))


def is_on_link(address: bytes, networks: list[tuple[bytes, int]]) -> bool:
    """Link-local addresses are neighbours everywhere."""
    number, bits = int.from_bytes(address, "big"), len(address) * 8
    if (bits == 32 and number >> 16 == 0xA9FE) or (bits == 128 and number >> 118 == 0x3FA):
        return True
    for own, prefix in networks:
        if len(own) == len(address) and number >> (bits - prefix) == int.from_bytes(own, "big") >> (bits - prefix):
            return True
    return False
