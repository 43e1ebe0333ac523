"""Invariant: every Wycheproof case of our algorithms gets its published verdict and bytes from both bodies, and no
case makes either raise anything but our own errors.

sample.txt, for MicroPython: of each file LINES_MAX valid and LINES_MAX other cases, evenly spread over those whose
fields have at most FIELD_CHARS_MAX characters; of PBKDF2, the case with one iteration.
Write it again with `python -m tests.vectors.test_wycheproof`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import PeerError, TrustError, UsageError
from tests.vectors.bodies import each_crypto, library_crypto

DATA = Path(__file__).parent / "data" / "wycheproof"
SAMPLE = DATA / "sample.txt"
LINES_MAX = 24
FIELD_CHARS_MAX = 300


def cases(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    groups = json.loads((DATA / f"{name}.json").read_text())["testGroups"]
    return [(group, case) for group in groups for case in group["tests"]]


def unhex(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


@each_crypto
def test_aes_ccm(crypto: Any) -> None:
    seen = 0
    for _group, case in cases("aes_ccm_test"):
        key, nonce, aad, plaintext, sealed, tag = unhex(case, "key", "iv", "aad", "msg", "ct", "tag")
        assert case["result"] == "valid"
        assert crypto.ccm_seal(key, nonce, aad, plaintext) == sealed + tag
        assert crypto.ccm_open(key, nonce, aad, sealed + tag) == plaintext
        for bit in range(128):
            wrong = bytearray(sealed + tag)
            wrong[-1 - bit // 8] ^= 1 << bit % 8
            with pytest.raises(TrustError):
                crypto.ccm_open(key, nonce, aad, bytes(wrong))
        seen += 1
    assert seen == 6


@each_crypto
def test_ecdsa(crypto: Any) -> None:
    verdicts = {"valid": 0, "invalid": 0}
    for group, case in cases("ecdsa_secp256r1_sha256_p1363_test"):
        public = bytes.fromhex(group["publicKey"]["uncompressed"])
        message, signature = unhex(case, "msg", "sig")
        assert crypto.ecdsa_verify(public, message, signature) == (case["result"] == "valid"), case
        verdicts[case["result"]] += 1
    assert verdicts == {"valid": 173, "invalid": 89}


@each_crypto
def test_ecdh_points(crypto: Any) -> None:
    verdicts = {"valid": 0, "invalid": 0, "acceptable": 0}
    for _group, case in cases("ecdh_secp256r1_ecpoint_test"):
        public, scalar = unhex(case, "public", "private")
        verdicts[case["result"]] += 1
        if case["result"] == "valid":
            point = crypto.p256_multiply(int.from_bytes(scalar, "big"), public)
            assert point[1:33].hex() == case["shared"], case
        else:  # "acceptable" is the compressed form, which the contract refuses
            with pytest.raises(PeerError) as caught:
                crypto.p256_multiply(int.from_bytes(scalar, "big"), public)
            assert caught.value.code == "point"
    assert verdicts == {"valid": 330, "invalid": 24, "acceptable": 1}


@each_crypto
def test_hkdf(crypto: Any) -> None:
    for _group, case in cases("hkdf_sha256_test"):
        secret, salt, info = unhex(case, "ikm", "salt", "info")
        if case["result"] == "valid":
            assert crypto.hkdf_sha256(secret, salt, info, case["size"]).hex() == case["okm"], case
        else:
            with pytest.raises(UsageError):
                crypto.hkdf_sha256(secret, salt, info, case["size"])


@each_crypto
def test_hmac(crypto: Any) -> None:
    for group, case in cases("hmac_sha256_test"):
        key, message, tag = unhex(case, "key", "msg", "tag")
        made = crypto.hmac_sha256(key, message)[: group["tagSize"] // 8]
        assert crypto.equal(made, tag) == (case["result"] == "valid"), case


@each_crypto
def test_pbkdf2(crypto: Any) -> None:
    chosen = cases("pbkdf2_hmacsha256_test")
    if crypto is not library_crypto:
        chosen = chosen[:1] + chosen[2::10]  # 4096 rounds of Python each; the second has 80000
    for _group, case in chosen:
        password, salt = unhex(case, "password", "salt")
        made = crypto.pbkdf2_sha256(password, salt, case["iterationCount"], case["dkLen"])
        assert made.hex() == case["dk"], case


def fields(name: str, group: dict[str, Any], case: dict[str, Any]) -> list[str]:
    """Lines of sample.txt: kind, number, verdict, then the fields; "-" is the empty string."""
    values = {
        "aes_ccm_test": ("key", "iv", "aad", "msg", "ct", "tag"),
        "ecdsa_secp256r1_sha256_p1363_test": ("msg", "sig"),
        "ecdh_secp256r1_ecpoint_test": ("public", "private", "shared"),
        "hkdf_sha256_test": ("ikm", "salt", "info", "size", "okm"),
        "hmac_sha256_test": ("key", "msg", "tag"),
        "pbkdf2_hmacsha256_test": ("password", "salt", "iterationCount", "dkLen", "dk"),
    }[name]
    line = [name.split("_")[0], str(case["tcId"]), case["result"]]
    if "publicKey" in group:
        line.append(group["publicKey"]["uncompressed"])
    return line + [str(case[value]) or "-" for value in values]


def spread(lines: list[list[str]]) -> list[list[str]]:
    short = [line for line in lines if max(map(len, line)) <= FIELD_CHARS_MAX]
    step = max(1, len(short) / LINES_MAX)
    return [short[int(index * step)] for index in range(min(LINES_MAX, len(short)))]


def sample() -> str:
    lines = []
    for path in sorted(DATA.glob("*_test.json")):
        all_lines = [fields(path.stem, *pair) for pair in cases(path.stem)]
        if path.stem.startswith("pbkdf2"):
            all_lines = all_lines[:1]
        lines += spread([line for line in all_lines if line[2] != "valid"])
        lines += spread([line for line in all_lines if line[2] == "valid"])
    return "".join(" ".join(line) + "\n" for line in lines)


def test_the_sample_agrees() -> None:
    assert SAMPLE.read_text() == sample()


if __name__ == "__main__":
    SAMPLE.write_text(sample())
