"""How many bytes may still be written to the flash today: `flash_bytes_day` in any 24 hours, restarts included.

Kept by the hour: what was written in this hour and the 24 before it is never more than a day's bytes. (A bucket as deep
as a day would let two days' bytes through in one.) Time that this process did not see does not count: after a
restart the hours go on where they were. What is written is counted before it is written, in pages.

So that a power cut gives nothing back, what `pages` says is on the medium before it is spent: `is_covered`.
Promises come first: the cache may not use the last quarter of a day, and no put its last 1/16, which is left for
deletions, checkpoints and the memo. A 128th of it is the file system's own: it dates a file that was written.
"""

from agent.errors import LimitError

PAGE_BYTES = 4096  # what a file system writes for a byte
REPLACE_BYTES = 4 * PAGE_BYTES  # what replacing a file writes beside its content
HOURS = 25
HOUR_MS = 3_600_000
PUT, CACHE, TIDY = "put", "cache", "tidy"  # what for
_AHEAD = 64  # this part of a day is put on the medium at once


def in_pages(count: int) -> int:
    """Bytes, rounded up to whole pages."""
    return (count + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES


class Flash:
    """`day_bytes`: 0 = without a limit."""

    def __init__(self, day_bytes: int) -> None:
        self.limit(day_bytes)
        self._hours = [0] * HOURS  # pages written in this hour and in those before it
        self._next_ms = -1  # when the next hour begins
        self._spent = 0  # pages, since the start of this process
        self._durable = 0  # up to here the medium knows of it

    def limit(self, day_bytes: int) -> None:
        """From now on; what was written in the last 24 hours counts."""
        self.day_bytes = day_bytes
        self._most = day_bytes - day_bytes // 128

    def left(self, purpose: str, now: int) -> int:
        """Bytes that may be written for that purpose now."""
        if not self.day_bytes:
            return 1 << 60
        self._turn(now)
        spared = {PUT: self.day_bytes // 16, CACHE: self.day_bytes // 4, TIDY: 0}[purpose]
        return max(0, self._most - spared - sum(self._hours) * PAGE_BYTES)

    def spend(self, count: int) -> None:
        """`count` bytes are going to be written; they may be more than are left (what must be, must be)."""
        pages = in_pages(count) // PAGE_BYTES
        self._hours[0] += pages
        self._spent += pages

    def give_back(self, count: int) -> None:
        """They were not written after all."""
        self._hours[0] = max(0, self._hours[0] - in_pages(count) // PAGE_BYTES)

    def refusal(self, count: int, purpose: str, now: int) -> LimitError:
        """Says when there will be enough."""
        wait_ms, hours, lacking = max(0, self._next_ms - now), self._hours[:], count - self.left(purpose, now)
        while lacking > 0 and len(hours) > 1:
            lacking -= hours.pop() * PAGE_BYTES
            wait_ms += HOUR_MS if lacking > 0 else 0
        text = f"The device has written what it may write in a day ({self.day_bytes} bytes); it serves what it has."
        return LimitError("flash", text, wait_ms // 1000 + 1)

    def is_covered(self) -> bool:
        """Whether what was spent is on the medium, or on its way there before what it is spent for."""
        return not self.day_bytes or self._spent <= self._durable

    def pages(self, is_last: bool) -> list[int]:
        """The hours for the medium, with a part of the day that may be spent next; `covered(mark())` when it is
        there. `is_last`: nothing more will be spent."""
        hours = self._hours[:]
        hours[0] += 0 if is_last else self._ahead()
        return hours

    def mark(self) -> int:
        return self._spent + self._ahead()

    def covered(self, mark: int) -> None:
        self._durable = max(self._durable, mark)

    def recall(self, hours: list[int], is_older: bool) -> None:
        """What an earlier process left on the medium. `is_older`: a newer word of it may be lost."""
        self._hours = hours[:]
        self._hours[0] += self._ahead() if is_older else 0

    def exhaust(self) -> None:
        """What the medium says cannot be read: as if the day were used up."""
        self._hours[0] = self.day_bytes // PAGE_BYTES

    def _ahead(self) -> int:
        return self.day_bytes // PAGE_BYTES // _AHEAD + 1

    def _turn(self, now: int) -> None:
        if self._next_ms < 0:
            self._next_ms = now + HOUR_MS
        while self._next_ms <= now:
            self._next_ms += HOUR_MS
            self._hours = [0] + self._hours[:-1]
            if not sum(self._hours):
                self._next_ms = max(self._next_ms, now + HOUR_MS)
