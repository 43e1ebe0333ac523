"""The README's first command, as a person runs it: exit status 0, and the table says what happened."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e import needs

ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    micropython = needs.program("micropython")
    start = [sys.executable, "-m", "tools.demonstration", "--root", str(ROOT), "--micropython", micropython]
    return [*start, *arguments]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = command(*arguments)
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_a_file_survives_a_killed_device(broker: str, tmp_path: Path) -> None:
    needs.program("mosquitto")
    file = tmp_path / "[red] holiday.bin"  # as rich would write red
    file.write_bytes(bytes(range(256)) * 8193)  # not a multiple of anything
    done = demo("--broker", broker, str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"broker: {broker}" in " ".join(done.stdout.split())
    assert "Store [red] holiday.bin (2.0 MiB): " in done.stdout
    for words in ("2 on CPython, 1 on MicroPython", "any 2 of 3 shards", "is equal", "rejoined by itself"):
        assert words in " ".join(done.stdout.split()), done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_who_stops_it_twice_leaves_nothing_behind(number: int) -> None:
    with subprocess.Popen(command(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = []
        while not lines or "ok  Start three devices" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        folder = next((ROOT / ".work" / "demo").glob(f"*-{process.pid}"))
        process.send_signal(number)
        time.sleep(0.3)
        process.send_signal(number)
        said = process.stdout.read()
        assert process.wait(30) == 130 and "Traceback" not in said, said
    assert not folder.exists()
    assert str(folder) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
