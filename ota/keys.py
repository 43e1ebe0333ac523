"""Public keys as files: COSE_Key in CBOR (RFC 9052 section 7, RFC 8778 section 3), PEM (RFC 7468; P-256 of RFC 5480,
HSS of RFC 9802) or a raw HSS public key (RFC 8554 section 6.1).

Only whole, valid public keys: no private ones, no compressed points, no certificates. UsageError("key") otherwise.
"""

from binascii import a2b_base64

from ota import cbor, cose
from ota.cose import ES256, ESP256, HSS_BYTES, HSS_LMS
from ota.errors import CoreletError, UsageError

KEY_BYTES_MAX = 4096

_PEM = (b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----")
# SubjectPublicKeyInfo up to the key itself.
_P256_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_HSS_HEAD = bytes.fromhex("304e300d060b2a864886f70d0109100311033d00")


def read_key(data: bytes) -> bytes:
    """The public key as ota.cose takes it."""
    if len(data) > KEY_BYTES_MAX:
        raise _bad(f"{len(data)} bytes")
    if len(data) == HSS_BYTES and data[:3] == bytes(3):
        public = data
    elif data.strip().startswith(_PEM[0]):
        public = _read_pem(data.strip())
    else:
        public = _read_cose_key(data)
    if not cose.is_public(public):
        raise _bad("a point that is not on P-256, or an HSS key that is not SHA-256 with n = 32")
    return public


def _bad(came: str) -> UsageError:
    text = "expected a public key of P-256 or HSS/LMS: COSE_Key (CBOR), PUBLIC KEY (PEM) or a raw HSS key, got "
    return UsageError("key", text + came)


def _read_pem(text: bytes) -> bytes:
    if not text.endswith(_PEM[1]):
        raise _bad("a PEM file of another kind")
    body = b"".join(text[len(_PEM[0]) : -len(_PEM[1])].split())
    if len(body) % 4 or [letter for letter in body.rstrip(b"=") if not _is_base64(letter)]:
        raise _bad("PEM that is not base64")
    der = a2b_base64(body)
    for head, length in ((_P256_HEAD, 65), (_HSS_HEAD, HSS_BYTES)):
        if der.startswith(head) and len(der) == len(head) + length:
            return der[len(head) :]
    raise _bad("a PEM file with another kind of key")


def _is_base64(letter: int) -> bool:
    return 48 <= letter <= 57 or 65 <= letter <= 90 or 97 <= letter <= 122 or letter in b"+/"


def _read_cose_key(data: bytes) -> bytes:
    """Common labels: 1 kty, 2 kid, 3 alg, 4 key_ops (verify); EC2: -1 crv, -2 x, -3 y; HSS-LMS: -1 pub."""
    try:
        key = cbor.decode(data, (), 2)
    except CoreletError:
        raise _bad("neither of them")
    if not isinstance(key, dict) or not isinstance(key.get(2, b""), bytes) or key.get(4, [2]) != [2]:
        raise _bad("CBOR that is no COSE_Key for verifying")
    own = {label: key[label] for label in key if label not in (2, 4)}
    kind, own_algorithm, curve = own.get(1), own.pop(3, None), own.get(-1)
    if kind == 5 and own_algorithm in (None, HSS_LMS) and len(own) == 2 and isinstance(curve, bytes):
        return curve  # the label of a curve is that of an HSS key
    if kind == 2 and own_algorithm in (None, ESP256, ES256) and len(own) == 4 and type(curve) is int and curve == 1:
        point: list[bytes] = [own[label] for label in (-2, -3) if isinstance(own.get(label), bytes)]
        if [len(one) for one in point] == [32, 32]:
            return b"\x04" + b"".join(point)
    raise _bad("a COSE_Key of another kind")
