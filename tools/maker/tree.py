"""The source tree as a release of one board takes it: which files ship, and what they need of the machine.

What ships is what tools/check counts as shipped (tools/check/sizes.py): one table for the budget and for the pack.
"""

import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from boards import loader
from ota.errors import UsageError
from tools.check.sizes import BOARD_CODE, BOARD_DATA, BOARDS, NEVER_SHIPPED
from tools.check.source import ON_DEVICE

ROOT = Path(__file__).resolve().parents[2]
INTERPRETERS = {"cpython": "CPython", "micropython": "MicroPython"}
# Design section 3. Below: the next major version may change the language under us.
OLDEST = {"cpython": [3, 11], "micropython": [1, 25]}
BELOW = {"cpython": [4], "micropython": [2]}


def files_of(board: str, tree: Path) -> dict[str, bytes]:
    """Path -> content of everything that ships to this board. UsageError("tree")."""
    profile = loader.load(board)
    left_out = [BOARDS[INTERPRETERS[name]] for name in _runtimes(profile)]
    found = {}
    for top in ON_DEVICE:
        for path in sorted((tree / top).rglob("*.py")):
            name = path.relative_to(tree).as_posix()
            if _ships(name, board) and not all(name.startswith(prefixes) for prefixes in left_out):
                found[name] = path.read_bytes()
    if f"boards/{board.replace('-', '_')}.py" not in found or "agent/__main__.py" not in found:
        raise UsageError("tree", f"expected a tree of the source with this board's profile, got {tree}")
    return found


def _ships(name: str, board: str) -> bool:
    if name in NEVER_SHIPPED or "__pycache__" in name.split("/"):
        return False
    return not name.startswith("boards/") or name in (*BOARD_CODE, *BOARD_DATA, f"boards/{board.replace('-', '_')}.py")


def _runtimes(profile: dict[str, Any]) -> list[str]:
    if profile["runtime"] not in (*INTERPRETERS, "any"):
        text = f"expected a board that something of ours runs on, got {profile['id']}: so far a profile only"
        raise UsageError("tree", text)
    return list(INTERPRETERS) if profile["runtime"] == "any" else [profile["runtime"]]


def needs_of(board: str, tree: Path) -> dict[str, list[list[int]]]:
    """The interpreters, each with its range; and the packages, where CPython is one of them."""
    profile = loader.load(board)
    made = {}
    for name in _runtimes(profile):
        least = OLDEST[name] if profile["runtime"] == "any" else list(loader.version(profile["runtime_min"]))
        made[name] = [max(least, OLDEST[name]), BELOW[name]]
    if "cpython" in made:
        for line in _requirements(tree):
            name, least, below = _requirement(line)
            made[name] = [least, below]
    return made


def _requirements(tree: Path) -> list[str]:
    """Of the tree's setup.cfg; of the installed distribution where the tree is one."""
    try:
        text = (tree / "setup.cfg").read_text()
    except FileNotFoundError:
        if tree != ROOT:
            raise UsageError("tree", f"expected a tree of the source with its setup.cfg, got {tree}") from None
        return [line for line in metadata.requires("corelet") or [] if "extra ==" not in line]
    block = re.search(r"^install_requires =\n((?:[ \t]+.*\n)+)", text, re.MULTILINE)
    return [line.strip() for line in block.group(1).splitlines()] if block else []


def _requirement(line: str) -> tuple[str, list[int], list[int]]:
    found = re.fullmatch(r"([A-Za-z0-9._-]+)\s*((?:[<>]=?[0-9.]+)(?:,[<>]=?[0-9.]+)?)", line.replace(" ", ""))
    bounds = dict(re.findall(r"([<>]=?)([0-9.]+)", found.group(2))) if found else {}
    if found is None or set(bounds) != {">=", "<"}:
        raise UsageError("tree", f"expected a requirement such as name>=1.2,<3 in setup.cfg, got {line}")
    least, below = [[int(number) for number in bounds[sign].split(".")] for sign in (">=", "<")]
    return found.group(1), least, below


def version_of(tree: Path) -> list[int]:
    text = (tree / "agent/__init__.py").read_text()
    found = re.search(r'^__version__ = "(\d+(?:\.\d+){0,4})"', text, re.MULTILINE)
    if found is None:
        raise UsageError("tree", "expected a __version__ of 1 to 5 numbers in agent/__init__.py")
    return [int(number) for number in found.group(1).split(".")]


def commit_of(tree: Path, names: list[str], is_dirty_ok: bool) -> str:
    """The commit these files are, "" where there is no checkout. UsageError("dirty"): nobody could build it again."""
    if not (tree / ".git").exists():
        return ""
    head = _git(tree, "rev-parse", "HEAD").strip()
    known = set(_git(tree, "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0"))
    changed = set(_git(tree, "diff", "--name-only", "-z", "HEAD").split("\0"))
    other = sorted(name for name in names if name not in known or name in changed)
    if other and not is_dirty_ok:
        text = f"expected files that are committed, got {len(other)} that are not, such as {other[0]}"
        raise UsageError("dirty", text + ": commit them, so that others can build the same, or say --dirty")
    return head + ("-dirty" if other else "")


def _git(tree: Path, *words: str) -> str:
    try:
        return subprocess.run(["git", "-C", tree, *words], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError("tree", f"expected a git checkout that can be asked, got {error}") from None
