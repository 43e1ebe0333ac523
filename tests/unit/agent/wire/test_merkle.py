"""Shards as trees: every leaf's path leads to the root, nothing else does, and no byte is outside of it."""

import hashlib

from agent.wire import answers, merkle

SIZES = (0, 1, 1023, 1024, 1025, 3000, 7 * 1024, 8 * 1024 + 5)


def sample(size):
    """No two leaves are the same."""
    return b"".join([bytes([number]) * 1024 for number in range(size // 1024 + 1)])[:size]


def plain_root(hashes):
    """RFC 6962 section 2.1, as it is written there."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return hashlib.sha256(b"\x01" + plain_root(hashes[:half]) + plain_root(hashes[half:])).digest()


def leaves_in(data):
    return [data[start : start + 1024] for start in range(0, max(1, len(data)), 1024)]


def test_the_root_is_the_rfcs():
    for size in SIZES:
        data = sample(size)
        hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves_in(data)]
        assert len(hashes) == merkle.leaves_of(size)
        assert answers.root_of(data) == plain_root(hashes)


def test_every_path_leads_to_the_root_and_only_there():
    for size in SIZES:
        data = sample(size)
        leaves = leaves_in(data)
        for index in range(len(leaves)):
            tree = merkle.Tree(index)
            for leaf in leaves:
                tree.add(leaf)
            root, leaf_hash = tree.root(), merkle.leaf_hash(leaves[index])
            assert len(tree.path) == merkle.path_nodes(index, len(leaves))
            assert answers.path_root(leaf_hash, index, len(leaves), tree.path) == root
            assert answers.path_root(merkle.leaf_hash(leaves[index] + b"x"), index, len(leaves), tree.path) != root
            for other in range(len(leaves)):
                assert other == index or answers.path_root(leaf_hash, other, len(leaves), tree.path) != root
            assert answers.path_root(leaf_hash, index, len(leaves), tree.path + [root]) == b""
            assert not tree.path or answers.path_root(leaf_hash, index, len(leaves), tree.path[1:]) == b""


def test_a_node_is_no_leaf():
    two = sample(2048)
    root = answers.root_of(two)
    assert answers.root_of(merkle.leaf_hash(two[:1024]) + merkle.leaf_hash(two[1024:])) != root


def test_an_index_outside_of_the_tree():
    leaf_hash = merkle.leaf_hash(b"")
    assert answers.path_root(leaf_hash, 1, 1, []) == b"" and answers.path_root(leaf_hash, -1, 1, []) == b""
    assert answers.path_root(leaf_hash, 0, 1, []) == answers.root_of(b"")


def test_every_run_of_leaves_leads_to_the_root_and_only_there():
    for size in (1, 1024, 3000, 7 * 1024, 8 * 1024 + 5):
        data, leaves = sample(size), merkle.leaves_of(size)
        root = answers.root_of(data)
        for first in range(leaves):
            for end in range(first + 1, leaves + 1):
                tree = merkle.Tree(first, end)
                tree.extend(data)
                tree.root()
                start, part, path = first * 1024, data[first * 1024 : end * 1024], tree.path
                assert answers.range_root(part, start, size, path) == root
                assert answers.range_root(part[:-1] + b"!", start, size, path) != root
                assert answers.range_root(part, start, size, path + [root]) == b""
                assert not path or answers.range_root(part, start, size, path[:-1]) != root
                assert answers.range_root(part, start + 1, size, path) == b""
                assert start == 0 or answers.range_root(part, start - 1024, size, path) != root


def test_parts_of_leaves_prove_nothing():
    data = sample(3000)
    for first, end in ((0, 10), (0, 1025), (1024, 2999), (0, 0), (2048, 4096), (1, 1025)):
        assert answers.range_root((data + data)[first:end], first, 3000, []) == b"", (first, end)
