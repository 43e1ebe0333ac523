"""COSE_Sign1 (RFC 9052 section 4.2; ESP256 of RFC 9864) in the profile of cose.py, for what outlives a hop.

ESP256 (-9) and, when verifying, its old name ES256 (-7). What a device that only keeps shards never loads.
"""

from agent.errors import TrustError
from agent.wire import cose

if False:
    from agent.port import contract

TAG_SIGN1 = 18
ESP256 = -9
ES256 = -7


def sign(codec: "contract.Codec", crypto: "contract.Crypto", scalar: int, payload: bytes, kid: bytes = b"") -> bytes:
    protected = cose.protect(codec, ESP256, kid, payload)
    proof = crypto.ecdsa_sign(scalar, codec.encode(["Signature1", protected, b"", payload]))
    return codec.encode(codec.Tag(TAG_SIGN1, [protected, {}, payload, proof]))


def verify(codec: "contract.Codec", crypto: "contract.Crypto", public: bytes, data: bytes) -> bytes:
    """The payload; TrustError("signature"), PeerError as in cose.py. `public` is a 65-byte point."""
    protected, _kid, payload, proof = cose.parts(codec, TAG_SIGN1, (ESP256, ES256), data)
    signed = codec.encode(["Signature1", protected, b"", payload])
    if not crypto.ecdsa_verify(public, signed, proof):
        raise TrustError("signature", "expected a signature by the known key, got another key or changed content")
    return payload
