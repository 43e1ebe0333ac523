"""AES-128-CCM (RFC 3610; M = 16, L = 2: COSE algorithm 30) from AES-ECB and AES-CBC.

`aes` is cryptolib's: `aes(key, 1)` for ECB, `aes(key, 2, iv)` for CBC, both with `.encrypt(blocks)`; CTR is
off in the Unix build. The counter stream is ECB over counter blocks and is applied by one big-integer XOR
for each slice: no loop over bytes. Bounds: plaintext 65,535 bytes, AAD 65,279, both held in memory.
"""

from agent.errors import TrustError, UsageError

if False:
    from typing import Any

KEY_BYTES = 16
NONCE_BYTES = 13
TAG_BYTES = 16
PLAINTEXT_BYTES_MAX = 65535  # the length field is two bytes: 15 - 13
AAD_BYTES_MAX = 65279  # above, RFC 3610 section 2.2 changes the form of the length

SLICE_BYTES = 512
ECB = 1
CBC = 2


def seal(aes: "Any", key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    _check(key, nonce, aad)
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        raise UsageError("length", f"AES-CCM seals at most {PLAINTEXT_BYTES_MAX} bytes here, got {len(plaintext)}")
    stream = aes(key, ECB)
    tag = _xor(_mac(aes, key, nonce, aad, plaintext), stream.encrypt(_counters(nonce, 0, 1)))
    return _apply(stream, nonce, plaintext) + tag


def open(aes: "Any", key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
    """TrustError("aead") when anything differs."""
    _check(key, nonce, aad)
    if TAG_BYTES <= len(sealed) <= PLAINTEXT_BYTES_MAX + TAG_BYTES:
        stream = aes(key, ECB)
        plaintext = _apply(stream, nonce, sealed[:-TAG_BYTES])
        tag = _xor(_mac(aes, key, nonce, aad, plaintext), stream.encrypt(_counters(nonce, 0, 1)))
        if int.from_bytes(_xor(tag, sealed[-TAG_BYTES:]), "big") == 0:
            return plaintext
    raise TrustError("aead", "expected a message sealed with our key, got another key, counter or content")


def _check(key: bytes, nonce: bytes, aad: bytes) -> None:
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES or len(aad) > AAD_BYTES_MAX:
        raise UsageError("length", "AES-CCM wants a 16-byte key, a 13-byte nonce and at most 65279 bytes of AAD")


def _mac(aes: "Any", key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """CBC-MAC (RFC 3610 section 2.2): the last block, before it is masked."""
    chain = aes(key, CBC, bytes(16))
    first = bytes((0x79 if aad else 0x39,)) + nonce + len(plaintext).to_bytes(2, "big")
    last = chain.encrypt(first)
    if aad:
        last = _chain(chain, len(aad).to_bytes(2, "big") + aad, last)
    return _chain(chain, plaintext, last)[-16:]


def _chain(chain: "Any", data: bytes, last: bytes) -> bytes:
    for offset in range(0, len(data), SLICE_BYTES):
        part = data[offset : offset + SLICE_BYTES]
        last = chain.encrypt(part + bytes(-len(part) % 16))
    return last


def _apply(stream: "Any", nonce: bytes, data: bytes) -> bytes:
    out = bytearray()
    for offset in range(0, len(data), SLICE_BYTES):
        part = data[offset : offset + SLICE_BYTES]
        out.extend(_xor(part, stream.encrypt(_counters(nonce, offset // 16 + 1, (len(part) + 15) // 16))))
    return bytes(out)


def _counters(nonce: bytes, first: int, count: int) -> bytes:
    prefix = b"\x01" + nonce
    return b"".join([prefix + number.to_bytes(2, "big") for number in range(first, first + count)])


def _xor(part: bytes, stream: bytes) -> bytes:
    length = len(part)
    made = int.from_bytes(part, "little") ^ int.from_bytes(stream[:length], "little")
    return made.to_bytes(length, "little")
