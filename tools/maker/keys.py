"""Private keys that sign releases and documents of trust: P-256, and HSS/LMS of one level (H5 or H10, w = 4).

A key is three files: NAME, PKCS#8 under a passphrase (PBES2 with scrypt and AES-256; openssl reads it too); NAME.pub,
the public key in PEM; and for HSS NAME.leaves (tools/maker/leaves.py). Inside PKCS#8 a P-256 key is that of RFC 5915;
an HSS key has the identifier of RFC 9708 and holds the number of levels, then LMS type, LM-OTS type, seed, I and a
zero, as pyhsslms writes them: no standard says how.

Every signature is verified by ota, which is what devices run, before anybody gets it.
"""

import hashlib
from pathlib import Path
from typing import Any

from Crypto.Hash import SHA256
from Crypto.IO import PEM, PKCS8
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from Crypto.Util.asn1 import DerObjectId

from ota import cbor, cose
from ota.errors import TrustError, UsageError
from ota.keys import KEY_BYTES_MAX, read_key
from tools.maker import files
from tools.maker.leaves import Leaves, State, peek

OID_HSS_LMS = "1.2.840.113549.1.9.16.3.17"
OID_EC = "1.2.840.10045.2.1"
CURVE = DerObjectId("1.2.840.10045.3.1.7")
# Of the three ways of equal cost that OWASP names, the one that openssl opens without being told to take more memory.
PROTECTION = "scryptAndAES256-CBC"
COST: Any = {"iteration_count": 1 << 14, "block_size": 8, "parallelization": 5}
PEM_LABEL = "ENCRYPTED PRIVATE KEY"
LMS_TYPES = {5: "lms_sha256_m32_h5", 10: "lms_sha256_m32_h10"}  # as pyhsslms names them
LMS_PRIVATE_BYTES = 60
KID_BYTES = 8
P256, HSS = "p256", "hss"


class Signer:
    """One open private key. `public`: as ota.cose takes it."""

    public: bytes
    algorithm: int

    def prove(self, message: bytes) -> bytes:
        raise NotImplementedError

    def sign(self, payload: bytes, aad: bytes = b"") -> bytes:
        """COSE_Sign1, detached. No verifier of ours asks for a key id. Who merges copies does, where a key signs a text
        in many ways (HSS); P-256 signatures of one text by one key are equal, and need none of its ten bytes."""
        header: dict[int, Any] = {1: self.algorithm}
        if self.algorithm == cose.HSS_LMS:
            header[4] = key_id(self.public)
        protected = cbor.encode(header)
        proof = self.prove(cbor.encode(["Signature1", protected, aad, payload]))
        made = cbor.encode(cbor.Tag(cose.TAG_SIGN1, [protected, {}, None, proof]))
        if not cose.is_by(self.public, cose.read_signature(made), payload, aad):
            raise TrustError("signature", "expected a signature that verifies, got another: this machine errs")
        return made


class P256Signer(Signer):
    """Nonces by RFC 6979: a bad random generator cannot give the key away."""

    algorithm = cose.ESP256

    def __init__(self, private: "ECC.EccKey") -> None:
        self._private = private
        self.public = private.public_key().export_key(format="SEC1")

    def prove(self, message: bytes) -> bytes:
        return DSS.new(self._private, "deterministic-rfc6979").sign(SHA256.new(message))


class HssSigner(Signer):
    """The tree is computed anew each time (H10: some seconds): no file of secrets more."""

    algorithm = cose.HSS_LMS

    def __init__(self, private: bytes, path: Path) -> None:
        if len(private) != 4 + LMS_PRIVATE_BYTES or private[:4] != _number(1) or private[-4:] != _number(0):
            raise UsageError("key", "expected an HSS key of one level as `keys new` makes it, got another")
        self._private: Any = _pyhsslms().LmsPrivateKey.deserialize(private[4:])
        self.public = private[:4] + self._private.publicKey().serialize()
        secret = hashlib.sha256(b"corelet-leaves" + private).digest()
        self.leaves = Leaves(leaves_path(path), secret, key_id(self.public).hex())

    def prove(self, message: bytes) -> bytes:
        with self.leaves.locked() as descriptor:
            self._private.q = self.leaves.reserve(descriptor)
            return _number(0) + bytes(self._private.sign(message))

    def claim(self, first: int) -> State:
        with self.leaves.locked() as descriptor:
            return self.leaves.claim(descriptor, first)


