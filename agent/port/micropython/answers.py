"""Multicast answers that wait for their moment: aggregation, known-answer suppression over several packets, and
the rule that a record is not multicast twice within a second. RFC 6762 sections 6, 6.3, 6.4, 7.2, 7.4.

Only indexes of records and times: what they mean is the responder's business. Bounds: one waiting answer for each
link, WAITS_MAX for queriers that announced more known answers, one time for each link and record.
"""

if False:
    from collections.abc import Callable

WAITS_MAX = 16
GAP_MS = 1000  # RFC 6762 section 6
DEFENCE_GAP_MS = 250  # the same, for an answer to a probe
DELAY_MS = (20, 120)  # for records that others may answer too
TRUNCATED_DELAY_MS = (400, 500)


class _Wait:
    def __init__(self, due: int, link: str, indexes: set[int], querier: bytes) -> None:
        self.due = due
        self.link = link
        self.indexes = indexes
        self.querier = querier  # b"" for the one that all queriers share
        self.gap_ms = GAP_MS


class Answers:
    def __init__(self, chance: "Callable[[int], int]") -> None:
        self._chance = chance
        self._waits: list[_Wait] = []
        self._multicast_at: dict[tuple[str, int], int] = {}

    def forget(self) -> None:
        """The records changed: indexes of before mean nothing now."""
        self._waits = []
        self._multicast_at = {}

    @property
    def wake_at(self) -> int | None:
        return min([wait.due for wait in self._waits], default=None)

    def _delay(self, low: int, high: int) -> int:
        return low + self._chance(high - low + 1)

    def add(self, link: str, indexes: set[int], now: int, is_shared: bool) -> None:
        """Shared records wait a little, so that many answers fit one packet; unique ones go at once."""
        self._join(link, indexes, now + (self._delay(DELAY_MS[0], DELAY_MS[1]) if is_shared else 0), GAP_MS)

    def defend(self, link: str, indexes: set[int], now: int) -> None:
        """The answer to a probe: late is useless."""
        self._join(link, indexes, now, DEFENCE_GAP_MS)

    def _join(self, link: str, indexes: set[int], due: int, gap_ms: int) -> None:
        for wait in self._waits:
            if wait.link == link and not wait.querier:
                wait.indexes = wait.indexes | indexes
                wait.due = min(wait.due, due)
                wait.gap_ms = min(wait.gap_ms, gap_ms)
                return
        wait = _Wait(due, link, indexes, b"")
        wait.gap_ms = gap_ms
        self._waits.append(wait)

    def hold(self, link: str, indexes: set[int], now: int, querier: bytes) -> None:
        """The querier has more known answers to send (TC bit): wait for them."""
        if len(self._waits) >= WAITS_MAX:
            self.add(link, indexes, now, True)
            return
        due = now + self._delay(TRUNCATED_DELAY_MS[0], TRUNCATED_DELAY_MS[1])
        self._waits.append(_Wait(due, link, indexes, querier))

    def known(self, link: str, indexes: set[int], querier: bytes) -> None:
        """More known answers of `querier`; b"" when another responder gave the answer (section 7.4)."""
        for wait in self._waits:
            if wait.link == link and wait.querier == querier:
                wait.indexes = wait.indexes - indexes
        self._waits = [wait for wait in self._waits if wait.indexes]

    def sent(self, link: str, indexes: set[int], now: int) -> None:
        for index in indexes:
            self._multicast_at[link, index] = now

    def age_ms(self, link: str, index: int, now: int) -> int | None:
        """Since this record was last multicast on this link; None for never."""
        at = self._multicast_at.get((link, index))
        return None if at is None else now - at

    def take(self, now: int) -> list[tuple[str, set[int]]]:
        """What is due, as (link, indexes); records that went out a moment ago wait until their gap is over."""
        due = [wait for wait in self._waits if wait.due <= now]
        self._waits = [wait for wait in self._waits if wait.due > now]
        taken = []
        for wait in due:
            ready: set[int] = set()
            for index in wait.indexes:
                at = self._multicast_at.get((wait.link, index), now - wait.gap_ms) + wait.gap_ms
                if at <= now:
                    ready.add(index)
                else:
                    self._join(wait.link, {index}, at, wait.gap_ms)
            if ready:
                self.sent(wait.link, ready, now)
                taken.append((wait.link, ready))
        return taken
