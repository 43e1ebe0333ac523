"""COSE_Mac0 and COSE_Sign1: published messages byte by byte, and everything outside our profile is refused."""

from agent import port
from agent.errors import PeerError, TrustError, UsageError
from agent.wire import cose, sign1
from tests.expect import raises
from tests.unit.agent.wire.cosing import SCALAR, TEXT, message

KEY = bytes.fromhex("849B57219DAE48DE646D07DBB533566E976686457C1491BE3A76DCEA6C427188")
# cose-wg/Examples, mac0-tests/HMac-01.json: exactly our profile.
MAC0 = bytes.fromhex(
    "D18443A10105A054546869732069732074686520636F6E74656E742E5820"
    "A1A848D3471F9D61EE49018D244C824772F223AD4F935293F1789FC3A08D8C58"
)
# That of SCALAR.
PUBLIC = bytes.fromhex(
    "04bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
    "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
)
# ecdsa-examples/ecdsa-sig-01.json: ES256 with content type in the protected and kid in the unprotected header.
SIGNED = bytes.fromhex("846A5369676E61747572653145A2012603004054546869732069732074686520636F6E74656E742E")
SIGNED_PROOF = bytes.fromhex(
    "EAE868ECC176883766C5DC5BA5B8DCA25DAB3C2E56A551CE5705B793914348E1"
    "72727F48461FABBBA2E343492DDECAC3983686250BC68E9F1A7A07D41225B59F"
)


def test_published_mac0():
    codec = port.codec()
    crypto = port.crypto()
    assert cose.mac0(codec, crypto, KEY, TEXT) == MAC0
    assert cose.open_mac0(codec, crypto, KEY, MAC0) == TEXT
    assert cose.mac0_kid(codec, MAC0) == b""


def test_published_sign1():
    """Its Sig_structure verifies; the message itself has more headers than our profile."""
    codec = port.codec()
    crypto = port.crypto()
    assert crypto.p256_public(SCALAR) == PUBLIC
    assert codec.encode(["Signature1", b"\xa2\x01\x26\x03\x00", b"", TEXT]) == SIGNED
    assert crypto.ecdsa_verify(PUBLIC, SIGNED, SIGNED_PROOF)
    data = message(18, b"\xa2\x01\x26\x03\x00", {4: b"11"}, TEXT, SIGNED_PROOF)
    assert raises(PeerError, sign1.verify, codec, crypto, PUBLIC, data).code == "cose"


def test_structures_to_the_byte():
    """What is authenticated, computed here by hand from RFC 9052 sections 4.4 and 6.3."""
    codec = port.codec()
    crypto = port.crypto()
    data = cose.mac0(codec, crypto, KEY, b"pay", b"core")
    protected = bytes.fromhex("a2010504") + b"\x44core"
    signed = b"\x84\x64MAC0" + bytes((0x40 + len(protected),)) + protected + b"\x40" + b"\x43pay"
    assert data == b"\xd1\x84\x49" + protected + b"\xa0\x43pay\x58\x20" + crypto.hmac_sha256(KEY, signed)
    data = sign1.sign(codec, crypto, SCALAR, b"pay", b"core")
    protected = bytes.fromhex("a2012804") + b"\x44core"
    signed = b"\x84\x6aSignature1" + b"\x49" + protected + b"\x40" + b"\x43pay"
    assert data == b"\xd2\x84\x49" + protected + b"\xa0\x43pay\x58\x40" + crypto.ecdsa_sign(SCALAR, signed)


def test_round_trip_with_key_id():
    codec = port.codec()
    crypto = port.crypto()
    for payload in (b"", b"x", b"y" * 700):
        data = cose.mac0(codec, crypto, KEY, payload, b"0123456789abcdef")
        assert cose.mac0_kid(codec, data) == b"0123456789abcdef"
        assert cose.open_mac0(codec, crypto, KEY, data) == payload
    data = sign1.sign(codec, crypto, SCALAR, b"order", b"core")
    assert sign1.verify(codec, crypto, PUBLIC, data) == b"order"


def test_wrong_keys_and_proofs():
    codec = port.codec()
    crypto = port.crypto()
    data = cose.mac0(codec, crypto, KEY, b"payload")
    assert raises(TrustError, cose.open_mac0, codec, crypto, bytes(32), data).code == "mac"
    for proof in (b"", bytes(31), bytes(32), bytes(33), data[-32:-16], data[-32:] + b"\0"):
        changed = message(17, {1: 5}, {}, b"payload", proof)
        assert raises(TrustError, cose.open_mac0, codec, crypto, KEY, changed).code == "mac"
    signed = sign1.sign(codec, crypto, SCALAR, b"payload")
    assert raises(TrustError, sign1.verify, codec, crypto, crypto.p256_public(3), signed).code == "signature"
    assert raises(TrustError, sign1.verify, codec, crypto, b"\x04" * 65, signed).code == "signature"
    for proof in (b"", bytes(64), signed[-64:-1], signed[-64:] + b"\0"):
        changed = message(18, {1: -9}, {}, b"payload", proof)
        assert raises(TrustError, sign1.verify, codec, crypto, PUBLIC, changed).code == "signature"


def test_our_own_mistakes():
    codec = port.codec()
    crypto = port.crypto()
    for key in (b"", b"k" * 31):
        assert raises(UsageError, cose.mac0, codec, crypto, key, b"").code == "key"
        assert raises(UsageError, cose.open_mac0, codec, crypto, key, MAC0).code == "key"
    assert raises(UsageError, cose.mac0, codec, crypto, KEY, b"", b"k" * 65).code == "kid"
    assert raises(UsageError, cose.mac0, codec, crypto, KEY, bytes(cose.PAYLOAD_BYTES_MAX + 1)).code == "too_big"
