"""The Merkle tree of a shard: SHA-256 over leaves of LEAF_BYTES, as RFC 6962 section 2.1 and RFC 9162 section 2.1.

leaf = SHA-256(00 || bytes), node = SHA-256(01 || left || right); a node without a partner goes up as it is, which is
the RFCs' split at the largest power of two. One difference: what is empty has one empty leaf, it is no tree of none.
Leaves come one after the other; in memory are log2(leaves) nodes and the path of one leaf, or of some that lie side by
side: then it is the nodes that are merged with what they lead to, in the order of the merges. Checking it: answers.py.
"""

import hashlib

if False:
    from typing import Any

LEAF_BYTES = 1024


def leaves_of(size: int) -> int:
    """How many leaves `size` bytes have; at least one."""
    return max(1, (size + LEAF_BYTES - 1) // LEAF_BYTES)


def path_nodes(index: int, leaves: int) -> int:
    """How many nodes the path of a leaf has."""
    last, count = leaves - 1, 0
    while last:
        count += index % 2 or index < last
        index, last = index // 2, last // 2
    return count


def leaf_hash(leaf: "bytes | memoryview") -> bytes:
    digest: Any = hashlib.sha256(b"\x00")
    digest.update(leaf)
    return digest.digest()  # type: ignore[no-any-return]


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """`add` each leaf, then `root` once. `path`: after that, the nodes beside the way from leaf `wanted`, and those
    after it up to `end`, to the root, lowest first."""

    def __init__(self, wanted: int = -1, end: int = 0) -> None:
        self.path: list[bytes] = []
        self._wanted = wanted
        self._end = end or wanted + 1
        self._count = 0
        self._nodes: list[tuple[bytes, bool]] = []  # whole subtrees, largest first; whether each holds a wanted leaf

    def extend(self, data: bytes) -> None:
        """Whole leaves; the last one's end."""
        view = memoryview(data)
        for at in range(0, max(1, len(data)), LEAF_BYTES):
            self.add(view[at : at + LEAF_BYTES])

    def add(self, leaf: "bytes | memoryview") -> None:
        """The next LEAF_BYTES; fewer only in the last one."""
        self._nodes.append((leaf_hash(leaf), self._wanted <= self._count < self._end))
        merges = self._count
        while merges % 2:
            self._merge()
            merges //= 2
        self._count += 1

    def root(self) -> bytes:
        while len(self._nodes) > 1:
            self._merge()
        return self._nodes[0][0]

    def _merge(self) -> None:
        right, is_right = self._nodes.pop()
        left, is_left = self._nodes.pop()
        if is_left != is_right:
            self.path.append(right if is_left else left)
        self._nodes.append((node(left, right), is_left or is_right))
