"""What the disk is really asked to do, seen from outside: strace for flushes, the real folder for the log's cap."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.programs import ROOT, RUNTIMES, interpreter

IS_FULL = os.environ.get("CORELET_FULL") == "1"
HOURS = {"cpython": 24 if IS_FULL else 4, "micropython": 24 if IS_FULL else 2}
DURABLE = """
import sys
sys.path.insert(0, ".")
import asyncio
from agent.port import files
folder = sys.argv[1]
files.write_atomic(folder + "/record", b"old")
files.write_atomic(folder + "/record", b"new")
files.append(folder + "/log", b"line")
slab = files.create_slab(folder + "/slab", 100000)
slab.write(5, b"MARK")
asyncio.run(slab.flush())
files.remove(folder + "/log")
files.rename(folder + "/record", folder + "/renamed")
"""


def _trace(runtime: str, folder: Path) -> list[str]:
    """`call path` of each system call that matters for durability, in order, with `folder` cut off."""
    script = folder.parent / "durable.py"
    script.write_text(DURABLE)
    calls = "trace=write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
    log = folder.parent / "strace"
    command = [needs.program("strace"), "-f", "-y", "-o", str(log), "-e", calls]
    subprocess.run([*command, *interpreter(runtime), str(script), str(folder)], cwd=ROOT, check=True, timeout=60)
    found = []
    for line in log.read_text().splitlines():
        match = re.match(r"\d+\s+(\w+)\((?:\d+<([^>]*)>)?(.*)", line)
        if match is None or str(folder) not in line:
            continue
        paths = [match[2]] if match[2] else re.findall(r'"([^"]*)"', match[3])
        mark = " MARK" if "MARK" in line else ""
        found.append(match[1] + " " + " ".join(path.replace(str(folder), ".") for path in paths) + mark)
    return found


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_promised_is_flushed(runtime: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    calls = _trace(runtime, folder)
    # Each small file: written aside, flushed, renamed, folder flushed.
    atomic = ["write ./record.new", "fsync ./record.new", "rename ./record.new ./record", "fsync ."]
    if runtime == "micropython":  # which cannot refuse a file that is there: it removes it, and never follows a link
        atomic.insert(0, "unlink ./record.new")
    assert calls[: 2 * len(atomic)] == atomic * 2
    assert calls[2 * len(atomic)] == "write ./log" and "fsync ./log" not in calls  # the log spares the flash
    made = calls.index("rename ./slab.new ./slab")
    assert calls[made - 1] == "fsync ./slab.new" and calls[made + 1] == "fsync ."
    assert calls.count("write ./slab.new") == (2 if runtime == "cpython" else 196)  # zeros in full, no hole
    written = next(index for index, call in enumerate(calls) if call.endswith("./slab MARK"))
    assert calls[written + 1] in ("fdatasync ./slab", "fsync ./slab")
    assert calls[written + 2 :] == ["unlink ./log", "fsync .", "rename ./record ./renamed", "fsync ."]


@pytest.mark.parametrize("texts", [1, 2, 50])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_day_of_errors_stays_inside_the_cap(runtime: str, texts: int, tmp_path: Path) -> None:
    """Ten errors a second on a fake clock and the real disk; `appended` is what the flash bears."""
    hours = HOURS[runtime]
    command = [
        *interpreter(runtime),
        "tests/e2e/log_storm.py",
        str(tmp_path / "logs"),
        "65536",
        str(hours),
        str(texts),
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    largest, appended, newest = run.stdout.split(" ", 2)
    assert 0 < int(largest) <= 65536
    assert int(appended) < 200_000 + 140_000 * hours
    if texts < 3:
        assert int(appended) < 10_000 and " (repeated " in newest
