"""The Merkle tree against published vectors of Certificate Transparency; data/merkle.json says whose."""

import json
from pathlib import Path

import pytest

from agent.wire import answers, merkle

DATA = json.loads((Path(__file__).parent / "data" / "merkle.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in DATA["leaves"]]


def test_roots_of_one_to_eight_leaves() -> None:
    for count in range(1, 9):
        tree = merkle.Tree()
        for leaf in LEAVES[:count]:
            tree.add(leaf)
        assert tree.root().hex() == DATA["roots"][count - 1]


@pytest.mark.parametrize("row", DATA["inclusion"], ids=lambda row: row["name"])
def test_inclusion(row: dict[str, object]) -> None:
    """A hash that is no hash is another verifier's matter: ours makes its leaf hash itself."""
    path = [bytes.fromhex(node) for node in row["path"]]  # type: ignore[attr-defined]
    if any(len(node) != 32 for node in path) or row["leaf_hash"] == "":
        assert not row["is_good"]
        return
    leaf_hash = bytes.fromhex(str(row["leaf_hash"]))
    root = answers.path_root(leaf_hash, int(str(row["index"])), int(str(row["leaves"])), path)
    assert (root != b"" and root.hex() == row["root"]) == row["is_good"]


def test_our_paths_are_the_published_ones() -> None:
    checked = 0
    for row in DATA["inclusion"]:
        if row["is_good"] and row["leaves"] <= 8:
            tree = merkle.Tree(row["index"])
            for leaf in LEAVES[: row["leaves"]]:
                tree.add(leaf)
            if tree.root().hex() == row["root"]:
                assert [node.hex() for node in tree.path] == row["path"]
                checked += 1
    assert checked >= 5
