"""The core's certificate authority: what is on disk, what it issues, what it refuses. OpenSSL's view: tests/e2e."""

import hashlib
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.errors import LimitError, PortError, TrustError, UsageError
from tools.gateway import ca as module
from tools.gateway.ca import CA, id_of, point_of


def device() -> bytes:
    return point_of(ec.generate_private_key(ec.SECP256R1()).public_key())


@pytest.fixture
def core(tmp_path: Path) -> CA:
    return CA(tmp_path / "state" / "ca")


def test_same_core_after_a_restart(tmp_path: Path) -> None:
    first, second = CA(tmp_path), CA(tmp_path)
    assert first.core_id == second.core_id and len(first.core_id) == 16
    assert first.ca_der == second.ca_der
    assert (first.signing_scalar, first.signing_public) == (second.signing_scalar, second.signing_public)
    assert CA(tmp_path / "other").core_id != first.core_id


def test_files_are_private_and_the_key_stays(core: CA, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ca"
    core.revoke(1)
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    server, server_key = core.issue_server([core.server_name])
    for public in (core.ca_der, core.ca_pem, core.crl_pem(), server, server_key, core.signing_public):
        assert secret not in public
    assert core.signing_scalar.to_bytes(32, "big") != secret
    assert core.core_id == hashlib.sha256(point_of(key.public_key())).hexdigest()[:16]


def test_umask_does_not_open_the_keys(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        CA(tmp_path / "ca")
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "ca").iterdir())


def test_device_certificate(core: CA) -> None:
    public = device()
    der, serial = core.issue_device(public, id_of(public))
    certificate = x509.load_der_x509_certificate(der)
    assert certificate.serial_number == serial and len(der) < 640
    assert certificate.subject.rfc4514_string() == "CN=" + id_of(public)
    assert certificate.not_valid_before_utc.year == 1970 and certificate.not_valid_after_utc.year == 9999
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).critical
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).critical
    certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert core.check(der) == id_of(public)


def test_serials_are_random_and_long(core: CA) -> None:
    public = device()
    serials = [core.issue_device(public, id_of(public))[1] for _ in range(20)]
    assert len(set(serials)) == 20 and max(serials) > 1 << 128


def test_server_and_core_certificates(core: CA) -> None:
    for pem, key_pem in (core.issue_server([core.server_name, "broker.local"]), core.issue_core_client()):
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(key_pem, None)
        assert certificate.public_key() == key.public_key()
    names = x509.load_pem_x509_certificate(core.issue_server(["core-1", "b.local"])[0])
    alternatives = names.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == ["core-1", "b.local"]
    for bad in ([], ["n"] * 17):
        with pytest.raises(UsageError):
            core.issue_server(bad)


def test_refuses_what_is_no_point_or_another_id(core: CA) -> None:
    public = device()
    for point in (b"", public[:64], b"\x02" + public[1:33], b"\x04" + b"\x00" * 64, b"\x04" + b"\x01" * 64):
        with pytest.raises(UsageError, match="point"):
            core.issue_device(point, id_of(point))
    with pytest.raises(UsageError, match="device id"):
        core.issue_device(public, "0" * 16)


def test_certificate_of_another_cores_ca_is_refused(core: CA, tmp_path: Path) -> None:
    other = CA(tmp_path / "other")
    public = device()
    der, _ = other.issue_device(public, id_of(public))
    for bad in (der, other.ca_der, b"", b"\x30\x03\x02\x01\x01", der[:-1]):
        with pytest.raises(TrustError) as caught:
            core.check(bad)
        assert caught.value.code == "certificate"


def test_revocation_is_durable_and_listed(core: CA, tmp_path: Path) -> None:
    public = device()
    der, serial = core.issue_device(public, id_of(public))
    first = x509.load_pem_x509_crl(core.crl_pem())
    core.revoke(serial)
    core.revoke(serial)
    again = CA(tmp_path / "state" / "ca")
    assert again.is_revoked(serial) and not again.is_revoked(serial + 1)
    crl = x509.load_pem_x509_crl(again.crl_pem())
    assert [entry.serial_number for entry in crl] == [serial] and not list(first)
    numbers = [each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for each in (first, crl)]
    assert numbers[0] < numbers[1]
    with pytest.raises(TrustError, match="revoked"):
        again.check(der)


def test_revocation_list_is_bounded(core: CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REVOKED_MAX", 2)
    core.revoke(1)
    core.revoke(2)
    with pytest.raises(LimitError):
        core.revoke(3)


def test_damage_is_told_and_never_repaired_by_a_new_identity(core: CA, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ca"
    core_id = core.core_id
    kept = (folder / "ca.key").read_bytes()
    (folder / "ca.key").unlink()
    with pytest.raises(TrustError, match="restore its backup"):
        CA(folder)
    (folder / "ca.key").write_bytes(b"nonsense")
    (folder / "ca.key").chmod(0o600)
    with pytest.raises(TrustError, match="no private key"):
        CA(folder)
    (folder / "ca.key").write_bytes(kept)
    (folder / "ca.key").chmod(0o640)
    with pytest.raises(TrustError, match="chmod 600"):
        CA(folder)
    (folder / "ca.key").chmod(0o600)
    (folder / "revoked.json").write_text("{")
    with pytest.raises(TrustError, match="damaged"):
        CA(folder)
    (folder / "revoked.json").unlink()
    (folder / "ca.pem").write_bytes(CA(tmp_path / "other").ca_pem)
    with pytest.raises(TrustError, match="does not belong"):
        CA(folder)
    (folder / "ca.pem").unlink()  # a power cut after the key, before the certificate: the key is the identity
    assert CA(folder).core_id == core_id


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PortError, match="could not be read or written"):
        CA(tmp_path / "file" / "ca")
