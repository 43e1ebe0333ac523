"""Invariant: whatever comes, decode_challenge gives what encodes to exactly the input or raises PeerError("audit" or
"cbor"); the readers of an answer give values or raise PeerError("audit"), and only the true leaf leads to the root;
never another exception, never a value that differs between both codecs.

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import hashlib
import os
import random
from typing import Any

import pytest

from agent.errors import PeerError
from agent.wire import answers, audit, merkle
from tests.vectors.bodies import library_codec, own_codec
from tests.vectors.test_fuzz_token import VALUES, damage

FULL = 40
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1
CODECS = (library_codec, own_codec)
DEVICE = "ffeeddccbbaa0099"


def challenge(seed: random.Random) -> audit.Challenge:
    kind = seed.choice((audit.LEAF, audit.WHOLE, audit.DIGEST, audit.LIST))
    subject = b""
    if kind == audit.LIST:
        subject = bytes([seed.randrange(16)]) + seed.randbytes(4)
    elif kind != audit.DIGEST:
        sizes = [seed.choice((0, 1, 1024, 65408, 1048448, audit.SIZE_MAX)) for _ in range(seed.randrange(1, 65))]
        subject = b"".join(seed.randbytes(32) + size.to_bytes(4, "big") for size in sizes)
    return audit.Challenge(kind, seed.randbytes(16), subject)


def decoded(data: bytes) -> Any:
    """The challenge, or the code; both codecs agree."""
    found: list[Any] = []
    for codec in CODECS:
        try:
            found.append(audit.decode_challenge(codec, data))
        except PeerError as error:
            found.append(error.code)
    assert found[0] == found[1]
    assert isinstance(found[0], audit.Challenge) or found[0] in ("audit", "cbor")
    if isinstance(found[0], audit.Challenge):
        assert answers.encode_challenge(library_codec, found[0]) == data
    return found[0]


@pytest.mark.parametrize("start", range(ROUNDS))
def test_challenges(start: int) -> None:
    seed = random.Random(start)
    for _ in range(300):
        good = challenge(seed)
        data = answers.encode_challenge(library_codec, good)
        assert answers.encode_challenge(own_codec, good) == data and decoded(data) == good
        decoded(damage(seed, data))
        decoded(seed.randbytes(seed.randrange(80)))
        payload: dict[Any, Any] = {1: good.kind, 2: good.nonce, 3: good.subject}
        payload[seed.choice((1, 2, 3, 4, "x"))] = seed.choice(VALUES)
        decoded(library_codec.encode(payload))
        decoded(library_codec.encode(seed.choice(VALUES)))


@pytest.mark.parametrize("start", range(ROUNDS))
def test_records(start: int) -> None:
    seed = random.Random(start)
    for _ in range(200):
        asked = challenge(seed)
        length = audit.records_bytes(asked, DEVICE)
        assert length <= audit.ENTRIES_MAX * (1 + 1024 + 14 * 32)
        noise = seed.randbytes(length) if seed.random() < 0.5 else bytes([seed.randrange(5)]) + bytes(length - 1)
        try:
            if asked.kind == audit.DIGEST:
                assert len(answers.read_digest(noise)) == audit.BUCKETS
            elif asked.kind == audit.LIST:
                assert len(answers.read_page(noise)[1]) <= audit.PAGE_KEYS
            else:
                rows = answers.read_entries(asked, DEVICE, noise)
                assert len(rows) == audit.count(asked)
                assert all((result == audit.HAS) == bool(proof) for result, proof in rows)
        except PeerError as error:
            assert error.code == "audit"


@pytest.mark.parametrize("start", range(ROUNDS))
def test_only_the_true_leaf_leads_to_the_root(start: int) -> None:
    seed = random.Random(start)
    for _ in range(60):
        data = seed.randbytes(seed.choice((0, 1, 1023, 1024, 5000, 65408)))
        shard, nonce = hashlib.sha256(data).digest(), seed.randbytes(16)
        asked = audit.Challenge(audit.LEAF, nonce, shard + len(data).to_bytes(4, "big"))
        index = audit.leaf_index(nonce, shard, DEVICE, len(data))
        tree = merkle.Tree(index)
        for at in range(0, max(1, len(data)), 1024):
            tree.add(data[at : at + 1024])
        root = tree.root()
        good = b"\x01" + data[index * 1024 : index * 1024 + 1024] + b"".join(tree.path)
        assert answers.read_entries(asked, DEVICE, good) == [(audit.HAS, root)]
        bad = damage(seed, good)[: len(good)].ljust(len(good), b"\0")
        try:
            found = answers.read_entries(asked, DEVICE, bad)
        except PeerError:
            continue
        assert bad == good or found != [(audit.HAS, root)]
