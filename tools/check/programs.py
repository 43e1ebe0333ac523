"""The checkers that others wrote, run on the whole tree."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    name: str
    arguments: tuple[str, ...]
    repair: str


PROGRAMS = (
    Program(
        "ruff check", ("ruff", "check", "--quiet", "--output-format", "concise", "."), "python -m ruff check --fix"
    ),
    Program(
        "ruff format",
        ("ruff", "format", "--check", "--quiet", "--output-format", "concise", "."),
        "python -m ruff format",
    ),
    Program("mypy", ("mypy", "--no-error-summary"), "the types that the message names"),
)


def run(program: Program, root: Path) -> tuple[bool, str]:
    """(is it clean, its output)."""
    done = subprocess.run(
        [sys.executable, "-m", *program.arguments],
        cwd=root,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode == 0, done.stdout.strip()
