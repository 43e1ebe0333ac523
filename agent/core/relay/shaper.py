"""The bandwidth ceiling of one direction: a token bucket that fills max-min fair shares of the active users.

    shaper = Shaper(rate_bps, now)
    if shaper.take(user, wire_bytes(len(payload), is_ipv6, is_channel_data), now): send it     # else drop it

In any second at most rate_bps leave: the bucket of all is filled with the rest of a second beside BURST_MS and holds
BURST_MS (at least PACKET_BYTES). A bit less than that is dealt out, so that this bucket is a guard that nobody meets
but after a pause, and no race for it decides who sends: under demand 4 % less than the rate leave (6 % at 256 kbit/s).
Each user's bucket holds BURST_MS too and gets an equal part; what a full one cannot take flows to the others, so who
asks for less than a fair share loses nothing and one user alone gets everything. It may go below zero by one packet:
where a share is less than a packet, users take turns. Integers only: a level is in bytes
times _UNIT, which is bit/s times ms.
Bounds: USERS_MAX buckets of who asked within ACTIVE_MS; all beyond share one.
"""

BURST_MS = 25
PACKET_BYTES = 1600
FILL_MS = 4  # shares are counted at most this often
ACTIVE_MS = 1000
USERS_MAX = 256
DEALT_PERMILLE = 985
_UNIT = 8000


class Shaper:
    """`rate_bps`: 0 = no ceiling. `user_bps`: of one user, 0 = as `rate_bps`."""

    def __init__(self, rate_bps: int, now: int, user_bps: int = 0) -> None:
        self._burst = max(rate_bps * BURST_MS, PACKET_BYTES * _UNIT)
        self._fill = max(rate_bps - self._burst // 1000, rate_bps // 2)  # a very low rate keeps half of it
        self._dealt = self._fill * DEALT_PERMILLE // 1000
        self._user_fill = min(user_bps or self._dealt, self._dealt)
        self._rate = rate_bps
        self._level = self._burst
        self._at = now
        self._users: dict[str, list[int]] = {}  # user -> [level, asked at]

    def take(self, user: str, wire_bytes: int, now: int) -> bool:
        """Whether these bytes may leave now; then they count."""
        if not self._rate:
            return True
        if now - self._at >= FILL_MS:
            self._refill(now)
        row = self._users.get(user)
        if row is None:
            if len(self._users) >= USERS_MAX:
                user = ""
            # A part of what is there at once: what begins (a handshake, a check of ICE) is a few packets together.
            row = self._users.setdefault(user, [self._level // (len(self._users) + 1), now])
        row[1] = now
        size = wire_bytes * _UNIT
        if row[0] < 0:
            return False
        if self._level < size:
            # More was promised than there is (many came at once): else the first to ask would always win.
            for other in self._users.values():
                other[0] = min(other[0], self._level // len(self._users))
            return False
        row[0] -= size
        self._level -= size
        return True

    def _refill(self, now: int) -> None:
        passed_ms = min(now - self._at, ACTIVE_MS)
        self._at = now
        for user in [each for each in self._users if now - self._users[each][1] > ACTIVE_MS]:
            del self._users[user]
        self._level = min(self._level + self._fill * passed_ms, self._burst)
        if not self._users:
            return
        most = self._user_fill * passed_ms
        left = self._dealt * passed_ms
        rows = [(min(self._burst - row[0], most), user) for user, row in self._users.items()]
        rows.sort()  # water-filling: who needs least first, so that one pass is exact
        count = len(rows)
        for size, user in rows:
            given = min(size, left // count)
            self._users[user][0] += given
            left -= given
            count -= 1


def wire_bytes(size: int, is_ipv6: bool, is_channel_data: bool) -> int:
    """What a meter outside sees of a UDP datagram: IP and UDP headers too."""
    return size + (48 if is_ipv6 else 28) + (4 if is_channel_data else 0)
