"""Invariant: whatever comes, decode and frame_length give a value or PeerError("stun") and never another exception;
decode(encode(x)) == x; what decode allocates is bounded by what came in, and what it returns is no longer than that;
a flipped bit of a protected message is refused, not intact, or changes nothing that is read.

A smaller one runs on both interpreters: tests/unit/agent/wire/test_stun_fuzz.py. CORELET_FULL=1 runs FULL times as
much.
"""

import os
import random
import tracemalloc
from typing import Any

from agent.errors import PeerError
from agent.wire import stun
from tests.vectors.bodies import CRYPTOS, library_crypto

FULL = 50
ROUNDS = (FULL if os.environ.get("CORELET_FULL") == "1" else 1) * 1000
KEY = b"0123456789abcdef"
PROOFS = (stun.MESSAGE_INTEGRITY, stun.MESSAGE_INTEGRITY_SHA256, stun.FINGERPRINT)
KINDS = (6, 8, 9, 12, 13, 18, 19, 20, 21, 22, 25, 28, 32, 34, 42, 0x8028, 0x8030)
# Of CPython: the message and its list and tuples, an int and a bytes object for each attribute; an error and its text.
OBJECT_BYTES = 2048
ATTRIBUTE_BYTES = 256


def told(read: stun.Message) -> Any:
    return read.method, read.kind, read.transaction, read.attributes


def decoded(data: bytes) -> stun.Message | None:
    try:
        return stun.decode(data)
    except PeerError as error:
        assert error.code == "stun" and len(error.text) < 200
        return None


def message(seed: random.Random) -> tuple[bytes, Any]:
    attributes = [
        (kind, seed.randbytes(seed.choice((0, 1, 4, 8, 20, seed.randrange(80)))))
        for kind in seed.choices(KINDS + (seed.randrange(65536),), k=seed.randrange(12))
        if kind not in PROOFS
    ]
    method, kind, transaction = seed.randrange(4096), seed.randrange(4), seed.randbytes(12)
    proof = seed.choice((None, (library_crypto.hmac_sha1, KEY), (library_crypto.hmac_sha256, KEY)))
    data = stun.encode(method, kind, transaction, attributes, proof, seed.random() < 0.5)
    return data, (method, kind, transaction, attributes)


def rubbish(seed: random.Random) -> bytes:
    body = b""
    for _ in range(seed.choice((0, 1, 3, 6, 31, 32, 33, 40))):
        size = seed.choice((0, 1, 4, 8, 20, 32, seed.randrange(64)))
        said = size if seed.random() < 0.95 else seed.randrange(65536)
        kind = seed.choice(KINDS + (seed.randrange(65536),))
        body += kind.to_bytes(2, "big") + said.to_bytes(2, "big") + seed.randbytes(size + (-size & 3))
    head = seed.randrange(0x4000).to_bytes(2, "big") + len(body).to_bytes(2, "big")
    return head + b"\x21\x12\xa4\x42" + seed.randbytes(12) + body


