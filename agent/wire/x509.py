"""Just enough of X.509 (RFC 5280, DER) for a device to see who issued its certificate.

`read_certificate` finds three things in a P-256 certificate signed with ecdsa-with-SHA256: the bytes
that were signed, the key, the signature. It is not path validation: dates, names and extensions are
judged by the TLS stack later. Bound: CERTIFICATE_BYTES_MAX; every length is checked before it is used.
"""

from collections import namedtuple

from agent.errors import PeerError

CERTIFICATE_BYTES_MAX = 1024

Certificate = namedtuple("Certificate", ("signed", "public", "signature"))  # TBS DER, 65 bytes, r||s 64 bytes

_INTEGER, _BITS, _SEQUENCE, _VERSION = 0x02, 0x03, 0x30, 0xA0
# SEQUENCE { ecdsa-with-SHA256 } (RFC 5758 section 3.2) and SEQUENCE { id-ecPublicKey, prime256v1 } (RFC 5480).
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_P256_KEY = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")


def _bad(what: str) -> PeerError:
    return PeerError("certificate", f"expected a P-256 certificate in DER, came bytes whose {what} is wrong")


def _item(data: bytes, start: int, tag: int) -> tuple[int, int]:
    """(content start, end) of the item with `tag` at `start`; definite, shortest lengths up to 64 KiB."""
    if start + 2 > len(data) or data[start] != tag:
        raise _bad("structure")
    length, content = data[start + 1], start + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 2 or content + count > len(data):
            raise _bad("length")
        length = int.from_bytes(data[content : content + count], "big")
        content += count
        if length < 0x80 or (count == 2 and length < 0x100):
            raise _bad("length")
    if content + length > len(data):
        raise _bad("length")
    return content, content + length


def _exactly(data: bytes, start: int, expected: bytes) -> int:
    end = start + len(expected)
    if data[start:end] != expected:
        raise _bad("algorithm")
    return end


def _unsigned(data: bytes, start: int) -> tuple[bytes, int]:
    """(32 bytes, end) of a positive INTEGER below 2^256 in its shortest form."""
    content, end = _item(data, start, _INTEGER)
    number = data[content:end]
    is_padded = len(number) > 1 and number[0] == 0
    if not number or number[0] & 0x80 or (is_padded and not number[1] & 0x80) or len(number) - is_padded > 32:
        raise _bad("signature")
    return int.from_bytes(number, "big").to_bytes(32, "big"), end


def read_certificate(der: bytes) -> Certificate:
    """PeerError("certificate") for anything else than one whole P-256, ecdsa-with-SHA256 certificate."""
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise _bad("size")
    outer, last = _item(der, 0, _SEQUENCE)
    tbs, tbs_end = _item(der, outer, _SEQUENCE)
    bits = _exactly(der, tbs_end, _ECDSA_SHA256)
    content, end = _item(der, bits, _BITS)
    if end != last or last != len(der) or content == end or der[content] != 0:
        raise _bad("structure")
    pair, stop = _item(der, content + 1, _SEQUENCE)
    r, after = _unsigned(der, pair)
    s, after = _unsigned(der, after)
    if after != stop or stop != end:
        raise _bad("signature")
    signed = der[outer:tbs_end]
    return Certificate(signed, _public_key(der[:tbs_end], tbs), r + s)


def _public_key(der: bytes, start: int) -> bytes:
    """subjectPublicKeyInfo, after version, serial, signature, issuer, validity and subject (section 4.1)."""
    after = _item(der, start, _VERSION)[1]
    after = _item(der, after, _INTEGER)[1]
    after = _exactly(der, after, _ECDSA_SHA256)
    for _ in ("issuer", "validity", "subject"):
        after = _item(der, after, _SEQUENCE)[1]
    content, end = _item(der, after, _SEQUENCE)
    content = _exactly(der, content, _P256_KEY)
    bits, stop = _item(der, content, _BITS)
    point = der[bits + 1 : stop]
    if stop != end or len(point) != 65 or der[bits] != 0 or point[0] != 4:
        raise _bad("key")
    return point
