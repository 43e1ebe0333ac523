"""The contract's Crypto on MicroPython: native SHA-256 and AES, the rest in plain Python beside this file.

P-256 and CCM are loaded when first used: they cost some 10 KiB of heap, and only pairing and signatures need
them. Secrets meet only the fixed-shape ladder and masked inverses; see ladder.py for what that does not hide.
"""

import hashlib
import os

from agent.errors import PortError
from agent.port.micropython import hmac

if False:
    from typing import Any, Iterator


def entropy(length: int) -> bytes:
    return os.urandom(length)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    return hmac.hmac(key, data)


def hmac_sha1(key: bytes, data: bytes) -> bytes:
    return hmac.hmac(key, data, hashlib.sha1)


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()  # noqa: S324 (RFC 8489 asks for it; see the contract)


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return hmac.hkdf(secret, salt, info, length)


def pbkdf2_sha256(password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    return hmac.pbkdf2(password, salt, iterations, length)


def equal(one: bytes, other: bytes) -> bool:
    if len(one) != len(other):
        return False
    difference = 0
    for index in range(len(one)):
        difference |= one[index] ^ other[index]
    return difference == 0


def ccm_seal(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    from agent.port.micropython import ccm

    return ccm.seal(_aes(), key, nonce, aad, plaintext)


def ccm_open(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
    from agent.port.micropython import ccm

    return ccm.open(_aes(), key, nonce, aad, sealed)


def p256_public(scalar: int) -> bytes:
    from agent.port.micropython import ladder

    return ladder.multiply(scalar, ladder.base(), _mask())


def p256_multiply(scalar: int, point: bytes) -> bytes:
    from agent.port.micropython import ladder

    return ladder.multiply(scalar, point, _mask())


def p256_add(one: bytes, other: bytes) -> bytes:
    from agent.port.micropython import ladder

    return ladder.add(one, other)


def p256_negate(point: bytes) -> bytes:
    from agent.port.micropython import ladder

    return ladder.negate(point)


def ecdsa_sign(scalar: int, message: bytes) -> bytes:
    from agent.port.micropython import ladder
    from ota.p256 import N, inverse

    ladder.check_scalar(scalar)
    number = int.from_bytes(sha256(message), "big") % N
    for nonce in _nonces(scalar, number, N):
        r = int.from_bytes(ladder.multiply(nonce, ladder.base(), _mask())[1:33], "big") % N
        mask = _mask()
        s = inverse(nonce * mask, N) * (mask * (number + r * scalar) % N) % N
        if r and s:
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    raise AssertionError("the nonces of RFC 6979 do not end")


def ecdsa_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """False for anything but a valid signature by a valid key."""
    from ota import p256

    return p256.verify(public, message, signature)


def _nonces(scalar: int, number: int, order: int) -> "Iterator[int]":
    """RFC 6979 section 3.2 for SHA-256 and a 256-bit order."""
    seed = scalar.to_bytes(32, "big") + number.to_bytes(32, "big")
    value = b"\x01" * 32
    key = bytes(32)
    for step in (b"\x00", b"\x01"):
        key = hmac.hmac(key, value + step + seed)
        value = hmac.hmac(key, value)
    while True:
        value = hmac.hmac(key, value)
        nonce = int.from_bytes(value, "big")
        if 1 <= nonce < order:
            yield nonce
        key = hmac.hmac(key, value + b"\x00")
        value = hmac.hmac(key, value)


def _mask() -> int:
    """Odd and below 2^248: never 0 modulo p or n."""
    return int.from_bytes(os.urandom(31), "big") | 1


def _aes() -> "Any":
    try:
        import cryptolib  # type: ignore[import-not-found]  # a module of MicroPython
    except ImportError:
        raise PortError("missing", "AES needs the module cryptolib: use a MicroPython built with it")
    return cryptolib.aes
