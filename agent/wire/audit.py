"""Challenges: does a device still have what it promised, byte for byte? What is asked and how long the answer is.

A core sends POST /audit with a challenge, a CBOR map of kind (1), nonce (2) and subject (3), and a token of operation
"audit" whose shard is the SHA-256 of the challenge and whose size is its length. The answer is the *records*, whose
length both ends know beforehand, so that they stream from the disk, then a receipt (token.py) of result "audited" whose
shard is SHA-256(challenge || records) and whose size is the length of the records: without it they prove nothing.

kind    subject                                record
LEAF    ENTRIES_MAX entries of shard 32,       for each: result 1, the leaf that nonce, shard and device choose, its
        size 4                                 path in the Merkle tree (merkle.py), lowest node first
WHOLE   the same                               for each: result 1, SHA-256(nonce || shard's bytes) 32
DIGEST  nothing                                for each of BUCKETS: count 4, XOR of their keys 5
LIST    bucket 1, slot 4                       next slot 4 (0: no more), count 2, PAGE_KEYS keys of 5

Numbers are big endian; what a result other than HAS leaves unsaid is zeros. A *key* is the first 5 bytes of a shard's
name; its first 4 bits are the bucket. Quarantined shards are in neither DIGEST nor LIST.
"""

import hashlib
from collections import namedtuple

from agent.errors import PeerError
from agent.wire import merkle
from agent.wire.shape import fits

if False:
    from agent.port import contract

LEAF, WHOLE, DIGEST, LIST = 1, 2, 3, 4
HAS, LOST, CORRUPT = 1, 2, 3
ENTRIES_MAX = 64
ENTRY_BYTES = 36
SIZE_MAX = 1 << 24
NONCE_BYTES = 16
BUCKETS = 16
KEY_BYTES = 5
PAGE_KEYS = 240
CHALLENGE_BYTES_MAX = 2400
_DIGEST_BYTES = 4 + KEY_BYTES
PAGE_BYTES = 6 + PAGE_KEYS * KEY_BYTES
_MAP = ("map", 3, 3)
_NONCE = ("bytes", NONCE_BYTES, NONCE_BYTES)
_SUBJECT = ("bytes", 0, ENTRIES_MAX * ENTRY_BYTES)

Challenge = namedtuple("Challenge", ("kind", "nonce", "subject"))


def decode_challenge(codec: "contract.Codec", data: bytes) -> Challenge:
    """PeerError("audit"), PeerError("cbor")."""
    if len(data) > CHALLENGE_BYTES_MAX:
        raise PeerError("audit", f"A challenge has at most {CHALLENGE_BYTES_MAX} bytes, this one has {len(data)}.")
    found = codec.decode(data, (), 1)
    if not fits(found, _MAP) or not fits(found.get(1), ("int", LEAF, LIST)):
        raise PeerError("audit", f"Expected a map of a kind from {LEAF} to {LIST}, a nonce and a subject.")
    challenge = Challenge(found[1], found.get(2), found.get(3))
    wrong = misfit(challenge)
    if wrong:
        raise PeerError("audit", wrong)
    return challenge


def misfit(challenge: Challenge) -> str:
    """What is wrong with it, "" for nothing."""
    if not fits(challenge.nonce, _NONCE) or not fits(challenge.subject, _SUBJECT):
        return f"Expected a nonce of {NONCE_BYTES} bytes and a subject of at most {ENTRIES_MAX * ENTRY_BYTES}."
    length = len(challenge.subject)
    if challenge.kind in (LEAF, WHOLE):
        sizes = [entry(challenge, number)[1] for number in range(length // ENTRY_BYTES)]
        if not sizes or length % ENTRY_BYTES or max(sizes) > SIZE_MAX:
            return f"Expected 1 to {ENTRIES_MAX} entries of a shard and a size of at most {SIZE_MAX}."
    elif length != (0 if challenge.kind == DIGEST else 5) or (length and challenge.subject[0] >= BUCKETS):
        return f"Expected no subject for a digest, a bucket below {BUCKETS} and a slot for a list."
    return ""


def count(challenge: Challenge) -> int:
    """How many shards are asked for; 0 for DIGEST and LIST."""
    return len(challenge.subject) // ENTRY_BYTES


def entry(challenge: Challenge, number: int) -> tuple[bytes, int]:
    """(shard, size); for LEAF and WHOLE."""
    at = number * ENTRY_BYTES
    return challenge.subject[at : at + 32], int.from_bytes(challenge.subject[at + 32 : at + ENTRY_BYTES], "big")


def bucket_of(key: int) -> int:
    """Of a key as a number."""
    return key >> (8 * KEY_BYTES - 4)


def leaf_index(nonce: bytes, shard: bytes, device: str, size: int) -> int:
    """Which leaf of a shard is asked for: nobody knows before the nonce is there."""
    chosen = hashlib.sha256(nonce + shard + device.encode()).digest()
    return int.from_bytes(chosen, "big") % merkle.leaves_of(size)


def leaf_bytes(index: int, size: int) -> int:
    return min(merkle.LEAF_BYTES, size - index * merkle.LEAF_BYTES)


def entry_record_bytes(challenge: Challenge, device: str, shard: bytes, size: int) -> int:
    """Length of the record of one entry."""
    if challenge.kind == WHOLE:
        return 33
    index = leaf_index(challenge.nonce, shard, device, size)
    return 1 + leaf_bytes(index, size) + 32 * merkle.path_nodes(index, merkle.leaves_of(size))


def records_bytes(challenge: Challenge, device: str) -> int:
    """Length of all records."""
    if challenge.kind == DIGEST:
        return BUCKETS * _DIGEST_BYTES
    if challenge.kind == LIST:
        return PAGE_BYTES
    return sum([entry_record_bytes(challenge, device, *entry(challenge, each)) for each in range(count(challenge))])
