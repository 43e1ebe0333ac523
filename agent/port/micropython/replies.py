"""What a query gets: an answer of the group, sooner or later, or a datagram of its own. RFC 6762 sections 5.4, 6, 6.7,
7.1, 7.2 and 15.1.

Decides only; answers to the group wait in answers.py. Bounds: unicast replies, the only ones that could be aimed at
somebody, at most UNICAST_PER_S (and only to neighbours: the responder lets no others in).
"""

from agent.port.micropython import dns
from agent.port.micropython.answers import Answers
from agent.port.micropython.neighbours import Link
from agent.port.micropython.records import Records

if False:
    from collections.abc import Callable

PORT = 5353
UNICAST_PER_S = 10
UNICAST_BURST = 20


class Replies:
    def __init__(self, chance: "Callable[[int], int]") -> None:
        self.answers = Answers(chance)
        self._unicast_credit = UNICAST_BURST * 1000
        self._unicast_at = 0

    def query(
        self, message: dns.Message, link: Link, records: Records, source: tuple[str, bytes, int], now: int
    ) -> bytes:
        """The unicast reply to `source`, b"" for none; what the group shall hear is queued."""
        key, address, port = source
        known = records.known(message.answers)
        if not message.questions:
            self.answers.known(key, known, address)
            return b""
        by_group: set[int] = set()
        direct: set[int] = set()
        # Processes of one machine share the port, so a unicast answer may reach the wrong one (section 15.1).
        is_neighbour = address not in link.addresses
        for question in message.questions:
            is_direct = port != PORT or (question.unicast and is_neighbour)
            (direct if is_direct else by_group).update(records.asked(question))
        by_group, direct = by_group - known, direct - known
        if port != PORT:
            return records.legacy(direct, message) if direct and self._may_send(now) else b""
        recent = {index for index in direct if self._is_recent(key, records, index, now)}
        reply = records.response(recent) if recent and self._may_send(now) else b""
        self._queue(message, records, by_group | (direct - recent if reply else direct), source, now)
        return reply

    def _queue(
        self, message: dns.Message, records: Records, wanted: set[int], source: tuple[str, bytes, int], now: int
    ) -> None:
        if not wanted:
            return
        if message.authorities:
            self.answers.defend(source[0], wanted, now)
        elif message.flags & dns.TRUNCATED:
            self.answers.hold(source[0], wanted, now, source[1])
        else:
            self.answers.add(source[0], wanted, now, any(not records.all[index].flush for index in wanted))

    def _is_recent(self, key: str, records: Records, index: int, now: int) -> bool:
        """RFC 6762 section 5.4: within a quarter of its life all caches have it from the group."""
        age_ms = self.answers.age_ms(key, index, now)
        return age_ms is not None and age_ms < records.all[index].ttl * 250

    def _may_send(self, now: int) -> bool:
        more = (now - self._unicast_at) * UNICAST_PER_S
        self._unicast_credit = min(UNICAST_BURST * 1000, self._unicast_credit + more)
        self._unicast_at = now
        if self._unicast_credit < 1000:
            return False
        self._unicast_credit -= 1000
        return True
