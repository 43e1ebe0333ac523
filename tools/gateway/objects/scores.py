"""Which device will answer soonest, and when one is late: peak-EWMA x in flight, and the 95th percentile.

The score of a device jumps to a sample that is worse and forgets it over DECAY_S (Finagle's peak EWMA): who lags is
left at once and tried again after a while. Who sends wrong bytes counts as having taken LIE_S. A request without an
answer for `hedge_s()` is asked of another device too, within a budget: a slow network is not asked twice for all.

Floats order candidates here; they are never signed. Bounds: one entry for each device, WINDOW samples.
"""

import math
import time
from collections import deque
from collections.abc import Callable

START_S = 0.05  # of a device that was never asked
DECAY_S = 10.0
LIE_S = 60.0
LATE_TIMES = 4
WINDOW = 128
WINDOW_MIN = 16
HEDGE_START_S = 1.0  # before there are WINDOW_MIN samples
HEDGE_S_MIN = 0.05
HEDGE_S_MAX = 5.0
PERCENTILE = 0.95
HEDGES_SHARE = 0.1  # of all requests, and HEDGES_A_SECOND
HEDGES_A_SECOND = 1.0
HEDGES_BURST = 16.0


class Scores:
    """One for all devices of a core."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._peaks: dict[str, tuple[float, float]] = {}  # device -> (seconds, when)
        self._window: deque[float] = deque(maxlen=WINDOW)
        self._budget, self._budget_at = HEDGES_BURST, now()

    def expected_s(self, device: str) -> float:
        """Until it answers one request."""
        if device not in self._peaks:
            return START_S
        seconds, at = self._peaks[device]
        return seconds * math.exp(-(self._now() - at) / DECAY_S)

    def answered(self, device: str, seconds: float) -> None:
        """A read came back, so long after its turn had come."""
        now = self._now()
        before, at = self._peaks.get(device, (seconds, now))
        kept = math.exp(-(now - at) / DECAY_S)
        mixed = seconds if seconds > before * kept else before * kept + seconds * (1 - kept)
        self._peaks[device] = (mixed, now)

    def took(self, seconds: float) -> None:
        """A read, its waiting for a turn included, and it was right."""
        self._budget = min(HEDGES_BURST, self._budget + HEDGES_SHARE)
        self._window.append(seconds)

    def given_up(self, seconds: float) -> None:
        """The same of one that was not waited for any longer."""
        if seconds > self.hedge_s():
            self._window.append(seconds)

    def late(self, device: str, seconds: float) -> None:
        """It was not waited for any longer: it would have taken at least so long, and nobody knows how much longer."""
        if seconds * LATE_TIMES > self.expected_s(device):
            self._peaks[device] = (seconds * LATE_TIMES, self._now())

    def lied(self, device: str) -> None:
        """It sent other bytes than it was asked for."""
        self._peaks[device] = (LIE_S, self._now())

    def drop(self, device: str) -> None:
        """It was forgotten."""
        self._peaks.pop(device, None)

    def hedge_s(self) -> float:
        """After so long without an answer another device is asked."""
        if len(self._window) < WINDOW_MIN:
            return HEDGE_START_S
        late = sorted(self._window)[int(len(self._window) * PERCENTILE)]
        return min(HEDGE_S_MAX, max(HEDGE_S_MIN, late))

    def may_hedge(self) -> bool:
        """Takes one out of the budget."""
        now = self._now()
        self._budget = min(HEDGES_BURST, self._budget + (now - self._budget_at) * HEDGES_A_SECOND)
        self._budget_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True
