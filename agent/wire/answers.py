"""The full core's half of audit.py, which no board gets: challenges out, answers in.

Nothing is believed before `check_receipt` has seen a receipt of this device for these very records; then the readers
say what the device says. They raise PeerError("audit") for records that no device of ours makes, and nothing else.
"""

import hashlib
from collections import namedtuple

from agent.errors import PeerError, TrustError, UsageError
from agent.wire import audit, merkle
from agent.wire.token import Receipt

if False:
    from agent.port import contract

# Whom was asked, with which token.
Asked = namedtuple("Asked", ("device", "token_id"))


def encode_challenge(codec: "contract.Codec", challenge: audit.Challenge) -> bytes:
    """UsageError("audit") for what `audit.decode_challenge` would refuse."""
    wrong = audit.misfit(challenge)
    if wrong:
        raise UsageError("audit", wrong)
    return codec.encode({1: challenge.kind, 2: challenge.nonce, 3: challenge.subject})


def check_receipt(asked: Asked, digest: bytes, length: int, receipt: Receipt) -> None:
    """`digest`: SHA-256(challenge || records), `length` of the records. TrustError("receipt"): they prove nothing."""
    said = (receipt.device, receipt.token_id, receipt.operation, receipt.shard, receipt.size, receipt.result)
    if said != (asked.device, asked.token_id, "audit", digest, length, "audited"):
        raise TrustError("receipt", "The receipt is for another challenge or other records than these.")


def root_of(data: bytes) -> bytes:
    """The root of a whole shard, level by level: the core has it in memory, and this is the fastest way."""
    sha256 = hashlib.sha256
    starts = range(0, max(1, len(data)), merkle.LEAF_BYTES)
    hashes = [sha256(b"\x00" + data[at : at + merkle.LEAF_BYTES]).digest() for at in starts]
    while len(hashes) > 1:
        odd = hashes[-1:] if len(hashes) % 2 else []
        pairs = range(0, len(hashes) - 1, 2)
        hashes = [sha256(b"\x01" + hashes[at] + hashes[at + 1]).digest() for at in pairs] + odd
    return hashes[0]


def path_root(leaf_hash: bytes, index: int, leaves: int, path: "list[bytes]") -> bytes:
    """The root that a leaf's hash and its path lead to (RFC 9162 section 2.1.3.2); b"" for a path of another length."""
    if not 0 <= index < leaves or len(path) != merkle.path_nodes(index, leaves):
        return b""
    value, last, at = leaf_hash, leaves - 1, 0
    while last:
        if index % 2 or index < last:
            value = merkle.node(path[at], value) if index % 2 else merkle.node(value, path[at])
            at += 1
        index, last = index // 2, last // 2
    return value


def range_root(data: bytes, first: int, size: int, path: "list[bytes]") -> bytes:
    """The root that bytes `first`.. of a shard of `size` bytes lead to, with the nodes of a Merkle-Path field; b"" when
    they are not whole leaves, or the path has another length."""
    low, end, used = first // merkle.LEAF_BYTES, first + len(data), [0]
    high = merkle.leaves_of(end)
    if first % merkle.LEAF_BYTES or not first < end <= size or (end % merkle.LEAF_BYTES and end < size):
        return b""

    def subtree(start: int, leaves: int) -> bytes:
        """b"" for one of which nothing is here."""
        if start >= high or start + leaves <= low:
            return b""
        if leaves == 1:
            at = (start - low) * merkle.LEAF_BYTES
            return merkle.leaf_hash(data[at : at + merkle.LEAF_BYTES])
        half = 1
        while half * 2 < leaves:
            half *= 2
        left, right = subtree(start, half), subtree(start + half, leaves - half)
        if not left or not right:
            used[0] += 1
            beside = path[used[0] - 1] if used[0] <= len(path) else b""
            left, right = left or beside, right or beside
        return merkle.node(left, right)

    root = subtree(0, merkle.leaves_of(size))
    return root if used[0] == len(path) else b""


def read_entries(challenge: audit.Challenge, device: str, records: bytes) -> "list[tuple[int, bytes]]":
    """(result, proof) for each entry of a LEAF or WHOLE: the root that leaf and path lead to, or the salted digest; b""
    unless the result is HAS. PeerError("audit") for a result that does not exist."""
    found, at = [], 0
    for number in range(audit.count(challenge)):
        shard, size = audit.entry(challenge, number)
        length = audit.entry_record_bytes(challenge, device, shard, size)
        result, body = records[at], records[at + 1 : at + length]
        at += length
        if result not in (audit.HAS, audit.LOST, audit.CORRUPT) or (result != audit.HAS and body.strip(b"\x00")):
            raise PeerError("audit", f"Result {result} in an answer, expected 1 to {audit.CORRUPT} and zeros above 1.")
        if result == audit.HAS and challenge.kind == audit.LEAF:
            index = audit.leaf_index(challenge.nonce, shard, device, size)
            leaf = audit.leaf_bytes(index, size)
            path = [body[start : start + 32] for start in range(leaf, len(body), 32)]
            body = path_root(merkle.leaf_hash(body[:leaf]), index, merkle.leaves_of(size), path)
        found.append((result, body if result == audit.HAS else b""))
    return found


def read_digest(records: bytes) -> "list[tuple[int, int]]":
    """(count, XOR of the keys) of each bucket."""
    size = len(records) // audit.BUCKETS
    rows = [records[at : at + size] for at in range(0, len(records), size)]
    return [(int.from_bytes(row[:4], "big"), int.from_bytes(row[4:], "big")) for row in rows]


def read_page(records: bytes) -> "tuple[int, list[bytes]]":
    """(next slot or 0, keys) of a LIST. PeerError("audit")."""
    following, count = int.from_bytes(records[:4], "big"), int.from_bytes(records[4:6], "big")
    end = 6 + count * audit.KEY_BYTES
    if end > len(records) or records[end:].strip(b"\x00"):
        raise PeerError("audit", f"A page of {count} keys in an answer, expected at most {audit.PAGE_KEYS} and zeros.")
    return following, [records[at : at + audit.KEY_BYTES] for at in range(6, end, audit.KEY_BYTES)]
