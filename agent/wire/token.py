"""Capability tokens and receipts of the shard store: CBOR claims in a COSE_Mac0 (RFC 9052 section 6.2).

A *token* is what a core hands out so that one device does one operation on one shard; it travels as
`Authorization: Bearer <base64url without padding>`. A *receipt* is the device's answer: the core counts a shard
as kept only with a valid one. Both are keyed from the pairing's link secret, each by its own HKDF label, so
neither can stand for the other. An audit (audit.py) has both, with digests in place of the shard. Whether a token is
*fit* for a request is decided in core/shards/access.py.

Claims: 1 core, 3 device, 4 expiry (core time, unix seconds), 7 token id (numbers of RFC 8392 where one fits),
100 operation ("offer": a PUT for the cache, without a promise), 101 shard, 102 size, 103 keep_until (core time;
0 = until deleted).
Receipt: 3 device, 7 token id, 100 operation, 101 shard, 102 size, 104 boot, 105 result.
Bounds: TOKEN_CHARS_MAX characters, RECEIPT_BYTES_MAX bytes.
"""

import binascii
from collections import namedtuple

from agent.errors import PeerError, TrustError, UsageError
from agent.wire import cose
from agent.wire.shape import ID, NUMBER, fits, misfit

if False:
    from typing import Any, Callable

    from agent.port import contract

    Table = tuple[tuple[int, tuple[Any, ...]], ...]
    Secrets = dict[str, bytes] | Callable[[str], bytes | None]

TOKEN_CHARS_MAX = 512
RECEIPT_BYTES_MAX = 512
TOKEN_ID_BYTES = 8
OPERATIONS = ("put", "get", "delete", "head", "offer", "audit")
RESULTS = ("stored", "present", "deleted", "cached", "declined", "audited")
KEY_BYTES_MIN = 16
_BOOT_BYTES = 2
_TIME_BYTES = 5
_BOOTS_MAX = 1 << 32  # a device never starts so often; a store without a core has the time of its start as boot number
_URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

Claims = namedtuple("Claims", ("core", "device", "expiry", "token_id", "operation", "shard", "size", "keep_until"))
Receipt = namedtuple("Receipt", ("device", "boot", "token_id", "operation", "shard", "size", "result"))

_TOKEN_ID = ("bytes", TOKEN_ID_BYTES, TOKEN_ID_BYTES)
_OPERATION = ("word", 1, 16, OPERATIONS)
_SHARD = ("bytes", 32, 32)
# (key in the map, shape) of each field, in the order of the tuple.
CLAIMS = ((1, ID), (3, ID), (4, NUMBER), (7, _TOKEN_ID), (100, _OPERATION), (101, _SHARD), (102, NUMBER), (103, NUMBER))
RECEIPT = (
    (3, ID),
    (104, NUMBER),
    (7, _TOKEN_ID),
    (100, _OPERATION),
    (101, _SHARD),
    (102, NUMBER),
    (105, ("word", 1, 16, RESULTS)),
)


def token_id(boot: int, entropy: bytes) -> bytes:
    """8 bytes that hold only during boot number `boot` of the device: its low 16 bits, then 6 bytes of `entropy`.
    A device that restarted refuses ids of earlier boots, so a used token cannot return (core/shards/access.py)."""
    return (boot & 0xFFFF).to_bytes(_BOOT_BYTES, "big") + entropy[: TOKEN_ID_BYTES - _BOOT_BYTES]


def dated_id(unix_ms: int, entropy: bytes) -> bytes:
    """The same for a store without a full core, whose boot number nobody can ask for: made at this time, in hundredths
    of a second, then 3 bytes of `entropy`. It holds for a store that was started before."""
    return boot_at(unix_ms).to_bytes(_TIME_BYTES, "big") + entropy[: TOKEN_ID_BYTES - _TIME_BYTES]


def boot_at(unix_ms: int) -> int:
    """The boot number of a store without a full core that starts then."""
    return unix_ms // 10


def is_of_boot(identifier: bytes, boot: int) -> bool:
    """Whether a token id was made for this boot number."""
    if boot >= _BOOTS_MAX:
        return int.from_bytes(identifier[:_TIME_BYTES], "big") > boot
    return identifier[:_BOOT_BYTES] == (boot & 0xFFFF).to_bytes(_BOOT_BYTES, "big")


