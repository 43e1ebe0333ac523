"""How often a stranger is answered: a token bucket for each source prefix, so that we are no use for reflection.

An answer to a request without proof goes to an address that may be forged, and RFC 8489 makes it bigger than the
request. Each /24 of IPv4 and /56 of IPv6 gets a few a second; beyond that we are silent. A client behind a busy
prefix repeats its request and is answered later. Bounds: PREFIXES_MAX prefixes; all beyond share one bucket.
"""

PREFIXES_MAX = 256
BURST_S = 4
SWEEP_MS = 250  # rows of quiet prefixes are looked for at most this often


class Budget:
    """`per_s`: answers a second to one prefix, BURST_S times as many at once."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._full = per_s * BURST_S * 1000
        self._rows: dict[bytes, list[int]] = {}  # prefix -> [thousandths of an answer, when]
        self._sweep_at = 0

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, ip: bytes, now: int) -> bool:
        """Whether `ip` may be answered once more."""
        prefix = ip[:3] if len(ip) == 4 else ip[:7]
        row = self._rows.get(prefix)
        if row is None:
            if len(self._rows) >= PREFIXES_MAX:
                self._sweep(now)
            if len(self._rows) >= PREFIXES_MAX:
                prefix = b""
            row = self._rows.setdefault(prefix, [self._full, now])
        row[0] = min(row[0] + (now - row[1]) * self._per_s, self._full)
        row[1] = now
        if row[0] < 1000:
            return False
        row[0] -= 1000
        return True

    def _sweep(self, now: int) -> None:
        """Forget who has a full bucket again: nothing is lost by that."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_MS
        for prefix in list(self._rows):
            level, when = self._rows[prefix]
            if level + (now - when) * self._per_s >= self._full:
                del self._rows[prefix]