def damaged(seed: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(seed.randrange(1, 4)):
        at = seed.randrange(len(made) + 1)
        kind = seed.randrange(4)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << seed.randrange(8)
        elif kind == 1:
            del made[at : at + seed.randrange(1, 9)]
        elif kind == 2:
            made[at:at] = seed.randbytes(seed.choice((1, 4, 8)))
        else:
            made[at : at + 1] = seed.choice((b"\0", b"\xff", b"\x80", b"\x08\0\x14"))
    if len(made) >= 20 and seed.random() < 0.6:
        made[2:4] = (len(made) - 20).to_bytes(2, "big")
    return bytes(made)


def test_what_we_write_comes_back() -> None:
    seed = random.Random(1)
    for _ in range(ROUNDS):
        data, given = message(seed)
        assert told(stun.decode(data)) == given == told(stun.decode(memoryview(data)))


def test_damage_and_rubbish() -> None:
    seed = random.Random(2)
    read = refused = 0
    for _ in range(ROUNDS * 3):
        data = rubbish(seed) if seed.random() < 0.4 else damaged(seed, message(seed)[0])
        if seed.random() < 0.1:
            data = seed.randbytes(seed.randrange(3000))
        found = decoded(data)
        if found is None:
            refused += 1
            continue
        read += 1
        assert 20 + sum(4 + len(value) for _, value in found.attributes) <= len(data) <= stun.MESSAGE_BYTES_MAX
        for crypto in CRYPTOS:
            stun.is_intact(crypto, data, found, KEY)
            if found.integrity_at >= 0:
                assert crypto.equal(stun.hmac_of(crypto, data, found)(b"", b"")[:0], b"")
        if len(found.attributes) <= stun.ATTRIBUTES_MAX - 2:
            assert told(stun.decode(stun.encode(*told(found)))) == told(found)
        for _, value in found.attributes:
            try:
                ip, port = stun.read_xor_address(value, found.transaction)
            except PeerError as error:
                assert error.code == "stun"
            else:
                assert len(ip) in (4, 16) and 0 <= port < 65536
    assert read > ROUNDS // 3 and refused > ROUNDS // 3, (read, refused)


def test_nothing_is_allocated_beyond_the_input() -> None:
    seed = random.Random(3)
    inputs = [rubbish(seed) for _ in range(200)] + [damaged(seed, message(seed)[0]) for _ in range(200)]
    inputs += [seed.randbytes(1 << 16), b"\xff" * 1000, b"\0\1\xff\xfc\x21\x12\xa4\x42" + bytes(12)]
    for data in inputs:
        decoded(data)
    tracemalloc.start()
    try:
        for data in inputs:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            decoded(data)
            grown = tracemalloc.get_traced_memory()[1] - before
            assert grown <= len(data) + OBJECT_BYTES + ATTRIBUTE_BYTES * min(len(data) // 4, stun.ATTRIBUTES_MAX)
    finally:
        tracemalloc.stop()


def test_streams_cut_and_damaged() -> None:
    """A reader that trusts frame_length never waits for more than MESSAGE_BYTES_MAX, and ends at a PeerError."""
    seed = random.Random(4)
    whole = ended = 0
    for _ in range(ROUNDS):
        frames = [
            message(seed)[0] if seed.random() < 0.5 else
            stun.channel_data(seed.randrange(0x4000, 0x5000), seed.randbytes(seed.randrange(70)), True)
            for _ in range(seed.randrange(1, 8))
        ]  # fmt: skip
        stream = b"".join(frames)
        is_damaged = seed.random() < 0.5
        if is_damaged:
            at = seed.randrange(len(stream))
            stream = stream[:at] + seed.randbytes(1) + stream[at + 1 :]
        stream, at, found = stream[: seed.randrange(len(stream) + 1)], 0, []
        try:
            while len(stream) - at >= 4:
                size = stun.frame_length(stream[at : at + 4])
                assert 4 <= size <= stun.MESSAGE_BYTES_MAX and size % 4 == 0
                if len(stream) - at < size:
                    break
                found.append(stream[at : at + size])
                at += size
        except PeerError as error:
            assert error.code == "stun" and is_damaged
            ended += 1
        if not is_damaged:
            assert found == frames[: len(found)]
            assert len(found) == len(frames) or len(stream) - at < len(frames[len(found)])
            whole += len(found)
    assert whole > ROUNDS // 2 and ended > ROUNDS // 100


def test_every_flipped_bit() -> None:
    seed = random.Random(5)
    for _ in range(max(4, ROUNDS // 250)):
        hmac = seed.choice((library_crypto.hmac_sha1, library_crypto.hmac_sha256))
        has_fingerprint = seed.random() < 0.5
        data = stun.encode(
            3, 0, seed.randbytes(12), [(6, seed.randbytes(seed.randrange(9)))], (hmac, KEY), has_fingerprint
        )
        last = len(data) - 8 if has_fingerprint else len(data)
        for bit in range(8 * len(data)):
            made = bytearray(data)
            made[bit >> 3] ^= 1 << (bit & 7)
            found = decoded(bytes(made))
            if found is not None and stun.is_intact(library_crypto, bytes(made), found, KEY):
                assert last <= bit >> 3 < last + 2 and told(found) == told(stun.decode(data))
