"""OpenSSL judges what the core issues: the command `openssl` with -x509_strict, and the library in both TLS roles."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from agent import port
from agent.wire.sec1 import encode_sec1
from tests.e2e import needs
from tools.gateway.ca import CA, id_of

SCALAR = 0x1D7F3C5A9B2E4F6081A3C5E7092B4D6F8193A5B7C9DBEDFF1032547698BADCFE


def openssl(*arguments: object, data: bytes | None = None) -> subprocess.CompletedProcess[str]:
    command = [needs.program("openssl"), *[str(each) for each in arguments]]
    stdin = None if data is None else data.decode()
    return subprocess.run(command, capture_output=True, text=True, timeout=30, input=stdin, check=False)


class Issued:
    """One core and one of each certificate, as files."""

    def __init__(self, folder: Path) -> None:
        self.ca = CA(folder / "ca")
        public = port.crypto().p256_public(SCALAR)
        self.device_id = id_of(public)
        der, self.serial = self.ca.issue_device(public, self.device_id)
        self.files = {name: folder / name for name in ("ca.pem", "device.pem", "device.key", "server.pem", "core.pem")}
        self.files["ca.pem"].write_bytes(self.ca.ca_pem)
        self.files["device.pem"].write_text(ssl.DER_cert_to_PEM_cert(der))
        (folder / "device.der").write_bytes(encode_sec1(SCALAR, public))
        made = openssl("ec", "-inform", "DER", "-in", folder / "device.der", "-out", self.files["device.key"])
        assert made.returncode == 0, made.stderr
        for name, (certificate, key) in (
            ("server.pem", self.ca.issue_server([self.ca.server_name])),
            ("core.pem", self.ca.issue_core_client()),
        ):
            self.files[name].write_bytes(certificate + key)

    def verify(self, name: str, purpose: str, *more: object) -> subprocess.CompletedProcess[str]:
        return openssl(
            "verify", "-x509_strict", "-purpose", purpose, *more, "-CAfile", self.files["ca.pem"], self.files[name]
        )


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    return Issued(tmp_path)


def test_openssl_verify_x509_strict_accepts_them(issued: Issued) -> None:
    for name, purpose in (("device.pem", "sslclient"), ("core.pem", "sslclient"), ("server.pem", "sslserver")):
        result = issued.verify(name, purpose)
        assert result.returncode == 0 and result.stdout.strip().endswith("OK"), result.stderr
    assert issued.verify("ca.pem", "any", "-check_ss_sig").returncode == 0


def test_certificates_are_for_one_purpose_only(issued: Issued) -> None:
    assert issued.verify("device.pem", "sslserver").returncode != 0
    assert issued.verify("server.pem", "sslclient").returncode != 0
    assert issued.verify("server.pem", "sslserver", "-verify_hostname", issued.ca.server_name).returncode == 0
    assert issued.verify("server.pem", "sslserver", "-verify_hostname", "core-0000000000000000").returncode != 0


def test_a_board_whose_clock_stands_at_1970_or_2000_accepts_them(issued: Issued) -> None:
    for unix_time in (1, 946_684_800, 32_503_680_000):
        assert issued.verify("server.pem", "sslserver", "-attime", unix_time).returncode == 0


def test_revoked_certificate_is_refused_by_the_list(issued: Issued, tmp_path: Path) -> None:
    crl = tmp_path / "crl.pem"
    crl.write_bytes(issued.ca.crl_pem())
    assert issued.verify("device.pem", "sslclient", "-crl_check", "-CRLfile", crl).returncode == 0
    issued.ca.revoke(issued.serial)
    crl.write_bytes(issued.ca.crl_pem())
    result = issued.verify("device.pem", "sslclient", "-crl_check", "-CRLfile", crl)
    assert result.returncode != 0 and "revoked" in result.stdout + result.stderr
    assert issued.verify("core.pem", "sslclient", "-crl_check", "-CRLfile", crl).returncode == 0


def test_certificate_of_another_core_is_refused(issued: Issued, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Issued(tmp_path / "other")
    result = openssl("verify", "-x509_strict", "-CAfile", other.files["ca.pem"], issued.files["device.pem"])
    assert result.returncode != 0


def test_sec1_key_is_read_by_openssl_and_fits_its_certificate(issued: Issued) -> None:
    key = openssl("ec", "-in", issued.files["device.key"], "-pubout", "-check")
    certificate = openssl("x509", "-in", issued.files["device.pem"], "-pubkey", "-noout")
    assert key.returncode == 0, key.stderr
    assert key.stdout.strip().endswith(certificate.stdout.strip())


def test_mutual_tls_with_strict_flags_both_ways(issued: Issued) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(issued.files["server.pem"])
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_cert_chain(issued.files["device.pem"], issued.files["device.key"])
    for context in (server, client):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(issued.files["ca.pem"])

    async def main() -> None:
        seen: list[object] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(writer.get_extra_info("peercert")["subject"])
            writer.write(await reader.readexactly(4))
            await writer.drain()
            writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
        tcp_port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", tcp_port, ssl=client, server_hostname=issued.ca.server_name
        )
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()
        assert seen == [((("commonName", issued.device_id),),)]
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", tcp_port, ssl=client, server_hostname="core-ffffffffffffffff")
        listener.close()

    asyncio.run(main())
