"""AES-128-CCM: published messages, every slice boundary, and nothing opens that was changed.

RFC 3610 section 8 uses 8-byte tags; of its vectors the ciphertext is ours, the tag is not. The whole message comes from
the COSE working group (cose-wg/Examples, aes-ccm-examples/aes-ccm-enc-02.json: AES-CCM-16-128-128).
"""

from agent import port
from agent.errors import TrustError, UsageError
from tests.expect import raises

KEY = bytes(range(0xC0, 0xD0))
RFC3610 = (  # nonce, whole packet, bytes of AAD, ciphertext without the tag
    ("00000003020100a0a1a2a3a4a5", 31, 8, "588c979a61c663d2f066d0c2c0f989806d5f6b61dac384"),
    ("00000004030201a0a1a2a3a4a5", 32, 8, "72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3b"),
    ("00000005040302a0a1a2a3a4a5", 33, 8, "51b1e5f44a197d1da46b0f8e2d282ae871e838bb64da859657"),
    ("00000006050403a0a1a2a3a4a5", 31, 12, "a28c6865939a9a79faaa5c4c2a9d4a91cdac8c"),
    ("00000007060504a0a1a2a3a4a5", 32, 12, "dcf1fb7b5d9e23fb9d4e131253658ad86ebdca3e"),
)


def test_cose_example():
    crypto = port.crypto()
    key = bytes.fromhex("849B57219DAE48DE646D07DBB533566E")
    nonce = bytes.fromhex("89F52F65A1C580933B5261A72F")
    aad = bytes.fromhex("8369456E6372797074656444A101181E40")
    sealed = bytes.fromhex("6899DA0A132BD2D2B9B10915743EE1F7B92A4680122D9D77E744A057A24C041740301098")
    assert crypto.ccm_seal(key, nonce, aad, b"This is the content.") == sealed
    assert crypto.ccm_open(key, nonce, aad, sealed) == b"This is the content."


def test_rfc3610_ciphertexts():
    crypto = port.crypto()
    for nonce, length, aad_bytes, ciphertext in RFC3610:
        packet = bytes(range(length))
        sealed = crypto.ccm_seal(KEY, bytes.fromhex(nonce), packet[:aad_bytes], packet[aad_bytes:])
        assert sealed[:-16].hex() == ciphertext


def test_lengths_around_blocks_and_slices():
    crypto = port.crypto()
    for length in (0, 1, 15, 16, 17, 31, 32, 511, 512, 513, 1024, 1500):
        for aad_bytes in (0, 1, 13, 14, 15, 30, 509, 510, 511):
            if length > 32 and aad_bytes > 15:
                continue
            text = b"p" * length
            aad = b"a" * aad_bytes
            sealed = crypto.ccm_seal(KEY, b"n" * 13, aad, text)
            assert len(sealed) == length + 16 and crypto.ccm_open(KEY, b"n" * 13, aad, sealed) == text


def test_values_of_the_library():
    """Several slices of plaintext and of AAD, and no AAD at all; computed once with pycryptodome."""
    crypto = port.crypto()
    sealed = crypto.ccm_seal(KEY, b"n" * 13, b"a" * 600, bytes(range(256)) * 5)
    assert crypto.sha256(sealed).hex() == "00de32a4f7b68cc88e471b29dad4bc47873790f728e793a3350a01e2a329b5a2"
    assert crypto.ccm_seal(KEY, b"n" * 13, b"", b"no aad").hex() == "900781ba2a1b31cc43facbdf18380a004643eff9fa77"


def test_nothing_changed_opens():
    crypto = port.crypto()
    nonce = b"n" * 13
    sealed = crypto.ccm_seal(KEY, nonce, b"aad", b"plaintext")
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << (bit % 8)
        assert raises(TrustError, crypto.ccm_open, KEY, nonce, b"aad", bytes(changed)).code == "aead"
    for length in range(len(sealed)):
        assert raises(TrustError, crypto.ccm_open, KEY, nonce, b"aad", sealed[:length]).code == "aead"
    assert raises(TrustError, crypto.ccm_open, KEY, nonce, b"aad", sealed + b"\0").code == "aead"
    assert raises(TrustError, crypto.ccm_open, KEY, nonce, b"aae", sealed).code == "aead"
    assert raises(TrustError, crypto.ccm_open, KEY, nonce, b"", sealed).code == "aead"
    assert raises(TrustError, crypto.ccm_open, KEY, b"m" * 13, b"aad", sealed).code == "aead"
    assert raises(TrustError, crypto.ccm_open, bytes(16), nonce, b"aad", sealed).code == "aead"


def test_lengths_that_are_ours_to_get_right():
    crypto = port.crypto()
    for key, nonce in ((b"k" * 15, b"n" * 13), (b"k" * 32, b"n" * 13), (b"k" * 16, b"n" * 12), (b"", b"")):
        assert raises(UsageError, crypto.ccm_seal, key, nonce, b"", b"x").code == "length"
        assert raises(UsageError, crypto.ccm_open, key, nonce, b"", b"x" * 17).code == "length"
