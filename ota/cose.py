"""COSE_Sign1 with a detached payload (RFC 9052 section 4.2), as releases and documents of trust are signed.

One fixed profile: tag 18, the protected bucket holds the algorithm (1) and perhaps a key id (4), the unprotected one is
empty, the payload is null. Algorithms: ESP256 (-9, RFC 9864; also by its old name ES256, -7) and HSS/LMS (-46, RFC
8778). A public key is its bytes, and their number tells the kind: 65 (SEC1 point) or 60 (HSS). PeerError("cbor") or
PeerError("signature_form") when it is no message of this profile.
"""

from collections import namedtuple

from ota import cbor
from ota.errors import LimitError, PeerError, TrustError

SIGNATURE_BYTES_MAX = 16384  # HSS of two levels with w = 1
SIGNATURES_MAX = 16
KEYS_MAX = 16
KID_BYTES_MAX = 64

TAG_SIGN1 = 18
ESP256, ES256, HSS_LMS = -9, -7, -46
POINT_BYTES, HSS_BYTES = 65, 60

# `signed`: the protected bucket, as it stood.
Signature = namedtuple("Signature", ("algorithm", "kid", "signed", "proof"))


def read_signature(data: bytes) -> Signature:
    if len(data) > SIGNATURE_BYTES_MAX:
        raise _bad(f"{len(data)} bytes")
    message = cbor.decode(data, (TAG_SIGN1,), 3)
    if not isinstance(message, cbor.Tag) or not isinstance(message.value, list) or len(message.value) != 4:
        raise _bad("something else")
    protected, unprotected, payload, proof = message.value
    if not isinstance(protected, bytes) or not isinstance(proof, bytes):
        raise _bad("other types")
    if unprotected != {} or payload is not None:
        raise _bad("an unprotected header or an attached payload")
    header = cbor.decode(protected, (), 1)
    kid = header.get(4, b"") if isinstance(header, dict) else None
    if not isinstance(kid, bytes) or len(kid) > KID_BYTES_MAX or len(header) != 1 + (4 in header):
        raise _bad("another protected header")
    algorithm = header.get(1)
    if type(algorithm) is not int or algorithm not in (ESP256, ES256, HSS_LMS):
        raise TrustError("algorithm", f"expected a signature by ESP256 (-9) or HSS/LMS (-46), got one by {algorithm}")
    return Signature(algorithm, kid, protected, proof)


def _bad(came: str) -> PeerError:
    text = f"expected COSE_Sign1 with an algorithm, perhaps a key id, a null payload and a signature, got {came}"
    return PeerError("signature_form", text)


def is_public(key: bytes) -> bool:
    """Whether it is a key that can make a signature which we take."""
    if len(key) == POINT_BYTES:
        from ota import p256

        return p256.is_point(key)
    from ota import lms

    return lms.is_public(key)


def is_by(public: bytes, signature: Signature, payload: bytes, aad: bytes = b"") -> bool:
    """Whether this key made it. `aad` (section 4.3) tells kinds of documents apart; SUIT's is empty."""
    is_point = len(public) == POINT_BYTES
    if is_point != (signature.algorithm != HSS_LMS):
        return False
    message = cbor.encode(["Signature1", signature.signed, aad, payload])
    if is_point:  # each is some KiB of heap, and mostly only one of them is needed
        from ota import p256

        return p256.verify(public, message, signature.proof)
    from ota import lms

    return lms.verify(public, message, signature.proof)


def signer(publics: "tuple[bytes, ...]", signature: Signature, payload: bytes, aad: bytes = b"") -> int:
    """Which of these keys made it: an index, or -1. The key id is not asked: it proves nothing."""
    for index, public in enumerate(publics):
        if is_by(public, signature, payload, aad):
            return index
    return -1


def signers(publics: "tuple[bytes, ...]", signatures: "list[bytes]", payload: bytes, aad: bytes = b"") -> list[int]:
    """The keys, by index, that made these signatures.

    Strict: each must be valid, by a known key, and no key may sign twice; a bad one is not left out but refuses the
    whole, so that no bit of what is accepted can change. TrustError("signature"), TrustError("signer_twice").
    """
    if len(signatures) > SIGNATURES_MAX:
        raise LimitError("too_big", f"expected at most {SIGNATURES_MAX} signatures, got {len(signatures)}")
    found: list[int] = []
    for data in signatures:
        index = signer(publics, read_signature(data), payload, aad)
        if index < 0:
            raise TrustError("signature", "expected signatures by known keys only, got one by none of them")
        if index in found:
            raise TrustError("signer_twice", "expected each key to sign once, got two signatures by one key")
        found.append(index)
    return found


def check_threshold(threshold: int, count: int) -> None:
    if count < threshold:
        raise TrustError("threshold", f"expected signatures by {threshold} keys, got {count}")
