"""The sealed channel of a proven pairing: AES-128-CCM with keys from K_shared, one counter a direction.

Nonce = 5 zero bytes, counter in 8 bytes; associated data = direction and step, so that a record fits
nowhere but in its own place. What else comes from K_shared is here, too: the link secret, which is never sent,
what the device signs to prove that its key is its own, and the tag of an authentic abort.
"""

if False:
    from agent.port import contract

_TO_DEVICE = b"core to device"
_TO_CORE = b"device to core"


def link_secret(crypto: "contract.Crypto", shared: bytes) -> bytes:
    """32 bytes both sides keep: tokens and receipts are keyed from it."""
    return crypto.hkdf_sha256(shared, b"", b"corelet link v1", 32)


def proof_message(crypto: "contract.Crypto", shared: bytes, public65: bytes) -> bytes:
    """What the device signs with its private key. K_shared comes from the transcript with both ids, nonces and shares:
    a proof fits this session alone, and nobody can carry one over from a device whose code he knows."""
    return b"corelet pair proof v1" + crypto.hkdf_sha256(shared, b"", b"corelet proof v1", 32) + public65


def abort_tag(crypto: "contract.Crypto", shared: bytes) -> bytes:
    """32 bytes: whoever only saw the session id cannot end a pairing whose code was proven."""
    return crypto.hkdf_sha256(shared, b"", b"corelet abort v1", 32)


class Channel:
    """`is_device`: which end this is."""

    def __init__(self, crypto: "contract.Crypto", shared: bytes, is_device: bool) -> None:
        self._crypto = crypto
        keys = crypto.hkdf_sha256(shared, b"", b"corelet pair keys v1", 32)
        to_device, to_core = (keys[:16], _TO_DEVICE), (keys[16:], _TO_CORE)
        self._send, self._take = (to_core, to_device) if is_device else (to_device, to_core)
        self._sent = 0
        self._taken = 0

    def seal(self, step: int, plaintext: bytes) -> bytes:
        self._sent += 1
        key, direction = self._send
        return self._crypto.ccm_seal(key, _nonce(self._sent), direction + bytes((step,)), plaintext)

    def open(self, step: int, sealed: bytes) -> bytes:
        """TrustError("aead") when it was not sealed by the other end, for this step, in this order."""
        key, direction = self._take
        plaintext = self._crypto.ccm_open(key, _nonce(self._taken + 1), direction + bytes((step,)), sealed)
        self._taken += 1
        return plaintext


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(13, "big")
