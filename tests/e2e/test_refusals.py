"""A device that cannot start says why in one sentence and what to do: the real command, on both interpreters."""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.disks import small_disk

ROOT = Path(__file__).parent.parent.parent
RUNTIMES = ("cpython", "micropython")
START_S = 20


def _command(runtime: str, folder: Path, *words: str) -> list[str]:
    micropython = [needs.program("micropython"), "-X", "heapsize=512k"] if runtime == "micropython" else []
    up = ["-m", "agent", "up", "--state", str(folder), "--listen", "127.0.0.1"]
    ports = [] if "--port" in words else ["--port", "0"]
    return [*(micropython or [sys.executable, "-u"]), *up, *ports, "--data-port", "0", "--relay-port", "0", *words]


@contextlib.contextmanager
def _running(runtime: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A device that has come as far as waiting for a full core."""
    with open(folder.parent / "out", "wb") as out:
        process = subprocess.Popen(_command(runtime, folder, *words), cwd=ROOT, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + START_S
        while b"waiting for a full core" not in (folder.parent / "out").read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, (folder.parent / "out").read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def _refused(runtime: str, folder: Path, *words: str) -> str:
    """The one line a device says that does not start."""
    run = subprocess.run(
        _command(runtime, folder, *words), cwd=ROOT, capture_output=True, text=True, timeout=START_S, check=False
    )
    assert run.returncode not in (0, -9), run
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in run.stderr + run.stdout, run
    return lines[0]


@pytest.mark.parametrize(("first", "second"), list(itertools.product(RUNTIMES, RUNTIMES)))
def test_a_second_process_on_the_same_state(first: str, second: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with _running(first, folder):
        os.symlink(folder, tmp_path / "alias")
        for spelling in (folder, tmp_path / "alias"):
            line = _refused(second, spelling)
            assert "in use by another process" in line and str(spelling) in line
    with _running(second, folder):  # SIGKILL has released it
        pass


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_busy_port(runtime: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = _refused(runtime, tmp_path / "state", "--port", port)
    assert f"Port {port} " in line and "in use" in line and "choose another port" in line


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_state_that_others_can_write(runtime: str, tmp_path: Path) -> None:
    """Whoever could have put a key, a core or settings there would own the device."""
    folder = tmp_path / "state"
    (folder / "owner").mkdir(parents=True)
    tmp_path.chmod(0o711)
    folder.chmod(0o777)
    line = _refused(runtime, folder)
    assert f"Others can write in {folder}" in line and line.endswith(f"chmod -R go-w {folder}")
    assert [each.name for each in folder.iterdir()] == ["owner"] and folder.stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_full_disk(runtime: str, tmp_path: Path) -> None:
    """Without room for a byte the lock has no name, and nothing is left behind; with room for that, but not for what
    the board needs, the sentence says how much is free."""
    with small_disk(tmp_path / "disk", "size=64m") as disk:
        (disk / "other").write_bytes(bytes(64 << 20))
        line = _refused(runtime, disk / "state")
        assert "The disk is full" in line and "Free some space" in line and str(disk / "state") in line
        assert list((disk / "state").iterdir()) == [], "nothing is left behind"
        os.truncate(disk / "other", (64 << 20) - (200 << 10))
        line = _refused(runtime, disk / "state")
        info = os.statvfs(disk)
        assert "free space" in line and f"{info.f_bavail * info.f_frsize // 1024} KiB free" in line, line
        begun = [path.name for path in (disk / "state").rglob("*") if path.is_file()]
        assert begun == ["name"], "there is more than the name of the lock"
        (disk / "other").unlink()
        with _running(runtime, disk / "state"):
            pass


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_disk_that_is_full_at_the_first_write(runtime: str, tmp_path: Path) -> None:
    """Bytes are free but inodes are not, which no check beforehand sees."""
    with small_disk(tmp_path / "disk", "size=64m,nr_inodes=9") as disk:
        line = _refused(runtime, disk / "state")
        assert "disk is full" in line and "Free some space" in line and str(disk) in line


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_read_only_disk(runtime: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        line = _refused(runtime, disk / "state")
        assert "read-only" in line and "writable" in line
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        with _running(runtime, disk / "state"):
            pass
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert "read-only" in _refused(runtime, disk / "state")  # also one that was set up before
