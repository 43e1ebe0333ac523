"""The one log call of a device: `journal.info/warning/error(source, text)`.

Carries agent/core/journal.py to two files, `0.log` and `1.log`, which together stay within `bytes_max`. Lines are
appended without a flush: a power cut may cost the last ones, and the flash is spared. A disk that refuses does not
stop the device: the lines stay in memory, and writing is tried again after RETRY_MS.
Never give it a secret; it does not know what one looks like.
"""

from agent.core import journal as core
from agent.errors import PortError
from agent.port import clock, files

if False:
    from collections.abc import Callable

RETRY_MS = 60000
HEADER_READ_BYTES = 64


class Journal:
    """`folder` None keeps everything in memory. `echo` is called with each line (the console)."""

    def __init__(self, folder: str | None, bytes_max: int, echo: "Callable[[str], object] | None" = None) -> None:
        self._folder = folder
        self._bytes_max = max(bytes_max, core.BYTES_MIN)
        self._echo = echo
        self._ring = core.Journal(self._bytes_max)
        self._retry_at = 0
        self.disk_error: PortError | None = None
        self.unwritten = 0  # lines that only memory has
        if folder is not None:
            files.make_folder(folder)
            self._resume(folder)

    def info(self, source: str, text: str) -> None:
        self.log("info", source, text)

    def warning(self, source: str, text: str) -> None:
        self.log("warning", source, text)

    def error(self, source: str, text: str) -> None:
        self.log("error", source, text)

    def log(self, level: str, source: str, text: str) -> None:
        if self.disk_error is not None and clock.now_ms() >= self._retry_at:
            self._retry()
        self._ring.log(level, source, text, clock.unix_time())
        self._carry()

    def lines(self) -> list[str]:
        """The newest lines, oldest first."""
        return self._ring.lines()

    def close(self) -> None:
        """Write the counts of what is still folded."""
        self._ring.settle(clock.unix_time())
        self._carry()

    def _carry(self) -> None:
        for segment, is_fresh, data in self._ring.drain():
            lines = [line for line in data.decode().split("\n") if line and not line.startswith(core.HEADER)]
            if self._echo is not None:
                for line in lines:
                    self._echo(line)
            if self._folder is not None and not self._append(self._folder, segment, is_fresh, data):
                self.unwritten += len(lines)

    def _append(self, folder: str, segment: int, is_fresh: bool, data: bytes) -> bool:
        if self.disk_error is not None:
            return False
        path = f"{folder}/{segment}.log"
        try:
            if is_fresh:
                files.remove(path)
            files.append(path, data)
        except PortError as error:
            self.disk_error = error
            self._retry_at = clock.now_ms() + RETRY_MS
            return False
        return True

    def _retry(self) -> None:
        """Start again from what the disk really holds."""
        failed, self.disk_error = self.disk_error, None
        count, self.unwritten = self.unwritten, 0
        try:
            self._resume(self._folder or "")
        except PortError as error:
            self.disk_error, self.unwritten = error, count
            self._retry_at = clock.now_ms() + RETRY_MS
            return
        if failed is not None:
            self._ring.log("warning", "journal", f"{count} lines were not written ({failed.code}).", clock.unix_time())

    def _resume(self, folder: str) -> None:
        """Find the segment in use; drop one that does not fit (a lower cap, not ours) and end a torn line."""
        newest, used, is_newest_torn = -1, 0, False
        for segment in (0, 1):
            path = f"{folder}/{segment}.log"
            if not files.exists(path):
                continue
            generation, size, is_torn = _inspect(path)
            if size > self._bytes_max // 2 or generation % 2 != segment:
                files.remove(path)
            elif generation > newest:
                newest, used, is_newest_torn = generation, size, is_torn
        if is_newest_torn:
            files.append(f"{folder}/{newest % 2}.log", b"\n")
            used += 1
        self._ring.resume(newest, used)


def _inspect(path: str) -> tuple[int, int, bool]:
    """(the number in its first line, -1 when that is not one of ours; its length; whether the last line has no end)."""
    slab = files.open_slab(path)
    try:
        line = slab.read(0, HEADER_READ_BYTES).split(b"\n")[0]
        is_torn = slab.length > 0 and slab.read(slab.length - 1, 1) != b"\n"
    finally:
        slab.close()
    digits = line[len(core.HEADER) :]
    is_ours = line.startswith(core.HEADER.encode()) and digits.isdigit() and len(digits) < 12
    return (int(digits) if is_ours else -1), slab.length, is_torn