def make(path: Path, kind: str, height: int, passphrase: bytes) -> bytes:
    """Write a new key; its public half. The private file comes last: what is there works."""
    for one in (path, public_path(path), leaves_path(path)):
        files.check_new(one)
    if kind == P256:
        private = ECC.generate(curve="P-256")
        pem = private.export_key(format="PEM", passphrase=passphrase, protection=PROTECTION, prot_params=COST)
        public = P256Signer(private).public
    else:
        library = _pyhsslms()
        lms_type = getattr(library, LMS_TYPES[height])
        made = library.LmsPrivateKey(lms_type=lms_type, lmots_type=library.lmots_sha256_n32_w4)
        secret = _number(1) + made.serialize()
        der = PKCS8.wrap(secret, OID_HSS_LMS, passphrase, PROTECTION, COST, key_params=None)
        pem = PEM.encode(der, PEM_LABEL)
        public = _number(1) + made.publicKey().serialize()
        digest = hashlib.sha256(b"corelet-leaves" + secret).digest()
        Leaves(leaves_path(path), digest, key_id(public).hex()).create(height)
    files.write(public_path(path), exported(public, "pem"))
    files.write_new_secret(path, pem.encode() + b"\n")
    return public


def open_signer(path: Path, passphrase: bytes) -> Signer:
    """UsageError("passphrase") where it does not open the file, UsageError("key") where that is no key of ours."""
    text = files.read_secret(path).decode("ascii", "replace")
    if f"-----BEGIN {PEM_LABEL}-----" not in text:
        raise UsageError("key", f"expected a private key in PKCS#8 under a passphrase, got something else in {path}")
    try:
        der, _, _ = PEM.decode(text.strip())
        oid, private, curve = PKCS8.unwrap(der, passphrase)
        if oid == OID_EC and curve == CURVE.encode():
            return P256Signer(ECC.import_key(PKCS8.wrap(private, oid, key_params=CURVE)))
    except (ValueError, IndexError, TypeError):
        raise UsageError("passphrase", f"expected the passphrase of {path}, got another (or a damaged file)") from None
    if oid != OID_HSS_LMS:
        raise UsageError("key", f"expected a key of P-256 or HSS/LMS, got one of kind {oid} in {path}")
    return HssSigner(private, path)


def read_public(path: Path) -> bytes:
    """Of a public key file; of a private one the file beside it, so that nobody has to type a passphrase."""
    data = files.read(path, KEY_BYTES_MAX)
    if PEM_LABEL.encode() in data:
        data = files.read(public_path(path), KEY_BYTES_MAX)
    return read_key(data)


def exported(public: bytes, form: str) -> bytes:
    """`form`: pem, cose (COSE_Key) or raw (HSS only)."""
    is_point = len(public) == cose.POINT_BYTES
    if form == "raw" and is_point:
        raise UsageError("form", "expected an HSS key for the raw form, got one of P-256: it has pem and cose")
    if form == "cose" and is_point:
        made = cbor.encode({1: 2, 3: cose.ESP256, -1: 1, -2: public[1:33], -3: public[33:]})
    elif form == "cose":
        made = cbor.encode({1: 5, 3: cose.HSS_LMS, -1: public})
    elif form == "raw":
        made = public
    else:
        made = PEM.encode(_der(public), "PUBLIC KEY").encode() + b"\n"
    if read_key(made) != public:
        raise TrustError("key", "expected a file that says the same key, got another: this machine errs")
    return made


def key_id(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:KID_BYTES]


def kind_of(public: bytes) -> str:
    return P256 if len(public) == cose.POINT_BYTES else HSS


def public_path(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def leaves_path(path: Path) -> Path:
    return path.with_name(path.name + ".leaves")


def leaves_left(path: Path) -> State | None:
    """Unproven; None where it is no HSS key."""
    return peek(leaves_path(path)) if leaves_path(path).exists() else None


def _pyhsslms() -> Any:
    """Only who signs with HSS/LMS needs it; UsageError("library")."""
    try:
        import pyhsslms  # type: ignore[import-untyped]
    except ImportError:
        text = "expected the library pyhsslms for HSS/LMS keys, got none: pip install '.[maker]' in the checkout"
        raise UsageError("library", text) from None
    return pyhsslms


def _der(public: bytes) -> bytes:
    """SubjectPublicKeyInfo; of HSS as in RFC 9802, which pycryptodome does not know."""
    if len(public) == cose.POINT_BYTES:
        return ECC.import_key(public, curve_name="P-256").export_key(format="DER")
    return bytes.fromhex("304e300d060b2a864886f70d0109100311033d00") + public


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
