"""COSE_Mac0 (RFC 9052 section 6.2; RFC 9053), one fixed profile; COSE_Sign1 in the same one: sign1.py.

Not a general COSE: the payload is attached, external_aad and the unprotected bucket are empty, the protected
bucket holds the algorithm (1) and perhaps a key id (4) and nothing else, so `crit` is refused like every
unknown label. HMAC 256/256 (5).
Bounds: COSE_BYTES_MAX for the whole message, KID_BYTES_MAX for the key id.

The bytes are read by the strict codec, so one message has one encoding. PeerError("cbor") or PeerError("cose")
when it is no message of this profile, TrustError("mac") when it proves nothing.
"""

from agent.errors import PeerError, TrustError, UsageError
from agent.wire.shape import misfit

if False:
    from agent.port import contract

COSE_BYTES_MAX = 4096
PAYLOAD_BYTES_MAX = COSE_BYTES_MAX - 256  # the rest is below 256 bytes
KID_BYTES_MAX = 64
MAC_KEY_BYTES_MIN = 32

TAG_MAC0 = 17
LABEL_ALGORITHM = 1
LABEL_KID = 4
HMAC_256 = 5
BYTES = ("bytes", 0, COSE_BYTES_MAX)
FIELDS = {0: BYTES, 1: ("map", 0, 0), 2: BYTES, 3: BYTES}


def mac0(codec: "contract.Codec", crypto: "contract.Crypto", key: bytes, payload: bytes, kid: bytes = b"") -> bytes:
    _check_key(key)
    protected = protect(codec, HMAC_256, kid, payload)
    proof = crypto.hmac_sha256(key, codec.encode(["MAC0", protected, b"", payload]))
    return codec.encode(codec.Tag(TAG_MAC0, [protected, {}, payload, proof]))


def open_mac0(codec: "contract.Codec", crypto: "contract.Crypto", key: bytes, data: bytes) -> bytes:
    """The payload; TrustError("mac")."""
    _check_key(key)
    protected, _kid, payload, proof = parts(codec, TAG_MAC0, (HMAC_256,), data)
    expected = crypto.hmac_sha256(key, codec.encode(["MAC0", protected, b"", payload]))
    if not crypto.equal(proof, expected):
        raise TrustError("mac", "expected a MAC made with the key we share, got another key or changed content")
    return payload


def mac0_kid(codec: "contract.Codec", data: bytes) -> bytes:
    """The key id, b"" without one. Nothing is proven yet: use it only to choose the key."""
    return parts(codec, TAG_MAC0, (HMAC_256,), data)[1]


def _check_key(key: bytes) -> None:
    if len(key) < MAC_KEY_BYTES_MIN:
        raise UsageError("key", f"expected a MAC key of at least {MAC_KEY_BYTES_MIN} bytes, got {len(key)}")


def protect(codec: "contract.Codec", algorithm: int, kid: bytes, payload: bytes) -> bytes:
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise UsageError("too_big", f"expected a payload of at most {PAYLOAD_BYTES_MAX} bytes, got {len(payload)}")
    if len(kid) > KID_BYTES_MAX:
        raise UsageError("kid", f"expected a key id of at most {KID_BYTES_MAX} bytes, got {len(kid)}")
    header: dict[int, int | bytes] = {LABEL_ALGORITHM: algorithm}
    if kid:
        header[LABEL_KID] = kid
    return codec.encode(header)


def parts(
    codec: "contract.Codec", tag: int, algorithms: tuple[int, ...], data: bytes
) -> tuple[bytes, bytes, bytes, bytes]:
    """(protected, key id, payload, proof), the shape checked and nothing proven."""
    if len(data) > COSE_BYTES_MAX:
        raise PeerError("cose", f"expected at most {COSE_BYTES_MAX} bytes of COSE, got {len(data)}")
    message = codec.decode(data, (tag,), 3)
    if type(message) is not codec.Tag or type(message.value) is not list or len(message.value) != 4:
        raise PeerError("cose", f"expected COSE tag {tag} with four fields, got something else")
    if misfit(dict(enumerate(message.value)), FIELDS) is not None:
        raise PeerError("cose", "expected a protected header, an empty map, an attached payload and a proof")
    protected, _, payload, proof = message.value
    return protected, _kid(codec, protected, algorithms), payload, proof


def _kid(codec: "contract.Codec", protected: bytes, algorithms: tuple[int, ...]) -> bytes:
    header = codec.decode(protected, (), 2)
    if type(header) is not dict:
        raise PeerError("cose", "expected a map as protected header")
    algorithm = header.get(LABEL_ALGORITHM)
    if type(algorithm) is not int or algorithm not in algorithms:
        raise PeerError("cose", f"expected algorithm {algorithms[0]}, got another or none")
    if len(header) == 1:
        return b""
    kid = header.get(LABEL_KID)
    if len(header) > 2 or not isinstance(kid, bytes) or not 1 <= len(kid) <= KID_BYTES_MAX:
        raise PeerError("cose", f"expected the algorithm and perhaps a key id of 1 to {KID_BYTES_MAX} bytes, got more")
    return kid