def alone(crypto: "contract.Crypto", key: bytes) -> tuple[str, str, bytes]:
    """(core id, device id, link secret) where there is no full core: both ends derive them from the bytes of one file,
    without line ends behind them. UsageError("usage") for a short key."""
    key = key.rstrip(b"\r\n")
    if len(key) < KEY_BYTES_MIN:
        text = f"a key of at least {KEY_BYTES_MIN} bytes was expected in the key file, {len(key)} came"
        raise UsageError("usage", text + "; make one with: openssl rand -hex 32 > FILE")
    made = crypto.hkdf_sha256(key, b"", b"corelet store alone v1", 48)
    return made[:8].hex(), made[8:16].hex(), made[16:]


def decode_token(codec: "contract.Codec", crypto: "contract.Crypto", secrets: "Secrets", text: str) -> Claims:
    """Claims whose MAC is right. `secrets`: core id -> link secret, a dict or a function that returns None for an
    unknown core. TrustError: "token" (not one of ours), "core" (no such core here), "mac" (forged or damaged)."""
    data = from_base64url(text)
    try:
        core = cose.mac0_kid(codec, data).decode()
    except (PeerError, TrustError, UnicodeError):
        raise _malformed("its envelope is not a COSE_Mac0 with the core's id")
    if not fits(core, ID):
        raise _malformed("its key id is not the id of a core")
    secret = secrets.get(core) if isinstance(secrets, dict) else secrets(core)
    if secret is None:
        raise TrustError("core", "This device belongs to no core with the id that the token names; pair first.")
    try:
        payload = cose.open_mac0(codec, crypto, token_key(crypto, secret), data)
        claims = Claims(*decode_fields(codec, CLAIMS, payload))
    except PeerError as error:
        raise _malformed(error.text)
    if claims.core != core:
        raise TrustError("core", "The token's claims name another core than its key; ask that core for a new token.")
    return claims


def encode_receipt(codec: "contract.Codec", crypto: "contract.Crypto", link_secret: bytes, receipt: Receipt) -> bytes:
    """The body of the answer to PUT and DELETE (application/cose)."""
    payload = encode_fields(codec, RECEIPT, receipt)
    return cose.mac0(codec, crypto, receipt_key(crypto, link_secret), payload, receipt.device.encode())


def token_key(crypto: "contract.Crypto", link_secret: bytes) -> bytes:
    return crypto.hkdf_sha256(link_secret, b"", b"corelet token v1", 32)


def receipt_key(crypto: "contract.Crypto", link_secret: bytes) -> bytes:
    return crypto.hkdf_sha256(link_secret, b"", b"corelet receipt v1", 32)


def encode_fields(codec: "contract.Codec", table: "Table", values: "tuple[Any, ...]") -> bytes:
    """UsageError("token") when a value is out of range."""
    made = {row[0]: value for row, value in zip(table, values)}  # noqa: B905 (no strict= on MicroPython)
    wrong = misfit(made, dict(table))
    if wrong is not None:
        raise UsageError("token", f"claim {wrong} is {made[wrong]!r}, which is not allowed there")
    return codec.encode(made)


def decode_fields(codec: "contract.Codec", table: "Table", payload: bytes) -> "list[Any]":
    found = codec.decode(payload)
    if not isinstance(found, dict) or len(found) != len(table) or misfit(found, dict(table)) is not None:
        raise PeerError("token", f"expected a map with {len(table)} entries, each in its range")
    return [found[row[0]] for row in table]


def to_base64url(data: bytes) -> str:
    text = binascii.b2a_base64(data).strip().replace(b"+", b"-").replace(b"/", b"_")
    return text.rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """RFC 4648 section 5, no padding, and only the one text that encodes these bytes."""
    if not 0 < len(text) <= TOKEN_CHARS_MAX:
        raise _malformed(f"it has {len(text)} characters, expected 1 to {TOKEN_CHARS_MAX}")
    raw = text.encode()
    if len(raw) % 4 == 1 or [sign for sign in raw if sign not in _URL]:
        raise _malformed("it is not base64url without padding")
    data = binascii.a2b_base64(raw.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(raw) % 4))
    if to_base64url(data) != text:
        raise _malformed("its base64url is not canonical")
    return data


def _malformed(why: str) -> TrustError:
    return TrustError("token", f"That is not a token of a full core: {why}.")
