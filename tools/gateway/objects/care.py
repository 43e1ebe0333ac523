"""How patiently and how fast the core looks after what is stored: the figures, and the brake that keeps them.

Storj calls a node offline for repair after four hours, HDFS and Ceph begin after ten minutes; here ten minutes are
enough when the next loss would take a file, and four hours otherwise: most devices that go come back.
"""

import asyncio
import time
from dataclasses import dataclass

BURST_S = 1.0


@dataclass(frozen=True)
class Care:
    """`away_s`: a device away for so long is not waited for; `urgent_s`: nor for stripes that survive no loss;
    `settled_s`: a fleet of one size for so long is coded for; `patience_s`: for a device that is slow with the last
    shard of an object coded anew; `scan_s`: between two looks; `background_bps`: bytes/s that repairs and coding anew
    may read."""

    away_s: float = 4 * 3600
    urgent_s: float = 600
    settled_s: float = 600
    patience_s: float = 120
    scan_s: float = 30
    background_bps: int = 16 << 20

    @classmethod
    def of(cls, away_s: float, background_bps: int) -> "Care":
        """What an operator sets; the shorter times follow."""
        short = min(cls.urgent_s, away_s)
        return cls(away_s, short, short, cls.patience_s, max(0.5, min(cls.scan_s, away_s / 4)), background_bps)


class Brake:
    """A token bucket of BURST_S that callers wait at; one that takes more than it holds pays afterwards."""

    def __init__(self, bytes_a_second: int) -> None:
        self._rate = bytes_a_second
        self._held = self._rate * BURST_S
        self._at = time.monotonic()

    async def pass_by(self, count: int) -> None:
        """Return when `count` bytes may move."""
        while True:
            now = time.monotonic()
            self._held = min(self._rate * BURST_S, self._held + (now - self._at) * self._rate)
            self._at = now
            if self._held > 0:
                self._held -= count
                return
            await asyncio.sleep(min(BURST_S, -self._held / self._rate + 0.001))
