"""Invariant: our small P-256, AES-CCM, HMAC, HKDF and PBKDF2 give for every input what pycryptodome and the standard
library give: the same bytes, the same refusals, the same error classes and codes.

Seeded; CORELET_FULL=1 runs FULL times as much.
"""

import inspect
import os
import random
import subprocess
import sys
from typing import Any

import pytest

from agent.errors import PortError
from agent.port import contract
from agent.port.micropython import ladder
from ota import p256
from tests.vectors.bodies import CODECS, CRYPTOS, library_crypto, outcome, own_crypto

FULL = 25
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1

GOOD = ladder.base()


def both(name: str, *arguments: Any) -> Any:
    one, other = [outcome(getattr(crypto, name), *arguments) for crypto in CRYPTOS]
    assert one == other, (name, arguments)
    return one


def random_scalar(seed: random.Random) -> int:
    """Often with long runs of equal bits, often at the edges of the range."""
    kind = seed.randrange(6)
    if kind == 0:
        return seed.choice((1, 2, 3, p256.N - 1, p256.N - 2, p256.N >> 1, (p256.N >> 1) + 1))
    if kind == 1:
        return seed.randrange(1, 70)
    if kind == 2:
        return p256.N - seed.randrange(1, 70)
    if kind == 3:
        return ((1 << seed.randrange(1, 256)) + seed.choice((-1, 0, 1))) % p256.N or 1
    if kind == 4:
        return (((1 << seed.randrange(200)) - 1) << seed.randrange(56)) % p256.N or 1
    return seed.randrange(1, p256.N)


def test_multiples_and_sums() -> None:
    seed = random.Random(256)
    points = [library_crypto.p256_public(random_scalar(seed)) for _ in range(12)]
    for _ in range(150 * ROUNDS):
        scalar = random_scalar(seed)
        kind, public = both("p256_public", scalar)
        assert kind == "value"
        assert both("p256_multiply", random_scalar(seed), seed.choice(points))[0] == "value"
        other = seed.choice((*points, public, library_crypto.p256_negate(public)))
        both("p256_add", public, other)
        both("p256_negate", public)
        points[seed.randrange(len(points))] = public


def test_points_that_may_be_none() -> None:
    seed = random.Random(65)
    refused = 0
    for _ in range(400 * ROUNDS):
        point = bytearray(library_crypto.p256_public(seed.randrange(1, 1000)))
        kind = seed.randrange(7)
        if kind == 0:
            point[seed.randrange(65)] ^= 1 << seed.randrange(8)
        elif kind == 1:
            point[0] = seed.randrange(256)
        elif kind == 2:  # the same point, a coordinate not reduced, where it fits
            start = seed.choice((1, 33))
            number = int.from_bytes(point[start : start + 32], "big") + p256.P
            point[start : start + 32] = (number % (1 << 256)).to_bytes(32, "big")
        elif kind == 3:
            point[33:] = p256.P.to_bytes(32, "big")
        elif kind == 4:
            del point[seed.randrange(65) :]
        elif kind == 5:
            point += seed.randbytes(seed.randrange(1, 40))
        else:
            point[1:] = seed.choice((bytes(64), b"\xff" * 64, seed.randbytes(64)))
        result = both("p256_multiply", seed.randrange(1, 99), bytes(point))
        both("p256_negate", bytes(point))
        both("ecdsa_verify", bytes(point), b"m", seed.randbytes(64))
        if result[0] == "error":
            assert result == ("error", "PeerError", "point")
            refused += 1
    assert refused > 300 * ROUNDS
    for scalar in (0, -1, -p256.N, p256.N, p256.N + 1, 2 * p256.N - 1, 1 << 256, 1 << 4000):
        point = library_crypto.p256_public(1)
        assert both("p256_multiply", scalar, point) == ("error", "UsageError", "scalar")
        assert both("p256_public", scalar) == ("error", "UsageError", "scalar")
        assert both("ecdsa_sign", scalar, b"") == ("error", "UsageError", "scalar")


def test_unreduced_coordinates_of_small_points() -> None:
    """Points with a coordinate below 2^256 - p exist twice for a reader that reduces: x = 5 has one."""
    y = next(root for root in square_roots(5))
    assert both("p256_negate", p256.encode(5, y))[0] == "value"
    assert both("p256_negate", p256.encode(5 + p256.P, y)) == ("error", "PeerError", "point")


