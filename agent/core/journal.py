"""The log ring: decides what is kept, folded and written; agent/service/journal.py does the writing.

Not a machine with sources: one call in, pieces of two segment files out. Bounds: the two segments together never
exceed `bytes_max`; the newest lines stay in memory up to MEMORY_BYTES_MAX; a text that repeats is folded for a
minute, then two, up to an hour; different texts are limited by a budget of lines per level, so that a storm of
errors neither fills the ring in an hour nor wears the flash out.
"""

from agent.wire.shape import is_plain

LINE_BYTES_MAX = 300
MEMORY_BYTES_MAX = 4096
BYTES_MIN = 4096
FOLDS_MAX = 16
FOLD_S_MIN, FOLD_S_MAX = 60, 3600
BURST_LINES = 100
LINE_EVERY_S = 10  # what the budget grows by, per level
LEVELS = ("info", "warning", "error")
HEADER = "# corelet log, segment "


def clean(text: str) -> str:
    """Printable, on one line."""
    return "".join([sign if is_plain(sign) else " " for sign in text[:LINE_BYTES_MAX]])


def cut(line: str) -> str:
    """At most LINE_BYTES_MAX bytes of UTF-8."""
    while len(line.encode()) > LINE_BYTES_MAX:
        line = line[: len(line) - max(1, (len(line.encode()) - LINE_BYTES_MAX) // 4)]
    return line


def format_time(unix_time: int) -> str:
    """2026-07-05T12:00:00Z; the calendar of Howard Hinnant's `civil_from_days`."""
    n, second = unix_time // 86400 + 719468, unix_time % 86400
    era, n = n // 146097, n % 146097
    y = (n - n // 1460 + n // 36524 - n // 146096) // 365
    n -= 365 * y + y // 4 - y // 100  # the day of a year that begins in March
    m = (5 * n + 2) // 153
    d = n - (153 * m + 2) // 5 + 1
    m = m + 3 if m < 10 else m - 9
    y += era * 400 + (1 if m <= 2 else 0)
    return f"{y:04d}-{m:02d}-{d:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


class _Fold:
    """One text that was written lately."""

    def __init__(self, key: tuple[str, str, str], now: int) -> None:
        self.key = key
        self.count = 0
        self.seen = now
        self.window_s = FOLD_S_MIN
        self.until = now + self.window_s

    def is_due(self, now: int) -> bool:
        return now >= self.until or now < self.until - self.window_s  # the clock may be set back

    def again(self, now: int) -> None:
        self.count = 0
        self.window_s = min(FOLD_S_MAX, self.window_s * 2)
        self.until = now + self.window_s


class _Budget:
    """Lines that one level may still write."""

    def __init__(self) -> None:
        self.lines = BURST_LINES
        self.since = 0
        self.left_out = 0

    def take(self, now: int) -> bool:
        grown = (now - self.since) // LINE_EVERY_S
        self.lines = min(BURST_LINES, self.lines + max(0, grown))  # the clock may be set back
        self.since += grown * LINE_EVERY_S
        if self.lines <= 0:
            self.left_out += 1
            return False
        self.lines -= 1
        return True


class Journal:
    """`resume` says where an earlier process stopped. `drain()` gives what is to be written, in order."""

    def __init__(self, bytes_max: int) -> None:
        self._segment_bytes_max = max(bytes_max, BYTES_MIN) // 2
        self._folds: list[_Fold] = []
        self._budgets = {level: _Budget() for level in LEVELS}
        # One block that is written round and round: many small lines kept for long would tear a small heap to pieces.
        self._memory = bytearray(MEMORY_BYTES_MAX)
        self._position = 0
        self._is_wrapped = False
        self._now = -1
        self._pending: list[tuple[int, bool, bytes]] = []
        self.generation = -1  # its lowest bit is the number of the segment in use
        self._used = self._segment_bytes_max

    def resume(self, generation: int, used: int) -> None:
        """Go on in segment `generation` % 2, which holds `used` bytes; -1 and 0: there is none yet."""
        self.generation = generation
        self._used = used if generation >= 0 else self._segment_bytes_max

    def log(self, level: str, source: str, text: str, unix_time: int) -> None:
        """`level`: one of LEVELS. Whatever `text` holds becomes one printable line."""
        if unix_time != self._now:
            self._now = unix_time
            self._settle_due(unix_time)
        key = (level, clean(source), clean(text))
        for fold in self._folds:
            if fold.key == key:
                fold.count += 1
                fold.seen = unix_time
                return
        if not self._budgets[level].take(unix_time):
            return
        self._say_left_out(level, unix_time)
        self._write(key, "", unix_time)
        if len(self._folds) >= FOLDS_MAX:
            oldest = min(self._folds, key=lambda fold: fold.seen)
            self._folds.remove(oldest)
            self._say_repeated(oldest, unix_time)
        self._folds.append(_Fold(key, unix_time))

    def settle(self, unix_time: int) -> None:
        """Write what is still folded (at the end of the process)."""
        for fold in self._folds:
            self._say_repeated(fold, unix_time)
        self._folds = []

    def lines(self) -> list[str]:
        """The newest lines, oldest first."""
        written = bytes(self._memory[: self._position])
        if self._is_wrapped:  # what is left of the oldest line is dropped
            written = bytes(self._memory[self._position :]).partition(b"\n")[2] + written
        return written.decode().split("\n")[:-1]

    def drain(self) -> list[tuple[int, bool, bytes]]:
        """(segment 0 or 1, whether it starts anew, bytes to append)."""
        pieces, self._pending = self._pending, []
        return pieces

    def _settle_due(self, now: int) -> None:
        for fold in [fold for fold in self._folds if fold.is_due(now)]:
            if fold.count:
                self._say_repeated(fold, now)
                fold.again(now)
            else:
                self._folds.remove(fold)

    def _say_repeated(self, fold: _Fold, now: int) -> None:
        if fold.count:
            self._write(fold.key, " (repeated once)" if fold.count == 1 else f" (repeated {fold.count} times)", now)

    def _say_left_out(self, level: str, now: int) -> None:
        budget = self._budgets[level]
        if budget.left_out:
            self._write((level, "journal", f"{budget.left_out} lines were left out; too many came."), "", now)
            budget.left_out = 0

    def _write(self, key: tuple[str, str, str], tail: str, now: int) -> None:
        line = cut(f"{format_time(now)} {key[0]} {key[1]}: {key[2]}{tail}")
        if tail and not line.endswith(tail):
            line = cut(line[: len(line) - len(tail) - 8]) + tail  # the count matters more than the end of the text
        data = line.encode() + b"\n"
        self._remember(data)
        self._put(data)

    def _remember(self, data: bytes) -> None:
        room = MEMORY_BYTES_MAX - self._position
        if len(data) >= room:
            self._memory[self._position :] = data[:room]
            data = data[room:]
            self._position, self._is_wrapped = 0, True
        self._memory[self._position : self._position + len(data)] = data
        self._position += len(data)

    def _put(self, data: bytes) -> None:
        is_fresh = self._used + len(data) > self._segment_bytes_max
        if is_fresh:
            self.generation += 1
            data = f"{HEADER}{self.generation}\n".encode() + data
            self._used = 0
        self._used += len(data)
        self._pending.append((self.generation % 2, is_fresh, data))
