"""RFC 9383 appendix C, our golden codes, and the points an attacker would send."""

import json

from tests.unit.agent.core.pairing.bodies import crypto

# isort: split

from agent.core.pairing import prover, spake2plus
from agent.errors import PeerError, TrustError, UsageError
from agent.wire import full_core, pairing
from tests.expect import raises

DATA = "tests/vectors/data/"
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


class Fixed:
    """Crypto whose entropy is one wanted scalar."""

    def __init__(self, *draws: int) -> None:
        self._draws = list(draws)

    def entropy(self, length: int) -> bytes:
        return self._draws.pop(0).to_bytes(length, "big")


def vectors(name: str) -> list:
    with open(DATA + name) as file:
        return json.load(file)["vectors"]


def test_rfc9383_vectors() -> None:
    for vector in vectors("spake2plus-p256-sha256-hmac.json"):
        raw = {
            name: bytes.fromhex(vector[name])
            for name in vector
            if name not in ("suite", "context", "idProver", "idVerifier")
        }
        w0, w1 = int.from_bytes(raw["w0"], "big"), int.from_bytes(raw["w1"], "big")
        x, y = int.from_bytes(raw["x"], "big"), int.from_bytes(raw["y"], "big")
        parties = spake2plus.Parties(
            vector["context"].encode(), vector["idProver"].encode(), vector["idVerifier"].encode()
        )
        mask_m, mask_n = spake2plus.mask_points(crypto, w0)
        assert crypto.p256_public(w1) == raw["L"]
        assert spake2plus.blind(crypto, x, mask_m) == raw["shareP"]
        assert spake2plus.blind(crypto, y, mask_n) == raw["shareV"]
        points = (raw["Z"], raw["V"])
        assert spake2plus.verifier_points(crypto, y, raw["shareP"], mask_m, raw["L"]) == points
        assert prover.prover_points(crypto, x, w1, raw["shareV"], mask_n) == points
        tt = spake2plus.transcript(parties, (raw["shareP"], raw["shareV"]), points, w0)
        assert tt == raw["TT"]
        assert crypto.sha256(tt) == raw["K_main"]
        keys = spake2plus.key_schedule(crypto, tt)
        assert keys == (raw["K_confirmP"], raw["K_confirmV"], raw["K_shared"])
        assert spake2plus.confirm_prover(crypto, keys, raw["shareV"]) == raw["confirmP"]
        assert spake2plus.confirm_verifier(crypto, keys, raw["shareP"]) == raw["confirmV"]


def test_golden_codes() -> None:
    for vector in vectors("setup-codes.json"):
        number = (vector["discriminator"], vector["secret"])
        assert pairing.encode_code(*number) == vector["code"]
        assert full_core.decode_code(vector["code"]) == number
        salt = bytes.fromhex(vector["salt"])
        w0, w1 = spake2plus.derive(crypto, pairing.password(*number), salt, vector["iterations"])
        assert w0 == int(vector["w0"], 16) and w1 == int(vector["w1"], 16)


def test_bad_points_are_refused_before_a_secret_touches_them() -> None:
    mask_m, _ = spake2plus.mask_points(crypto, 7)
    good = crypto.p256_public(5)
    x, y = good[1:33], good[33:]
    bad = (
        b"\x00",  # infinity
        b"\x00" * 65,
        b"\x04" + b"\x00" * 64,
        b"\x04" + x + b"\x00" * 32,  # y = 0
        b"\x04" + x + y[:31] + bytes((y[31] ^ 1,)),  # off the curve
        bytes((2 + y[31] % 2,)) + x,  # compressed
        bytes((2 + y[31] % 2,)) + x + b"\x00" * 32,
        bytes((6 + y[31] % 2,)) + x + y,  # hybrid
        b"\x04" + P.to_bytes(32, "big") + y,  # x = p
        b"\x04" + b"\xff" * 64,
        b"\x04" + x + (P - 1).to_bytes(32, "big"),
        good[:64],
        good + b"\x00",
        b"",
        mask_m,  # share - mask would be infinity
    )
    for share in bad:
        assert raises(PeerError, spake2plus.verifier_points, crypto, 3, share, mask_m, good).code == "point"
        assert raises(PeerError, prover.prover_points, crypto, 3, 4, share, mask_m).code == "point"
    assert len(spake2plus.verifier_points(crypto, 3, good, mask_m, good)) == 2


def test_w0_zero_is_refused() -> None:
    for w0 in (0, spake2plus.ORDER, spake2plus.ORDER + 1):
        assert raises(UsageError, spake2plus.mask_points, crypto, w0).code == "w0"


def test_scalars_are_drawn_by_rejection() -> None:
    order = spake2plus.ORDER
    assert spake2plus.fresh_scalar(Fixed(0, order, order + 5, order - 1)) == order - 1


def test_confirm_is_compared_whole() -> None:
    spake2plus.check_confirm(crypto, b"\x01" * 32, b"\x01" * 32)
    for came in (b"", b"\x01" * 31, b"\x01" * 33, b"\x01" * 31 + b"\x00"):
        assert raises(TrustError, spake2plus.check_confirm, crypto, b"\x01" * 32, came).code == "code"
