"""The core's certificate authority: one P-256 key that admits devices, and one that signs orders.

What it is: `CA(folder)` makes both keys on first use, issues X.509 certificates (RFC 5280) to
devices, to the broker and to the core itself, and keeps the revocation list.
What it is not: it holds no list of devices (the registry does) and talks to nobody.

- The CA key never leaves `folder` (0700; keys 0600); no method returns it.
- The core id is hex(SHA-256(CA public point))[:16]: who holds another key is another core.
- Validity is 1970 to 9999. Boards without a clock start in 1970 or 2000 and Mbed TLS compares dates,
  and a LAN identity must not lock anybody out by expiring: the revocation list ends it, not the calendar.
- SKI and AKI are in every certificate: strict verifiers (OpenSSL -x509_strict, CPython 3.13) want them.
- Serials have 159 random bits (RFC 5280 section 4.1.2.2): keep them as text, not as a 64-bit column.

Bounds: REVOKED_MAX serials in the list, SERVER_NAMES_MAX names in a certificate.
"""

import contextlib
import datetime
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import LimitError, PortError, TrustError, UsageError
from ota import cbor, cose
from ota.trust import KIND_BEACON
from tools.gateway.private import write_private

REVOKED_MAX = 100_000
SERVER_NAMES_MAX = 16

NOT_BEFORE = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
CORE_NAME = "core"  # common name of the core's own client certificate

