"""The password of the TURN REST scheme is the one that everybody else computes: with openssl's command line."""

import subprocess
from typing import Any

import pytest

from agent.core.relay import credentials
from tests.e2e import needs
from tests.vectors.bodies import each_crypto


@each_crypto
@pytest.mark.parametrize("secret", ("s", "s3cr3t", "00112233445566778899aabbccddeeff" * 2, "k" * 65))
@pytest.mark.parametrize(
    "name", ("1700000600:alice", "1700000600", "1700000600:Zo\u00eb@example.org", "9:" + "x" * 200)
)
def test_openssl_gives_the_same_password(crypto: Any, secret: str, name: str) -> None:
    openssl = needs.program("openssl")
    mac = [openssl, "dgst", "-binary", "-sha1", "-hmac", secret]  # of a test; a real secret is never an argument
    digest = subprocess.run(mac, input=name.encode(), capture_output=True, check=True).stdout
    text = subprocess.run([openssl, "base64"], input=digest, capture_output=True, check=True).stdout.strip()
    assert credentials.rest_password(crypto, secret.encode(), name.encode()) == text
