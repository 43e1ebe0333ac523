"""A sample of Project Wycheproof on both interpreters; the whole runs in tests/vectors/test_wycheproof.py."""

from agent import port
from agent.errors import PeerError, UsageError
from tests.expect import raises

SAMPLE = "tests/vectors/data/wycheproof/sample.txt"


def cases(kind):
    """(verdict, fields) of each line of that kind; "-" stands for nothing."""
    with open(SAMPLE) as lines:
        for line in lines:
            words = line.split()
            if words[0] == kind:
                yield words[2], ["" if word == "-" else word for word in words[3:]]


def count(kind, check):
    seen = 0
    for verdict, fields in cases(kind):
        check(port.crypto(), verdict, fields)
        seen += 1
    return seen


def check_ccm(crypto, verdict, fields):
    key, nonce, aad, plaintext, sealed, tag = [bytes.fromhex(field) for field in fields]
    assert verdict == "valid" and crypto.ccm_seal(key, nonce, aad, plaintext) == sealed + tag
    assert crypto.ccm_open(key, nonce, aad, sealed + tag) == plaintext


def check_ecdsa(crypto, verdict, fields):
    public, message, signature = [bytes.fromhex(field) for field in fields]
    assert crypto.ecdsa_verify(public, message, signature) == (verdict == "valid"), fields


def check_ecdh(crypto, verdict, fields):
    scalar = int.from_bytes(bytes.fromhex(fields[1]), "big")
    point = bytes.fromhex(fields[0])
    if verdict == "valid":
        assert crypto.p256_multiply(scalar, point)[1:33].hex() == fields[2], fields
    else:
        assert raises(PeerError, crypto.p256_multiply, scalar, point).code == "point"


def check_hkdf(crypto, verdict, fields):
    secret, salt, info = [bytes.fromhex(field) for field in fields[:3]]
    if verdict == "valid":
        assert crypto.hkdf_sha256(secret, salt, info, int(fields[3])).hex() == fields[4], fields
    else:
        assert raises(UsageError, crypto.hkdf_sha256, secret, salt, info, int(fields[3])).code == "length"


def check_hmac(crypto, verdict, fields):
    key, message, tag = [bytes.fromhex(field) for field in fields]
    assert crypto.equal(crypto.hmac_sha256(key, message)[: len(tag)], tag) == (verdict == "valid"), fields


def check_pbkdf2(crypto, verdict, fields):
    password, salt = [bytes.fromhex(field) for field in fields[:2]]
    assert crypto.pbkdf2_sha256(password, salt, int(fields[2]), int(fields[3])).hex() == fields[4] and verdict


def test_aes_ccm():
    assert count("aes", check_ccm) == 6


def test_ecdsa():
    assert count("ecdsa", check_ecdsa) == 48


def test_ecdh_points():
    assert count("ecdh", check_ecdh) == 48


def test_hkdf():
    assert count("hkdf", check_hkdf) == 27


def test_hmac():
    assert count("hmac", check_hmac) == 48


def test_pbkdf2():
    assert count("pbkdf2", check_pbkdf2) == 1
