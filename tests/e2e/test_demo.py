"""The README's first command, as a person runs it: exit status 0, and the table says what happened."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import needs

ROOT = Path(__file__).parents[2]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    micropython = needs.program("micropython")
    command = [sys.executable, "-m", "tools.demonstration", "--root", str(ROOT), "--micropython", micropython]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_a_file_survives_a_killed_device(broker: str, tmp_path: Path) -> None:
    needs.program("mosquitto")
    file = tmp_path / "holiday.bin"
    file.write_bytes(bytes(range(256)) * 8193)  # not a multiple of anything
    done = demo("--broker", broker, str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"broker: {broker}" in " ".join(done.stdout.split())
    for words in ("2 on CPython, 1 on MicroPython", "any 2 of 3 shards", "is equal", "rejoined by itself"):
        assert words in " ".join(done.stdout.split()), done.stdout


def test_a_file_that_is_not_there_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = demo(str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert "is no file" in " ".join(done.stdout.split())
