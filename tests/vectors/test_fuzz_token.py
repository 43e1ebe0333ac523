"""Invariant: whatever comes, decode_token and decode_receipt give exactly what our key signed or a TrustError of a
known code; decode_header gives a header whose encoding is exactly the input or None; select_range stays within the
shard or raises PeerError("range"); never another exception, never a value that differs between both codecs.

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from agent.core.shards.header import HEADER_BYTES, Header, decode_header, encode_header
from agent.errors import PeerError, TrustError
from agent.port.cpython import crypto
from agent.service.shard_answers import select_range
from agent.wire import cose, full_core, token
from tests.vectors.bodies import library_codec, own_codec
from tests.vectors.damaging import damaged

FULL = 40
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1
CODECS = (library_codec, own_codec)
SECRET = bytes(range(32))
CORE = "00112233445566aa"
DEVICE = "ffeeddccbbaa0099"
CODES = ("token", "core", "mac")
ALPHABET = b"\x00\x17\x18\x1b\x3b\x40\x5f\x7f\x80\x9f\xa0\xbf\xd1\xf6\xff-_=A"
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1 << 53, (1 << 64) - 1, b"", bytes(7), bytes(8), bytes(32), bytes(33), "", "put",
    CORE, DEVICE, CORE.upper(), "0" * 15, "\u00e9" * 16, [], {}, [1], {1: 2}, "get", "PUT", "\x00" * 16,
)  # fmt: skip


def claims(seed: random.Random) -> token.Claims:
    return token.Claims(
        CORE, DEVICE, seed.randrange(1 << 40), seed.randbytes(8), seed.choice(token.OPERATIONS), seed.randbytes(32),
        seed.randrange(1 << 20), seed.choice((0, seed.randrange(1 << 40))),
    )  # fmt: skip


def damage(seed: random.Random, data: bytes) -> bytes:
    return damaged(seed, data, ALPHABET)


def outcome(call: Callable[[Any], tuple[Any, ...]]) -> list[Any]:
    """With each codec: the values, or the code. They must agree."""
    found = []
    for codec in CODECS:
        try:
            found.append(tuple(call(codec)))
        except TrustError as error:
            found.append(error.code)
    assert found[0] == found[1]
    return found


def secrets(core: str) -> bytes | None:
    assert len(core) == 16 and set(core) <= set("0123456789abcdef"), "asked for something that is no core id"
    return SECRET if core == CORE else None


def decoded(text: str) -> Any:
    found: Any = outcome(lambda codec: token.decode_token(codec, crypto, secrets, text))[0]
    assert found is not None and (isinstance(found, tuple) or found in CODES)
    return found


@pytest.mark.parametrize("start", range(ROUNDS))
def test_damaged_tokens(start: int) -> None:
    seed = random.Random(start)
    for _ in range(400):
        good = claims(seed)
        text = full_core.encode_token(library_codec, crypto, SECRET, good)
        assert decoded(text) == tuple(good)
        broken = damage(seed, text.encode()).decode("latin-1")
        assert broken == text or isinstance(decoded(broken), str), "a changed token was accepted"
        data = damage(seed, token.from_base64url(text))
        again = token.to_base64url(data)
        assert again == text or isinstance(decoded(again), str), "a changed token was accepted"


@pytest.mark.parametrize("start", range(ROUNDS))
def test_signed_nonsense(start: int) -> None:
    """A core that is ours can sign what it likes: the shape is checked all the same."""
    seed = random.Random(start)
    key = token.token_key(crypto, SECRET)
    for _ in range(400):
        payload: dict[Any, Any] = dict(zip((1, 3, 4, 7, 100, 101, 102, 103), claims(seed), strict=True))
        for _ in range(seed.randrange(3)):
            label = seed.choice((1, 3, 4, 7, 100, 101, 102, 103, 104, "x"))
            if seed.random() < 0.3:
                payload.pop(label, None)
            else:
                payload[label] = seed.choice(VALUES)
        data = library_codec.encode(seed.choice((payload, payload, payload, seed.choice(VALUES))))
        kid = seed.choice((CORE, CORE, CORE, DEVICE, "", "../" * 5)).encode()
        text = token.to_base64url(cose.mac0(library_codec, crypto, key, data, kid))
        found = decoded(text)
        if isinstance(found, tuple):
            again = full_core.encode_token(library_codec, crypto, SECRET, token.Claims(*found))
            assert again == text, "accepted, but not what we would have made"


@pytest.mark.parametrize("start", range(ROUNDS))
def test_rubbish_as_token_and_receipt(start: int) -> None:
    seed = random.Random(start)
    letters = token._URL.decode() + "=+/ \u00e9\x00\U0001f600"
    for _ in range(400):
        assert decoded("".join(seed.choices(letters, k=seed.randrange(600)))) in CODES
        data = seed.randbytes(seed.randrange(600))
        found = outcome(lambda codec, data=data: full_core.decode_receipt(codec, crypto, SECRET, data))[0]
        assert found in ("receipt", "mac")


@pytest.mark.parametrize("start", range(ROUNDS))
def test_damaged_receipts(start: int) -> None:
    seed = random.Random(start)
    for _ in range(400):
        good = token.Receipt(
            DEVICE, seed.randrange(1 << 32), seed.randbytes(8), "put", seed.randbytes(32), seed.randrange(1 << 20),
            seed.choice(token.RESULTS),
        )  # fmt: skip
        data = token.encode_receipt(library_codec, crypto, SECRET, good)
        assert len(data) <= token.RECEIPT_BYTES_MAX
        assert outcome(lambda codec, data=data: full_core.decode_receipt(codec, crypto, SECRET, data))[0] == tuple(good)
        bad = damage(seed, data)
        found = outcome(lambda codec, bad=bad: full_core.decode_receipt(codec, crypto, SECRET, bad))[0]
        assert bad == data or found in ("receipt", "mac")


@pytest.mark.parametrize("start", range(ROUNDS))
def test_headers(start: int) -> None:
    seed = random.Random(start)
    for _ in range(1000):
        length = seed.randrange(65536 - HEADER_BYTES + 1)
        good = Header(
            16, length, seed.randrange(256), seed.randrange(1 << 53), seed.randrange(1 << 60), seed.randbytes(8),
            seed.randbytes(32), seed.choice((0, 2, 3)),
        )  # fmt: skip
        data = encode_header(good)
        assert decode_header(data) == good
        for bad in (
            damage(seed, data),
            damage(seed, data)[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0"),
            seed.randbytes(128),
        ):
            found = decode_header(bad)
            assert found is None or encode_header(found) == bad


@pytest.mark.parametrize("start", range(ROUNDS))
def test_ranges(start: int) -> None:
    seed = random.Random(start)
    for _ in range(3000):
        text = "bytes=" + "".join(seed.choices("0123456789-,= b\u00b2", k=seed.randrange(12)))
        length = seed.choice((0, 1, 10, 65408))
        try:
            first, count = select_range(text, length)
        except PeerError as error:
            assert error.code == "range"
        else:
            assert first >= 0 and count >= 0 and first + count <= length and (count or not length)
