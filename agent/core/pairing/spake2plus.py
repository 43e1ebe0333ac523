"""SPAKE2+ (RFC 9383), suite P256-SHA256-HKDF-HMAC: the mathematics of both roles.

What it is: registration, the two shares, the transcript and the key schedule, as functions over an
injected `contract.Crypto`. What it is not: a protocol; verifier.py and prover.py keep the order of
steps, the clocks and the counters.

Points are 65-byte uncompressed SEC1, scalars ints in 1..n-1. The cofactor of P-256 is 1 (h = 1).
Every point a peer sends is checked by the crypto body (on the curve, finite, in range, uncompressed)
before a secret touches it: PeerError("point").
"""

from collections import namedtuple

from agent.errors import PeerError, TrustError, UsageError

if False:
    from agent.port import contract

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
POINT_BYTES = 65
CONFIRM_BYTES = 32

# Section 4: M and N for P-256, decompressed.
M = bytes.fromhex(
    "04886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f"
    "5ff355163e43ce224e0b0e65ff02ac8e5c7be09419c785e0ca547d55a12e2d20"
)
N = bytes.fromhex(
    "04d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49"
    "07d60aa6bfade45008a636337f5168c64d9bd36034808cd564490b1e656edbe7"
)

Parties = namedtuple("Parties", ("context", "prover", "verifier"))  # what both sides agreed on, bytes
Keys = namedtuple("Keys", ("confirm_prover", "confirm_verifier", "shared"))  # 32 bytes each


def derive(crypto: "contract.Crypto", password: bytes, salt: bytes, iterations: int) -> tuple[int, int]:
    """(w0, w1) of a password (section 3.2), PBKDF2-HMAC-SHA256, 2 x 40 bytes mod n; identities are absent.

    UsageError("password") in the case (2^-256) that one of them is zero: take another salt.
    """
    absent = b"\x00" * 8
    secret = len(password).to_bytes(8, "little") + password + absent + absent
    stream = crypto.pbkdf2_sha256(secret, salt, iterations, 80)
    w0 = int.from_bytes(stream[:40], "big") % ORDER
    w1 = int.from_bytes(stream[40:], "big") % ORDER
    if w0 == 0 or w1 == 0:
        raise UsageError("password", "this password and salt give the scalar zero: take another salt")
    return w0, w1


def fresh_scalar(crypto: "contract.Crypto") -> int:
    """Uniform in 1..n-1 by rejection."""
    while True:
        scalar = int.from_bytes(crypto.entropy(32), "big")
        if 0 < scalar < ORDER:
            return scalar


def mask_points(crypto: "contract.Crypto", w0: int) -> tuple[bytes, bytes]:
    """(w0*M, w0*N): made once per window, so that no long-lived secret is multiplied while a peer can time it."""
    if not 0 < w0 < ORDER:
        raise UsageError("w0", "expected w0 between 1 and the group order: this verifier record is damaged")
    return crypto.p256_multiply(w0, M), crypto.p256_multiply(w0, N)


def blind(crypto: "contract.Crypto", secret: int, mask: bytes) -> bytes:
    """A share: shareP = x*P + w0*M, shareV = y*P + w0*N (section 3.3)."""
    return crypto.p256_add(crypto.p256_public(secret), mask)


def unblind(crypto: "contract.Crypto", share: bytes, mask: bytes) -> bytes:
    """The peer's bare point: share - mask. PeerError("point") for a bad share or when nothing is left."""
    if len(share) != POINT_BYTES or share == mask:  # share - mask = infinity would make Z independent of our secret
        raise PeerError("point", "expected a share that is a point of P-256 other than the mask")
    return crypto.p256_add(share, crypto.p256_negate(mask))


def verifier_points(
    crypto: "contract.Crypto", y: int, share_p: bytes, mask_m: bytes, point_l: bytes
) -> tuple[bytes, bytes]:
    """(Z, V) of the verifier: Z = y*(shareP - w0*M), V = y*L."""
    bare = unblind(crypto, share_p, mask_m)
    return crypto.p256_multiply(y, bare), crypto.p256_multiply(y, point_l)


def transcript(parties: Parties, shares: tuple[bytes, bytes], points: tuple[bytes, bytes], w0: int) -> bytes:
    """TT (section 3.4): each item after its length as 8 bytes little-endian. `shares` = (shareP, shareV),
    `points` = (Z, V)."""
    head = (parties.context, parties.prover, parties.verifier, M, N)
    items = head + shares + points + (w0.to_bytes(32, "big"),)
    return b"".join([len(item).to_bytes(8, "little") + item for item in items])


def key_schedule(crypto: "contract.Crypto", tt: bytes) -> Keys:
    """K_main = Hash(TT), the two confirmation keys and K_shared (section 3.4)."""
    main = crypto.sha256(tt)
    confirm = crypto.hkdf_sha256(main, b"", b"ConfirmationKeys", 64)
    return Keys(confirm[:32], confirm[32:], crypto.hkdf_sha256(main, b"", b"SharedKey", 32))


def confirm_prover(crypto: "contract.Crypto", keys: Keys, share_v: bytes) -> bytes:
    """confirmP = MAC(K_confirmP, shareV)."""
    return crypto.hmac_sha256(keys.confirm_prover, share_v)


def confirm_verifier(crypto: "contract.Crypto", keys: Keys, share_p: bytes) -> bytes:
    """confirmV = MAC(K_confirmV, shareP)."""
    return crypto.hmac_sha256(keys.confirm_verifier, share_p)


def check_confirm(crypto: "contract.Crypto", expected: bytes, came: bytes) -> None:
    """TrustError("code"): the other side does not know the code. Constant time."""
    if len(came) != CONFIRM_BYTES or not crypto.equal(expected, came):
        raise TrustError("code", "the setup code is not the one of this device: compare it with the device's screen")
