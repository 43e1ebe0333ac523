"""Board files are data: one literal each; the table of marks names exactly them, and one of them is enough."""

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from boards import loader, schema
from ota.errors import UsageError
from tests.expect import raises
from tests.programs import ROOT, RUNTIMES, interpreter
from tools.maker import tree

FOLDER = ROOT / "boards"
CODE = {name.rpartition("/")[2] for name in (*tree.BOARD_CODE, *tree.BOARD_DATA)}
OWN = "gl-mt300n-v2"
PROGRAM = f"""
import sys
sys.path.insert(0, ".")
from agent.errors import UsageError
from boards import loader
assert loader.recognise({{"dt_compatible": "glinet,gl-mt300n-v2"}})[0] == "{OWN}"
print(loader.load("{OWN}")["id"])
try:
    loader.choose("", {{}}, 0)
except UsageError as error:
    print(error.text)
"""


def test_the_table_names_every_board_file() -> None:
    files = {path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.name not in CODE}
    assert sorted(files) == sorted(loader.NAMES)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_image_carries_only_its_own_profile(runtime: str, tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "boards").mkdir()
    (tmp_path / "ota").mkdir()
    for name in (
        "agent/__init__.py",
        "agent/errors.py",
        "ota/__init__.py",
        "ota/errors.py",
        f"boards/{OWN.replace('-', '_')}.py",
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in CODE:
        shutil.copy(FOLDER / name, tmp_path / "boards" / name)
    environment = dict(os.environ, PYTHONPATH=str(tmp_path), MICROPYPATH=".frozen")
    alone = ["-S"] if runtime == "cpython" else []  # without what is installed beside it, such as this checkout
    command = [*interpreter(runtime), *alone, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own, sentence = done.stdout.splitlines()
    assert own == OWN and sentence.startswith("the profile of board 'generic-linux' is not installed here")


def test_every_hardware_number_has_a_source_or_the_word() -> None:
    for name in loader.NAMES:
        profile = loader.load(name)
        for key in schema.HARDWARE:
            source = profile["sources"][key]
            assert profile[key] or source.startswith(("probed", "nothing of ours")), (name, key)
            assert len(source) >= 5 and source == source.strip(), (name, key)


def test_every_board_file_is_one_docstring_and_one_literal() -> None:
    for name in loader.NAMES:
        tree = ast.parse((FOLDER / (name.replace("-", "_") + ".py")).read_text())
        docstring, assignment = tree.body
        assert isinstance(docstring, ast.Expr) and isinstance(assignment, ast.Assign)
        assert ast.literal_eval(assignment.value)["id"] == name


def test_a_board_that_nothing_runs_on_is_not_built() -> None:
    error = raises(UsageError, tree.files_of, "pico2-w", tree.ROOT)
    assert "pico2-w: so far a profile only" in error.text
