"""HMAC (RFC 2104), HKDF (RFC 5869) and PBKDF2 (RFC 8018 section 5.2) over the native SHA-256; HMAC also over
the native SHA-1, whose block has the same size.

A sha256 object here gives its digest once and cannot be copied, so PBKDF2 keeps the two padded keys but
must hash them again in every iteration: four blocks instead of two.
"""

import hashlib

from agent.errors import UsageError

if False:
    from typing import Any, Callable

BLOCK_BYTES = 64
HASH_BYTES = 32
HKDF_BYTES_MAX = 255 * HASH_BYTES


def hmac(key: bytes, data: bytes, new: "Callable[[bytes], Any]" = hashlib.sha256) -> bytes:
    inner, outer = _pads(key, new)
    return _keyed(inner, outer, data, new)


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """UsageError("length") outside 1..8160."""
    if not 1 <= length <= HKDF_BYTES_MAX:
        raise UsageError("length", f"HKDF-SHA-256 gives 1 to {HKDF_BYTES_MAX} bytes, {length} were asked for")
    inner, outer = _pads(hmac(salt, secret))  # an empty salt and one of 32 zeros pad to the same key
    block = b""
    out = bytearray()
    while len(out) < length:
        block = _keyed(inner, outer, block + info + bytes((len(out) // HASH_BYTES + 1,)))
        out.extend(block)
    return bytes(out[:length])


def pbkdf2(password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """UsageError("length") for a count or a length below 1."""
    if iterations < 1 or length < 1:
        raise UsageError("length", "PBKDF2 wants at least one iteration and one byte")
    inner, outer = _pads(password)
    out = bytearray()
    while len(out) < length:
        block = _keyed(inner, outer, salt + (len(out) // HASH_BYTES + 1).to_bytes(4, "big"))
        total = int.from_bytes(block, "big")
        for _ in range(iterations - 1):
            block = _keyed(inner, outer, block)
            total ^= int.from_bytes(block, "big")
        out.extend(total.to_bytes(HASH_BYTES, "big"))
    return bytes(out[:length])


def _pads(key: bytes, new: "Callable[[bytes], Any]" = hashlib.sha256) -> tuple[bytes, bytes]:
    if len(key) > BLOCK_BYTES:
        key = new(key).digest()
    inner = bytearray(b"\x36" * BLOCK_BYTES)
    outer = bytearray(b"\x5c" * BLOCK_BYTES)
    for index in range(len(key)):
        inner[index] ^= key[index]
        outer[index] ^= key[index]
    return bytes(inner), bytes(outer)


def _keyed(inner: bytes, outer: bytes, data: bytes, new: "Callable[[bytes], Any]" = hashlib.sha256) -> bytes:
    digest = new(inner)
    digest.update(data)
    outer_digest = new(outer)
    outer_digest.update(digest.digest())
    return bytes(outer_digest.digest())
