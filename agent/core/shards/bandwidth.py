"""How fast shards come and go: one ceiling for all that the store receives and sends, in both lanes, by every door.

A token bucket. Nobody is refused: who asks is told how long to wait, and waits behind those who asked before. What was
left unused for BURST_MS is made up for, so that a clock that wakes late costs nothing; more is not. So in T ms at most
T + BURST_MS of the rate pass, and one piece. No memory is held here: whoever waits holds one piece.
"""

BURST_MS = 100
PIECE_SHARE = 20  # this part of a second's bytes at once, so that many who wait take short turns,
PIECE_BYTES_MIN = 1024  # but never less


class Bandwidth:
    """`moved`: bytes since the start."""

    def __init__(self, bytes_s: int) -> None:
        self.bytes_s = bytes_s
        self.moved = 0
        self._owed = 0  # bytes that were promised and for which the time has not passed, times 1000
        self._at = 0

    def piece(self, left: int) -> int:
        """How many of `left` bytes to ask for at once."""
        return min(left, max(PIECE_BYTES_MIN, self.bytes_s // PIECE_SHARE))

    def take(self, count: int, now: int) -> int:
        """Milliseconds until these bytes may pass; they count from now on."""
        self._owed = max(self._owed - (now - self._at) * self.bytes_s, -BURST_MS * self.bytes_s)
        self._at = now
        wait_ms = self._owed // self.bytes_s
        self._owed += count * 1000
        self.moved += count
        return max(0, wait_ms)
