"""The contract's Crypto on CPython: the standard library, and pycryptodome for AES-CCM, P-256 and ECDSA.

pycryptodome is imported inside the functions that need it: an idle device, whose TLS is OpenSSL's, never
loads it. What it accepts beyond the contract is refused here: coordinates that are not below p (it reduces
them), (0, 0) as infinity, other lengths of key, nonce and tag.
"""

import hashlib
import hmac
import os
from typing import Any

from agent.errors import PeerError, PortError, TrustError, UsageError

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

CCM_KEY_BYTES = 16
CCM_NONCE_BYTES = 13
CCM_TAG_BYTES = 16
CCM_BYTES_MAX = 65535  # the length field is two bytes: 15 - 13
CCM_AAD_BYTES_MAX = 65279  # above, RFC 3610 section 2.2 changes the form of the length


def entropy(length: int) -> bytes:
    return os.urandom(length)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def hmac_sha1(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha1")


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()  # works where policy bars MD5


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869; UsageError("length") outside 1..8160."""
    if not 1 <= length <= 255 * 32:
        raise UsageError("length", f"HKDF-SHA-256 gives 1 to 8160 bytes, {length} were asked for")
    key = hmac_sha256(salt or bytes(32), secret)
    block = b""
    out = b""
    while len(out) < length:
        block = hmac_sha256(key, block + info + bytes((len(out) // 32 + 1,)))
        out += block
    return out[:length]


def pbkdf2_sha256(password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """RFC 8018 section 5.2; UsageError("length") for a count or a length below 1."""
    if iterations < 1 or length < 1:
        raise UsageError("length", "PBKDF2 wants at least one iteration and one byte")
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations, length)


def equal(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)


def ccm_seal(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    if len(plaintext) > CCM_BYTES_MAX:
        raise UsageError("length", f"AES-CCM seals at most {CCM_BYTES_MAX} bytes here, got {len(plaintext)}")
    cipher = _ccm(key, nonce, aad)
    sealed, tag = cipher.encrypt_and_digest(plaintext)
    return bytes(sealed + tag)


def ccm_open(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
    cipher = _ccm(key, nonce, aad)
    if CCM_TAG_BYTES <= len(sealed) <= CCM_BYTES_MAX + CCM_TAG_BYTES:
        try:
            return bytes(cipher.decrypt_and_verify(sealed[:-CCM_TAG_BYTES], sealed[-CCM_TAG_BYTES:]))
        except ValueError:  # the one thing it can say: the tag differs
            pass
    raise TrustError("aead", "expected a message sealed with our key, got another key, counter or content")


def p256_public(scalar: int) -> bytes:
    ecc = _ecc()
    return _encode(ecc.construct(curve="P-256", d=_scalar(scalar)).pointQ)


def p256_multiply(scalar: int, point: bytes) -> bytes:
    return _encode(_decode(point) * _scalar(scalar))


def p256_add(one: bytes, other: bytes) -> bytes:
    """PeerError("point") also when the sum is infinity."""
    total = _decode(one) + _decode(other)
    if total.is_point_at_infinity():
        raise PeerError("point", "expected points with a sum, got a point and its negative")
    return _encode(total)


def p256_negate(point: bytes) -> bytes:
    return _encode(-_decode(point))


def ecdsa_sign(scalar: int, message: bytes) -> bytes:
    key = _ecc().construct(curve="P-256", d=_scalar(scalar))
    return bytes(_dss().new(key, "deterministic-rfc6979").sign(_hash(message)))


def ecdsa_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """False for anything but a valid signature by a valid key."""
    if len(signature) != 64:
        return False
    try:
        point = _decode(public)
        key = _ecc().construct(curve="P-256", point_x=int(point.x), point_y=int(point.y))
        _dss().new(key, "deterministic-rfc6979").verify(_hash(message), signature)
    except (PeerError, ValueError):  # a bad point; a bad signature
        return False
    return True


def _missing(error: ImportError) -> PortError:
    return PortError("missing", f"P-256 and AES need the package pycryptodome: install it ({error})")


def _ecc() -> Any:
    try:
        from Crypto.PublicKey import ECC
    except ImportError as error:
        raise _missing(error) from error
    return ECC


def _dss() -> Any:
    from Crypto.Signature import DSS

    return DSS


def _hash(message: bytes) -> Any:
    from Crypto.Hash import SHA256

    return SHA256.new(message)


def _ccm(key: bytes, nonce: bytes, aad: bytes) -> Any:
    if len(key) != CCM_KEY_BYTES or len(nonce) != CCM_NONCE_BYTES or len(aad) > CCM_AAD_BYTES_MAX:
        raise UsageError("length", "AES-CCM wants a 16-byte key, a 13-byte nonce and at most 65279 bytes of AAD")
    try:
        from Crypto.Cipher import AES
    except ImportError as error:
        raise _missing(error) from error
    cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=CCM_TAG_BYTES)
    cipher.update(aad)
    return cipher


def _scalar(scalar: int) -> int:
    if not 1 <= scalar < N:
        raise UsageError("scalar", "expected a P-256 scalar of 1 to n - 1")
    return scalar


def _decode(point: bytes) -> Any:
    x = int.from_bytes(point[1:33], "big")
    y = int.from_bytes(point[33:], "big")
    if len(point) == 65 and point[0] == 4 and x < P and y < P and (x or y):
        try:
            return _ecc().EccPoint(x, y, "P-256")
        except ValueError:  # not on the curve
            pass
    raise PeerError("point", "expected an uncompressed P-256 point of 65 bytes that is on the curve")


def _encode(point: Any) -> bytes:
    return b"\x04" + int(point.x).to_bytes(32, "big") + int(point.y).to_bytes(32, "big")
