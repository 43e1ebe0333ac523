"""How long to wait before trying again: exponential back-off with full jitter.

Full jitter (each pause is uniform between PAUSE_MS_MIN and a cap that doubles): after a power cut a whole fleet
comes back at once, and must not do so in step. Who uses it calls `reset` only after a stable time, else two
clients that take over each other's session would do so for ever at the shortest pause.
"""

if False:
    from collections.abc import Callable

PAUSE_MS_MIN = 1_000
PAUSE_MS_MAX = 300_000
_DOUBLINGS_MAX = 9


class Backoff:
    """`entropy(length) -> bytes`: the source of the jitter."""

    def __init__(self, entropy: "Callable[[int], bytes]", pause_ms_max: int = PAUSE_MS_MAX) -> None:
        self._entropy = entropy
        self._pause_ms_max = pause_ms_max
        self._failures = 0

    def pause_ms(self) -> int:
        """The next pause; call once per failure."""
        self._failures = min(self._failures + 1, _DOUBLINGS_MAX)
        most = min(self._pause_ms_max, PAUSE_MS_MIN << self._failures)
        return PAUSE_MS_MIN + int.from_bytes(self._entropy(4), "big") % (most - PAUSE_MS_MIN + 1)

    def reset(self) -> None:
        self._failures = 0
