"""P-256 private keys as files: ECPrivateKey (RFC 5915 section 3, SEC 1 appendix C.4) in DER.

Only the encoder: the device writes its key once and keeps the scalar beside it. 121 bytes, always.
"""

from agent.errors import UsageError

_HEAD = b"\x30\x77\x02\x01\x01\x04\x20"  # SEQUENCE, version 1, OCTET STRING of 32
_CURVE = b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"  # [0] prime256v1
_PUBLIC = b"\xa1\x44\x03\x42\x00"  # [1] BIT STRING of 65 bytes, no unused bits


def encode_sec1(scalar: int, public65: bytes) -> bytes:
    """DER of the key pair. UsageError("key") when the shapes are wrong (the pair itself is not checked)."""
    if len(public65) != 65 or public65[0] != 4 or not 0 < scalar < 1 << 256:
        raise UsageError("key", "expected a scalar of 256 bits and its 65-byte uncompressed point")
    return b"".join((_HEAD, scalar.to_bytes(32, "big"), _CURVE, _PUBLIC, public65))
