"""Three facts of a certificate made by the `cryptography` library; every cut and every flipped bit is noticed."""

from tests.unit.agent.core.pairing.bodies import crypto

# isort: split

from agent.errors import PeerError
from agent.wire import x509
from tests.expect import raises
from tests.unit.agent.core.pairing import certificates


def test_reads_and_verifies() -> None:
    authority = x509.read_certificate(certificates.CA_ONE)
    ours = x509.read_certificate(certificates.CERT_ONE)
    assert crypto.sha256(authority.public)[:8].hex() == certificates.CORE_ONE
    assert ours.public == certificates.DEVICE_PUBLIC
    assert crypto.ecdsa_verify(authority.public, ours.signed, ours.signature)
    assert crypto.ecdsa_verify(authority.public, authority.signed, authority.signature)


def test_every_cut_and_tail_is_refused() -> None:
    der = certificates.CERT_ONE
    for length in range(len(der)):
        assert raises(PeerError, x509.read_certificate, der[:length]).code == "certificate"
    for tail in (b"\x00", der):
        assert raises(PeerError, x509.read_certificate, der + tail).code == "certificate"
    assert raises(PeerError, x509.read_certificate, b"\x30\x82" + b"\xff" * 2000).code == "certificate"


def test_every_flipped_byte_is_refused_or_changes_what_was_signed() -> None:
    der = certificates.CERT_ONE
    good = x509.read_certificate(der)
    for index in range(len(der)):
        bad = der[:index] + bytes((der[index] ^ 0x81,)) + der[index + 1 :]
        try:
            read = x509.read_certificate(bad)
        except PeerError as error:
            assert error.code == "certificate"
            continue
        assert read.signed != good.signed or read.signature != good.signature, index
