"""Small disks of a test's own (tmpfs; needs root), and how they become full."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.e2e import needs


@contextlib.contextmanager
def small_disk(folder: Path, options: str = "size=256m") -> Iterator[Path]:
    needs.root()
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """To the last byte, with the file `other`."""
    with (disk / "other").open("wb", 0) as other, contextlib.suppress(OSError):
        while True:
            other.write(bytes(4096))
