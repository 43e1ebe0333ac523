"""`python -m ota` and `micropython -m ota` as processes: the same text, verdict and exit status, in a small heap."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest

from tests.e2e import needs
from tests.programs import ENVIRONMENT, ROOT
from tests.vectors import suit

HEAP = "128k"
HSS_HEAP = "32k"
RELEASE_HEAP = "72k"
CASES = suit.published() + suit.thresholds()
RELEASE_SCRIPT = """
import gc, sys
sys.path.insert(0, {root!r})
gc.threshold(4096)
from ota import verify
data, *publics = [open(name, "rb").read() for name in sys.argv[2:]]
print(verify.read_release(data, int(sys.argv[1]), tuple(publics)).signers)
"""
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from ota import lms
print(lms.verify(*[open(name, "rb").read() for name in sys.argv[1:]]))
"""


def run(runtime: str, folder: Path, *words: str, heap: str = HEAP) -> tuple[int, str]:
    """(exit status, what it printed); it must not fail otherwise."""
    program = [sys.executable] if runtime == "cpython" else [needs.program("micropython"), "-X", "heapsize=" + heap]
    environment = dict(ENVIRONMENT, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [*program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert not done.stderr and "Traceback" not in done.stdout, done.stderr + done.stdout
    return done.returncode, done.stdout


def both(folder: Path, *words: str) -> tuple[int, Any]:
    one, other = [run(runtime, folder, "-m", "ota", *words) for runtime in ("cpython", "micropython")]
    assert one == other
    return one[0], json.loads(one[1])


def key_files(case: suit.Case, folder: Path) -> list[str]:
    words = []
    for name, public in case.publics.items():
        cose_key = {1: 2, -1: 1, -2: public[1:33], -3: public[33:]}
        (folder / name).write_bytes(public if len(public) == 60 else cbor2.dumps(cose_key))
        words += ["--key", name]
    return words


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verify(case: suit.Case, tmp_path: Path) -> None:
    (tmp_path / "release").write_bytes(case.envelope)
    words = ["verify", "release", *key_files(case, tmp_path), "--threshold", str(case.threshold)]
    status, told = both(tmp_path, *words)
    assert (status == 0) == (told["verdict"] == "accept") == case.accept, told
    assert set(told["verified"]) <= set(case.publics)


def test_inspect(tmp_path: Path) -> None:
    for name, is_readable in (("draft37-ex3-unsigned", True), ("libcsuit-expU0", False)):
        case = next(case for case in CASES if case.name == name)
        (tmp_path / "release").write_bytes(case.envelope)
        status, told = both(tmp_path, "inspect", "release")
        assert (status == 0) == is_readable and told["digest_ok"], told
        assert sorted({row["code"] for row in told["trace"]}) == case.index["commands"]


def test_wrong_words_and_files(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(bytes(100))
    for words in (["verify", "absent", "--key", "junk"], ["verify", "junk", "--key", "absent"], ["verify", "junk"], []):
        status, told = both(tmp_path, *words)
        assert status == 2 and told["verdict"] == "reject" and told["text"], words
    case = next(case for case in CASES if case.name == "two-distinct")
    words = key_files(case, tmp_path)
    (tmp_path / "release").write_bytes(case.envelope)
    assert both(tmp_path, "verify", "release", *words, *words[:2])[1]["reason"] == "key", "a key that counts twice"
    assert both(tmp_path, "verify", "release", *words, "--threshold", "4")[1]["reason"] == "usage"
    (tmp_path / "long").write_bytes(bytes(40_000))
    status, told = both(tmp_path, "verify", "long", *words)
    assert status == 1 and told["reason"] == "too_big"


def test_it_needs_neither_agent_nor_a_library(tmp_path: Path) -> None:
    """Stage-0 works when the slot that holds `agent` is torn: ota alone, on the bare interpreter."""
    (tmp_path / "ota").symlink_to(ROOT / "ota")
    case = next(case for case in CASES if case.name == "three")
    (tmp_path / "release").write_bytes(case.envelope)
    words = ["-m", "ota", "verify", "release", *key_files(case, tmp_path), "--threshold", "2"]
    for program in ([sys.executable, "-S"], [needs.program("micropython"), "-X", "heapsize=" + HEAP]):
        done = subprocess.run(
            [*program, *words], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0 and json.loads(done.stdout)["verdict"] == "accept", done.stderr


def test_hss_in_a_very_small_heap(tmp_path: Path) -> None:
    """H10 with w = 4, from source."""
    example = suit.load("cose-hashsig-01.json")
    fields = {
        "public": example["input"]["sign"]["signers"][0]["key"]["public"],
        "message": example["intermediates"]["signers"][0]["ToBeSign_hex"],
        "signature": example["output"]["cbor"][-2 * 2512 :],
    }
    for name, value in fields.items():
        (tmp_path / name).write_bytes(bytes.fromhex(value))
    (tmp_path / "script.py").write_text(SCRIPT.format(root=str(ROOT)))
    assert run("micropython", tmp_path, "script.py", *fields, heap=HSS_HEAP) == (0, "True\n")


def test_a_release_in_a_small_heap(tmp_path: Path) -> None:
    """From source, where compiling is what needs most; 64 KiB were enough when this was written."""
    (tmp_path / "script.py").write_text(RELEASE_SCRIPT.format(root=str(ROOT)))
    for name in ("hss", "three"):
        case = next(case for case in CASES if case.name == name)
        (tmp_path / "release").write_bytes(case.envelope)
        for key, public in case.publics.items():
            (tmp_path / key).write_bytes(public)
        words = ["script.py", str(case.threshold), "release", *case.publics]
        indexes = list(range(len(case.publics)))
        assert run("micropython", tmp_path, *words, heap=RELEASE_HEAP) == (0, f"{indexes}\n")