def square_roots(x: int) -> list[int]:
    square = (x**3 - 3 * x + p256.B) % p256.P
    root = pow(square, (p256.P + 1) // 4, p256.P)
    assert root * root % p256.P == square, "choose another x"
    return [root, p256.P - root]


def test_the_mask_changes_nothing() -> None:
    seed = random.Random(7)
    point = library_crypto.p256_public(12345)
    for _ in range(20 * ROUNDS):
        scalar = random_scalar(seed)
        expected = library_crypto.p256_multiply(scalar, point)
        for mask in (1, 2, p256.P - 1, p256.P + 1, seed.getrandbits(248) | 1):
            assert ladder.multiply(scalar, point, mask) == expected


def test_the_ladder_has_one_shape(monkeypatch: Any) -> None:
    """The same count of doublings and additions for every scalar: its length and weight do not show in them."""
    calls: list[str] = []
    for name in ("double", "add"):
        monkeypatch.setattr(p256, name, counted(calls, name, getattr(p256, name)))
    shapes = set()
    for scalar in (1, 2, 3, 0xFFFF, 1 << 128, 1 << 255, p256.N - 1, p256.N - 2, p256.N >> 1, 0x5555 << 200):
        calls.clear()
        ladder.multiply(scalar, ladder.base(), 3)
        shapes.add((calls.count("double"), calls.count("add")))
    assert len(shapes) <= 2 and max(shapes)[0] - min(shapes)[0] <= 1, shapes  # one more where a sum meets itself


def counted(calls: list[str], name: str, function: Any) -> Any:
    def call(*arguments: Any) -> Any:
        calls.append(name)
        return function(*arguments)

    return call


def test_signatures() -> None:
    seed = random.Random(6979)
    for _ in range(60 * ROUNDS):
        scalar = random_scalar(seed)
        message = seed.randbytes(seed.choice((0, 1, 32, 300)))
        kind, signature = both("ecdsa_sign", scalar, message)
        assert kind == "value" and len(signature) == 64
        public = library_crypto.p256_public(scalar)
        assert both("ecdsa_verify", public, message, signature) == ("value", True)
        changed = bytearray(signature)
        changed[seed.randrange(64)] ^= 1 << seed.randrange(8)
        assert both("ecdsa_verify", public, message, bytes(changed)) == ("value", False)
        assert both("ecdsa_verify", public, message + b"x", signature) == ("value", False)
        twin = signature[:32] + (p256.N - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
        assert both("ecdsa_verify", public, message, twin) == ("value", True)
        r, s = seed.choice(((0, 1), (1, 0), (p256.N, 1), (1, p256.N), (1, 1), (p256.N - 1, 1), ((1 << 256) - 1, 1)))
        assert both("ecdsa_verify", public, message, r.to_bytes(32, "big") + s.to_bytes(32, "big")) == ("value", False)
        both("ecdsa_verify", public, message, signature[: seed.randrange(64)])


def test_ccm() -> None:
    seed = random.Random(3610)
    for _ in range(300 * ROUNDS):
        key, nonce = seed.randbytes(16), seed.randbytes(13)
        aad = seed.randbytes(seed.choice((0, 1, 13, 14, 15, 30, 31, 500, 510, 511, 1025)))
        text = seed.randbytes(seed.choice((0, 1, 15, 16, 17, 511, 512, 513, seed.randrange(2000))))
        kind, sealed = both("ccm_seal", key, nonce, aad, text)
        assert kind == "value" and both("ccm_open", key, nonce, aad, sealed) == ("value", text)
        changed = bytearray(sealed)
        changed[seed.randrange(len(changed))] ^= 1 << seed.randrange(8)
        assert both("ccm_open", key, nonce, aad, bytes(changed)) == ("error", "TrustError", "aead")
        assert both("ccm_open", key, nonce, aad + b"\0", sealed) == ("error", "TrustError", "aead")
        assert both("ccm_open", key, nonce, aad, sealed[: seed.randrange(len(sealed))])[1:] == ("TrustError", "aead")
    for key_bytes, nonce_bytes in ((15, 13), (24, 13), (32, 13), (16, 12), (16, 14), (0, 0)):
        assert both("ccm_seal", bytes(key_bytes), bytes(nonce_bytes), b"", b"")[1:] == ("UsageError", "length")
        assert both("ccm_open", bytes(key_bytes), bytes(nonce_bytes), b"", bytes(16))[1:] == ("UsageError", "length")


def test_ccm_at_its_limits() -> None:
    key, nonce = b"k" * 16, b"n" * 13
    kind, sealed = both("ccm_seal", key, nonce, b"a" * 65279, b"p" * 65535)
    assert kind == "value" and both("ccm_open", key, nonce, b"a" * 65279, sealed) == ("value", b"p" * 65535)
    assert both("ccm_seal", key, nonce, b"", bytes(65536))[1:] == ("UsageError", "length")
    assert both("ccm_seal", key, nonce, bytes(65280), b"")[1:] == ("UsageError", "length")
    assert both("ccm_open", key, nonce, b"", bytes(65552))[1:] == ("TrustError", "aead")


def test_hashes() -> None:
    seed = random.Random(2104)
    for _ in range(200 * ROUNDS):
        key, data = [seed.randbytes(seed.choice((0, 1, 31, 32, 63, 64, 65, 127, 128, 129, 500))) for _ in range(2)]
        assert both("hmac_sha256", key, data)[0] == "value"
        assert both("hmac_sha1", key, data)[0] == "value"
        assert both("md5", data)[0] == "value"
        assert both("sha256", data)[0] == "value"
        length = seed.choice((1, 31, 32, 33, 64, 80, 8159, 8160))
        assert both("hkdf_sha256", key, data, seed.randbytes(seed.randrange(40)), length)[0] == "value"
        both("pbkdf2_sha256", key, data, seed.randrange(1, 6), seed.choice((1, 32, 33, 80)))
        both("equal", key, seed.choice((key, data, key[:-1], bytes(len(key)))))
    for length in (-1, 0, 8161, 100000):
        assert both("hkdf_sha256", b"", b"", b"", length) == ("error", "UsageError", "length")
    for iterations, length in ((0, 1), (-1, 1), (1, 0), (1, -1)):
        assert both("pbkdf2_sha256", b"", b"", iterations, length) == ("error", "UsageError", "length")


def test_both_bodies_have_the_contract() -> None:
    for protocol, bodies in ((contract.Crypto, CRYPTOS), (contract.Codec, CODECS)):
        for name, wanted in vars(protocol).items():
            if name.startswith("_") or not callable(wanted):
                continue
            parameters = list(inspect.signature(wanted).parameters.values())[1:]
            for body in bodies:
                found = list(inspect.signature(getattr(body, name)).parameters.values())
                assert [(one.name, one.default) for one in found] == [(one.name, one.default) for one in parameters]


def test_an_idle_device_does_not_load_pycryptodome() -> None:
    program = (
        "import sys\n"
        "from agent import port\n"
        "from agent.wire import cose\n"
        "crypto = port.crypto()\n"
        "codec = port.codec()\n"
        "data = cose.mac0(codec, crypto, b'k' * 32, b'x')\n"
        "assert cose.open_mac0(codec, crypto, b'k' * 32, data) == b'x'\n"
        "crypto.hkdf_sha256(b'a', b'b', b'c', 32), crypto.pbkdf2_sha256(b'a', b'b', 1, 32), crypto.entropy(8)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('Crypto', 'cryptography')]\n"
        "crypto.p256_public(1)\n"
        "assert 'Crypto' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_library_is_one_sentence(monkeypatch: Any) -> None:
    for name in ("cryptolib", "Crypto.Cipher", "Crypto.PublicKey"):
        monkeypatch.setitem(sys.modules, name, None)
    for crypto, package in ((library_crypto, "pycryptodome"), (own_crypto, "cryptolib")):
        with pytest.raises(PortError) as caught:
            crypto.ccm_seal(b"k" * 16, b"n" * 13, b"", b"")
        assert caught.value.code == "missing" and package in caught.value.text
    for name, arguments in (("p256_public", (1,)), ("p256_negate", (GOOD,)), ("ecdsa_sign", (1, b"m"))):
        with pytest.raises(PortError) as caught:
            getattr(library_crypto, name)(*arguments)
        assert caught.value.code == "missing" and "pycryptodome" in caught.value.text