_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """65 bytes, uncompressed SEC1."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def id_of(public65: bytes) -> str:
    """The id of whoever holds this key, device or core: 16 lower-case hex digits."""
    return hashlib.sha256(public65).hexdigest()[:16]


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """OSError becomes PortError with what to do."""
    try:
        yield
    except OSError as error:
        text = f"{path} could not be read or written ({error.strerror}): check the disk and the owner of this folder"
        raise PortError("io", text) from error


def _write(path: Path, data: bytes) -> None:
    """Old or new, never half of it, and never readable by others, not even for a moment."""
    with _disk(path):
        write_private(path, data)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    with _disk(path):
        mode = path.stat().st_mode & 0o077
        data = path.read_bytes()
    if mode:
        raise TrustError("key_mode", f"{path} can be read by other users: run chmod 600 on it, or restore a backup")
    try:
        key = serialization.load_pem_private_key(data, None)
    except ValueError as error:
        raise TrustError("key", f"{path} holds no private key: restore the backup of this core") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError("key", f"{path} holds no P-256 key: restore the backup of this core")
    return key


def _public_key(public65: bytes) -> ec.EllipticCurvePublicKey:
    if len(public65) != 65 or public65[0] != 4:
        raise UsageError("point", f"expected a 65-byte uncompressed P-256 point, came {len(public65)} bytes")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public65)
    except ValueError as error:
        raise UsageError("point", "expected a point of P-256, came 65 bytes that are not on the curve") from error


class CA:
    """Issues and revokes for one core. One process at a time holds the folder (the app locks it)."""

    def __init__(self, folder: Path) -> None:
        """Creates what is missing. TrustError("key"/"key_mode"): the folder is damaged; PortError("io")."""
        self._folder = folder
        with _disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = self._load_or_make("ca.key", "ca.pem")
        self._signing = self._load_or_make("signing.key", None)
        public = point_of(self._key.public_key())
        self.core_id = id_of(public)
        self.server_name = "core-" + self.core_id
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corelet core " + self.core_id)])
        self._certificate = self._load_or_make_certificate()
        self.ca_der = self._certificate.public_bytes(serialization.Encoding.DER)
        self.ca_pem = self._certificate.public_bytes(serialization.Encoding.PEM)
        self.signing_public = point_of(self._signing.public_key())
        self._revoked = self._read_revoked()

    @property
    def signing_scalar(self) -> int:
        """Private scalar of the key for orders (COSE_Sign1), not of the CA."""
        return self._signing.private_numbers().private_value

    @property
    def public(self) -> bytes:
        """The CA's own, 65 bytes: what a device knows beacons by."""
        return point_of(self._key.public_key())

    def sign_beacon(self, payload: bytes) -> bytes:
        """COSE_Sign1 as ota/cose.py reads it. Nothing else but certificates is signed with this key: what is signed
        here begins as a Sig_structure (RFC 9052 section 4.4) of this kind, which no certificate does."""
        protected = cbor.encode({1: cose.ESP256})
        message = cbor.encode(["Signature1", protected, KIND_BEACON, payload])
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        proof = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return cbor.encode(cbor.Tag(cose.TAG_SIGN1, [protected, {}, None, proof]))

    def issue_device(self, public65: bytes, device_id: str) -> tuple[bytes, int]:
        """(certificate DER, serial). UsageError("point"/"device_id") when the two do not belong together."""
        key = _public_key(public65)
        if device_id != id_of(public65):
            text = f"expected device id {id_of(public65)}, the hash of its key, came {device_id!r:.40}"
            raise UsageError("device_id", text)
        certificate = self._issue(key, device_id, _CLIENT, [])
        return certificate.public_bytes(serialization.Encoding.DER), certificate.serial_number

    def issue_server(self, names: list[str]) -> tuple[bytes, bytes]:
        """(certificate PEM, key PEM) with a fresh key; `names` become SAN dNSName, the first also the CN."""
        if not 1 <= len(names) <= SERVER_NAMES_MAX:
            raise UsageError("names", f"expected 1 to {SERVER_NAMES_MAX} server names, came {len(names)}")
        return self._issue_with_key(names[0], _SERVER, names)

    def issue_core_client(self) -> tuple[bytes, bytes]:
        """(certificate PEM, key PEM) for the core's own connections to the broker; CN "core"."""
        return self._issue_with_key(CORE_NAME, _CLIENT, [])

    def revoke(self, serial: int) -> None:
        """Durable before it returns; revoking twice is fine. Then hand `crl_pem()` to the broker."""
        if serial in self._revoked:
            return
        if len(self._revoked) >= REVOKED_MAX:
            raise LimitError("revoked", f"the revocation list holds {REVOKED_MAX} serials: start a new core identity")
        revoked = [*self._revoked, serial]
        _write(self._folder / "revoked.json", json.dumps([f"{each:x}" for each in revoked]).encode())
        self._revoked = revoked

    def is_revoked(self, serial: int) -> bool:
        return serial in self._revoked

    def crl_pem(self) -> bytes:
        """RFC 5280 section 5, with AKI and a CRL number that grows with each revocation."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        # Dates as in the certificates: a core whose clock fell back must not find its own list "not yet valid".
        builder = builder.last_update(NOT_BEFORE).next_update(NOT_AFTER)
        for serial in self._revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOT_BEFORE)
            builder = builder.add_revoked_certificate(entry.build())
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(key_id, critical=False)
        builder = builder.add_extension(x509.CRLNumber(len(self._revoked) + 1), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def check(self, cert_der: bytes) -> str:
        """Common name of a certificate of ours; TrustError("certificate") for another's or a revoked one."""
        try:
            certificate = x509.load_der_x509_certificate(cert_der)
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature) as error:
            text = f"expected a certificate issued by core {self.core_id}, came one that is not: pair the device again"
            raise TrustError("certificate", text) from error
        if certificate.serial_number in self._revoked:
            raise TrustError("certificate", "this certificate was revoked: pair the device again")
        return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    def _load_or_make(self, key_name: str, certificate_name: str | None) -> ec.EllipticCurvePrivateKey:
        path = self._folder / key_name
        if path.exists():
            return _read_key(path)
        if certificate_name is not None and (self._folder / certificate_name).exists():
            # A new key would be a new core: every device would be lost without a word.
            raise TrustError("key", f"{path} is missing although this core was set up: restore its backup")
        key = ec.generate_private_key(ec.SECP256R1())
        _write(path, _key_pem(key))
        return key

    def _load_or_make_certificate(self) -> x509.Certificate:
        path = self._folder / "ca.pem"
        if not path.exists():
            certificate = self._build(self._key.public_key(), self._name, True, None, [])
            _write(path, certificate.public_bytes(serialization.Encoding.PEM))
            return certificate
        with _disk(path):
            data = path.read_bytes()
        try:
            certificate = x509.load_pem_x509_certificate(data)
            public = certificate.public_key()
        except ValueError as error:
            raise TrustError("certificate", f"{path} is damaged: restore the backup of this core") from error
        if not isinstance(public, ec.EllipticCurvePublicKey) or id_of(point_of(public)) != self.core_id:
            raise TrustError("certificate", f"{path} does not belong to ca.key: restore the backup of this core")
        return certificate

    def _read_revoked(self) -> list[int]:
        path = self._folder / "revoked.json"
        if not path.exists():
            return []
        with _disk(path):
            data = path.read_bytes()
        try:
            return [int(text, 16) for text in json.loads(data)]
        except (ValueError, TypeError) as error:
            raise TrustError("revoked", f"{path} is damaged: restore the backup of this core") from error

    def _issue_with_key(self, name: str, usage: x509.ObjectIdentifier, names: list[str]) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issue(key.public_key(), name, usage, names)
        return certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key)

    def _issue(
        self, key: ec.EllipticCurvePublicKey, name: str, usage: x509.ObjectIdentifier, names: list[str]
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._build(key, subject, False, usage, names)

    def _build(
        self,
        key: ec.EllipticCurvePublicKey,
        subject: x509.Name,
        is_ca: bool,
        usage: x509.ObjectIdentifier | None,
        names: list[str],
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), NOT_BEFORE, NOT_AFTER)
        constraints = x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None)
        builder = builder.add_extension(constraints, critical=True)
        builder = builder.add_extension(_key_usage(is_ca), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _key_usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
