"""First starts at the same moment on one new state folder, of both interpreters: exactly one holds it."""

import subprocess
from pathlib import Path

import pytest

from tests.programs import ROOT, RUNTIMES, interpreter

PROGRAM = """
import sys
sys.path.insert(0, ".")
from agent.errors import PortError
from agent.port import files
sys.stdin.readline()
try:
    held = files.lock(FOLDER)
    print("held")
except PortError as error:
    print(error.code)
sys.stdin.readline()
"""


def _start(runtime: str, folder: Path) -> subprocess.Popen[str]:
    program = PROGRAM.replace("FOLDER", repr(str(folder)))
    command = [*interpreter(runtime), "-c", program]  # unbuffered: its one word is waited for while it runs
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("is_first", [True, False])
def test_one_of_many_holds_it(is_first: bool, tmp_path: Path) -> None:
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        if not is_first:
            process = _start(RUNTIMES[number % 2], folder)
            assert process.communicate("\n\n", timeout=20)[0] == "held\n", "which also makes the name"
        starts = [_start(runtime, folder) for runtime in RUNTIMES * 3]
        try:
            for process in starts:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            said = [process.stdout.readline().strip() for process in starts if process.stdout is not None]
            assert sorted(said) == ["held"] + ["state_in_use"] * 5
            assert [entry.name for entry in folder.iterdir()] == ["lock"]
            assert (folder / "lock/name").stat().st_mode & 0o777 == 0o600
        finally:
            for process in starts:
                process.kill()
                process.communicate()
