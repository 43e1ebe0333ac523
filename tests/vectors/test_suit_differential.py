"""The verifier against the libraries: pyhsslms signs and verifies HSS/LMS, `cryptography` P-256, cbor2 encodes.

Invariant: what a library signs we accept, and the library too; changed by a bit, we do not.
Seeded; CORELET_FULL=1 tries more.
"""

import contextlib
import os
import random
from typing import Any

import cbor2
import pyhsslms  # type: ignore[import-untyped]
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from ota import cose, keys, lms, manifest, p256, verify
from ota.errors import CoreletError
from tests.unit.ota.making import digest_of
from tests.unit.ota.making import manifest as made_manifest
from tests.vectors import suit

ROUNDS = 20 if os.environ.get("CORELET_FULL") == "1" else 1
LMS_H5, LMOTS = 5, (1, 2, 3, 4)


def by_library(public: bytes, message: bytes, signature: bytes) -> bool:
    with contextlib.suppress(Exception):  # it raises many kinds
        return bool(pyhsslms.HssPublicKey.deserialize(public).verify(message, signature))
    return False


def made_hss(levels: int, lmots: int) -> Any:
    lms_type = pyhsslms.lms_sha256_m32_h5
    ots = {1: "w1", 2: "w2", 3: "w4", 4: "w8"}[lmots]
    return pyhsslms.HssPrivateKey(
        levels=levels, lms_type=lms_type, lmots_type=getattr(pyhsslms, "lmots_sha256_n32_" + ots)
    )


def flipped(seed: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    bit = seed.randrange(8 * len(data))
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(("levels", "lmots"), [(1, 1), (1, 2), (1, 3), (1, 4), (2, 3), (3, 2)])
def test_hss_signatures(levels: int, lmots: int) -> None:
    seed = random.Random(levels * 10 + lmots)
    private = made_hss(levels, lmots)
    public = private.publicKey().serialize()
    assert lms.is_public(public) and keys.read_key(public) == public
    for _ in range(min(2 * ROUNDS, 32)):  # H5 signs 32 times
        message = seed.randbytes(seed.randrange(200))
        signature = private.sign(message)
        assert lms.verify(public, message, signature) and by_library(public, message, signature)
        for _ in range(20):
            changed = flipped(seed, signature)
            assert not lms.verify(public, message, changed)
        for length in (0, 3, 4, 8, len(signature) - 1):
            assert not lms.verify(public, message, signature[:length])
        other = flipped(seed, public)
        assert not lms.verify(other, message, signature)  # the library does not compare the types of key and signature


def test_published_hss_agrees_but_for_n_24() -> None:
    for case in suit.load("hss-lms.json"):
        fields = [bytes.fromhex(case[name]) for name in ("public", "message", "signature")]
        assert by_library(fields[0], fields[1], fields[2]) == case["pyhsslms_says"] is True
        assert lms.verify(fields[0], fields[1], fields[2]) == (case["name"] != "SHA256192")


def test_p256_signatures() -> None:
    """Keys and signatures of `cryptography`; the whole of Wycheproof runs against p256 in test_wycheproof.py."""
    seed = random.Random(256)
    for _ in range(20 * ROUNDS):
        private = ec.derive_private_key(seed.getrandbits(255) + 1, ec.SECP256R1())
        public = private.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        point = keys.read_key(pem)
        assert point == public.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )  # fmt: skip
        message = seed.randbytes(100)
        r, s = utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert p256.verify(point, message, signature)
        changed = flipped(seed, signature)
        der = utils.encode_dss_signature(int.from_bytes(changed[:32], "big"), int.from_bytes(changed[32:], "big"))
        with pytest.raises(InvalidSignature):
            public.verify(der, message, ec.ECDSA(hashes.SHA256()))
        assert not p256.verify(point, message, changed)


def test_other_keys_of_the_library_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    made = [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ]
    for private in made:
        public: Any = private.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(CoreletError):
            keys.read_key(pem)
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(CoreletError):
        keys.read_key(secret)


def test_an_envelope_made_with_libraries_only() -> None:
    """1-of-2 by P-256 and HSS/LMS: every byte from cbor2, cryptography and pyhsslms."""
    content = made_manifest()
    signed = cbor2.dumps([-16, digest_of(content)])
    private, hss = ec.generate_private_key(ec.SECP256R1()), made_hss(1, 3)
    blocks = []
    for algorithm in (-9, -46):
        protected = cbor2.dumps({1: algorithm})
        message = cbor2.dumps(["Signature1", protected, b"", signed])
        if algorithm == -46:
            proof = hss.sign(message)
        else:
            r, s = utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
            proof = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        blocks.append(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, None, proof])))
    data = cbor2.dumps(cbor2.CBORTag(107, {2: cbor2.dumps([signed, *blocks]), 3: content}))
    numbers = private.public_key().public_numbers()
    x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
    publics = tuple(
        keys.read_key(file)
        for file in (
            cbor2.dumps({1: 2, 3: -9, -1: 1, -2: x, -3: y}, canonical=True),
            cbor2.dumps({1: 5, 3: -46, -1: hss.publicKey().serialize()}, canonical=True),
        )
    )
    assert verify.read_release(data, 2, publics).signers == [0, 1]
    assert cose.signers(publics[::-1], blocks, signed) == [1, 0]


@pytest.mark.parametrize("length", [65535, 65536, 70000])
def test_digests_of_long_members(length: int) -> None:
    assert manifest.digest(bytes(length)) == digest_of(bytes(length))
