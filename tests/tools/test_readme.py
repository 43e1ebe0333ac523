"""The README is true: its tables are the data, its commands exist, its length is bounded."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tools import readme

TEXT = readme.README.read_text()
BIN = Path(sys.executable).parent
COMMANDS = sorted(set(re.findall(r"`?(?:venv/bin/)?(corelet(?:-core|-maker)? [a-z][a-z-]*)", TEXT)))


def test_the_tables_are_generated() -> None:
    both = TEXT + readme.BOARDS.read_text()
    assert readme.written(TEXT) == TEXT, "run: python -m tools.readme"
    assert readme.written(readme.BOARDS.read_text()) == readme.BOARDS.read_text(), "run: python -m tools.readme"
    for name in readme.BLOCKS:
        assert both.count(f"<!-- {name} -->") == 1


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 200


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_known(command: str) -> None:
    program, word = shlex.split(command)
    help_text = subprocess.run([BIN / program, "--help"], capture_output=True, text=True, check=True).stdout
    assert re.search(rf"\b{re.escape(word)}\b", help_text), f"{program} --help does not know {word}"


def test_every_named_path_exists() -> None:
    for name in re.findall(r"`((?:agent|boards|tools|tests)/[a-z_./]*)`", TEXT):
        assert (readme.README.parent / name).exists(), name
