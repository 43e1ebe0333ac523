"""An object's bytes <-> the shards of its stripes: encrypt, then code, then name. Pure; no I/O, no clock.

A stripe of plaintext becomes AES-256-GCM ciphertext (key: fresh for each object; nonce: the stripe's number, 96 bits;
associated data: object id, stripe number, whether it is the last), is cut into k equal parts (zeros fill the last) and
coded to n shards, each named by its SHA-256. One shard fills at most one device slot. k shards reveal ciphertext only;
a stripe that is missing, moved, repeated or cut off at the end cannot be opened.

Bounds: a stripe holds at most k * (slot - 128) - 16 bytes of plaintext.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.errors import TrustError
from tools.gateway.objects.coding import Code, Profile

SLOT_HEADER_BYTES = 128  # design section 7: what a device keeps in front of each shard
SLOTS = (65536, 262144, 1048576)
TAG_BYTES = 16
KEY_BYTES = 32
OBJECT_ID_BYTES = 16
LABEL = b"corelet stripe v1"


class Shard(NamedTuple):
    """`name` = SHA-256 of `data`."""

    name: bytes
    data: bytes


class Layout(NamedTuple):
    """How one object is cut. `object_id` and `key` are fresh random bytes, used for this object only."""

    object_id: bytes
    key: bytes
    profile: Profile
    slot: int

    @property
    def stripe_bytes(self) -> int:
        """Plaintext in a full stripe."""
        return stripe_bytes(self.profile, self.slot)

    def stripes(self, size: int) -> int:
        """How many stripes an object of `size` bytes has; an empty one has one, so that its end is authenticated."""
        return max(1, -(-size // self.stripe_bytes))

    def length(self, size: int, number: int) -> int:
        """Plaintext bytes in stripe `number`."""
        return min(self.stripe_bytes, size - number * self.stripe_bytes)


def stripe_bytes(profile: Profile, slot: int) -> int:
    """Plaintext that fills one stripe."""
    return profile.k * (slot - SLOT_HEADER_BYTES) - TAG_BYTES


def _bound(layout: Layout, number: int, is_last: bool) -> tuple[bytes, bytes]:
    """(nonce, associated data) of a stripe. The nonce never repeats under a key: each stripe is sealed once."""
    number_bytes = number.to_bytes(12, "big")
    return number_bytes, LABEL + layout.object_id + number_bytes + bytes([is_last])


def seal(layout: Layout, code: Code, number: int, plain: bytes, is_last: bool) -> list[Shard]:
    """The n shards of one stripe."""
    nonce, bound = _bound(layout, number, is_last)
    sealed = AESGCM(layout.key).encrypt(nonce, plain, bound)
    k = layout.profile.k
    length = -(-len(sealed) // k)
    parts = [sealed[index * length : (index + 1) * length].ljust(length, b"\0") for index in range(k)]
    del sealed  # a stripe is megabytes, and several are under way
    return [Shard(hashlib.sha256(data).digest(), data) for data in code.encode(parts)]


class Place(NamedTuple):
    """Which stripe of an object, how much plaintext it holds, whether it is the last."""

    number: int
    length: int
    is_last: bool


def unseal(layout: Layout, code: Code, place: Place, shards: Mapping[int, bytes]) -> bytes:
    """The stripe's plaintext out of k verified shards by index. TrustError("stripe") when it does not open."""
    sealed = b"".join(code.decode(shards))[: place.length + TAG_BYTES]
    nonce, bound = _bound(layout, place.number, place.is_last)
    try:
        return AESGCM(layout.key).decrypt(nonce, sealed, bound)
    except InvalidTag as error:
        text = f"stripe {place.number} does not open with this object's key: the core's own list of shards is damaged"
        raise TrustError("stripe", text) from error


def rebuild(layout: Layout, shards: Mapping[int, bytes], index: int) -> Shard:
    """One missing shard out of k others; needs no key, but checks nothing: compare the name."""
    code = Code(layout.profile)
    data = code.encode(code.decode(shards))[index]
    return Shard(hashlib.sha256(data).digest(), data)
