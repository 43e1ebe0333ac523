"""The mDNS responder as a machine (contract: agent/core/machine.py): datagrams and time in, datagrams and events out.

It keeps one DNS-SD service registered on any number of links: probing and tie-breaking, announcing, answering,
conflict resolution, rescue of records that somebody says goodbye to in our name, goodbye. RFC 6762 sections 5 to 11,
RFC 6763. Not a browser and not a cache: it remembers nothing of what others publish.

`source`: (link key, packed address, port); destination: (link key, packed address or None for the group, port).
Bounds: LINKS_MAX, and what replies.py and answers.py say.
"""

import binascii
from collections import namedtuple

from agent.port.micropython import dns
from agent.port.micropython.neighbours import Link, is_on_link
from agent.port.micropython.records import Names, Records, goodbye, numbered, ranked
from agent.port.micropython.replies import PORT, Replies

if False:
    from collections.abc import Callable

    from agent.port.options import Service

LINKS_MAX = 8
PROBES = 3
PROBE_GAP_MS = 250
TIE_WAIT_MS = 1000
ANNOUNCEMENTS = 2
ANNOUNCE_GAP_MS = 1000
CONFLICTS_MAX = 15  # within CONFLICTS_MS: from there on slowly (RFC 6762 section 8.1)
CONFLICTS_MS = 10000
CONFLICT_WAIT_MS = 5000
CALM_MS = 60000  # without a conflict, and slowness ends
NUMBER_MAX = 999
SENT_MAX = 16  # own packets come back by loop-back: the latest are recognised

PROBING, ANNOUNCED, CLOSED = "probing", "announced", "closed"

# Event: these names are ours on every link.
Announced = namedtuple("Announced", ("instance", "host"))


class Responder:
    """`state`: PROBING, ANNOUNCED or CLOSED. `names`: those in use or being tried."""

    def __init__(self, service: "Service", chance: "Callable[[int], int]") -> None:
        """`chance(n)`: a random number in 0..n-1."""
        self.wake_at: int | None = None
        self.outgoing: list[tuple[bytes, tuple[str, bytes | None, int]]] = []
        self.events: list[Announced] = []
        self.state = PROBING
        self.names = Names(numbered(service.instance, 1), numbered(service.host, 1))
        self._service = service
        self._chance = chance
        self._numbers = [1, 1]
        self._links: dict[str, Link] = {}
        self._records: dict[str, Records] = {}
        self._replies = Replies(chance)
        self._answers = self._replies.answers
        self._step = 0  # probes or announcements sent
        self._step_at: int | None = None
        self._conflicts_at: list[int] = []
        self._slow_until = 0
        self._sent: list[tuple[int, int]] = []
        self._was_announced = False
        Records(service, self.names, [])  # UsageError now rather than in the middle of something

    def drain_outgoing(self) -> list[tuple[bytes, tuple[str, "bytes | None", int]]]:
        pairs, self.outgoing = self.outgoing, []
        return pairs

    def drain_events(self) -> list[Announced]:
        events, self.events = self.events, []
        return events

    # What the owner wants.

    def set_links(self, links: list[Link], now: int) -> None:
        """These links and addresses from now on; names are probed again, as after every change of a network."""
        self._links = {link.key: link for link in links[:LINKS_MAX]}
        self._rebuild()
        self._probe_from(now + self._chance(PROBE_GAP_MS))
        self._plan()

    def update(self, service: "Service", now: int) -> None:
        """New TXT or subtypes; instance, host and port stay."""
        before, self._service = self._records, service
        self._rebuild()
        if self.state == ANNOUNCED:
            for key, old in before.items():
                gone = [one for one in old.all if one.type == dns.PTR and self._records[key].same(one) < 0]
                if gone:
                    self._send(goodbye(gone), key)
            self._step, self._step_at = 0, now
        self._plan()

    def goodbye(self) -> None:
        """Take the service off the network. May be called twice: multicast gets lost on Wi-Fi."""
        if self._was_announced:
            for key, records in self._records.items():
                ours = [one for i, one in enumerate(records.all[: records.negative]) if i != records.enumeration]
                self._send(goodbye(ours), key)
        self.state = CLOSED
        self._step_at = None
        self._answers.forget()
        self._plan()

    def _rebuild(self) -> None:
        self._records = {key: Records(self._service, self.names, link.addresses) for key, link in self._links.items()}
        self._answers.forget()

    # Time.

    def wake(self, now: int) -> None:
        if self._step_at is not None and now >= self._step_at:
            self._advance(now)
        for key, indexes in self._answers.take(now):
            self._send(self._records[key].response(indexes), key)
        self._plan()

    def _plan(self) -> None:
        times = [at for at in (self._step_at, self._answers.wake_at) if at is not None]
        self.wake_at = min(times, default=None)

    def _probe_from(self, at: int) -> None:
        if self.state == CLOSED:
            return
        self.state = PROBING
        self._step = 0
        self._step_at = at if self._links else None
        self._answers.forget()

    def _advance(self, now: int) -> None:
        if self.state == PROBING and self._step < PROBES:
            for key, records in self._records.items():
                self._send(records.probe(), key)
            self._step += 1
            self._step_at = now + PROBE_GAP_MS
            return
        if self.state == PROBING:
            self.state, self._step, self._was_announced = ANNOUNCED, 0, True
            self.events.append(Announced(self.names.instance, self.names.host))
        for key, records in self._records.items():
            everything = set(range(records.negative))
            self._send(records.response(everything), key)
            self._answers.sent(key, everything, now)
        self._step += 1
        self._step_at = now + ANNOUNCE_GAP_MS if self._step < ANNOUNCEMENTS else None

    # What comes from the network.

    def receive(self, data: bytes, source: tuple[str, bytes, int], now: int) -> None:
        """PeerError("dns") for a datagram that is no DNS message. What is not for us is ignored."""
        link = self._links.get(source[0])
        if link is None or self.state == CLOSED or (len(data), binascii.crc32(data)) in self._sent:
            return
        if not is_on_link(source[1], link.networks) or not self._records[source[0]].may_concern(data):
            return
        message = dns.decode(data)
        if message.flags & dns.OPCODE_AND_RCODE:  # RFC 6762 sections 18.3 and 18.11
            return
        if message.flags & dns.RESPONSE:
            if source[2] == PORT:
                self._hear(message, source[0], now)
        elif self.state == PROBING:
            self._break_tie(message, source, now)
        else:
            reply = self._replies.query(message, link, self._records[source[0]], source, now)
            if reply:
                self.outgoing.append((reply, source))
        self._plan()

    def _hear(self, message: dns.Message, key: str, now: int) -> None:
        if self.state == PROBING and self._step == 0:
            return  # what is wrong with the name will be said again when we ask
        records = self._records[key]
        for record in message.answers + message.additionals:
            index = records.same(record)
            name = record.name.lower()
            if index >= 0:
                self._hear_ours(key, index, record.ttl, now)
            elif record.ttl and name in records.unique and self._contradicts(record, records):
                self._resolve(records.unique.index(name), now)
                return

    def _hear_ours(self, key: str, index: int, ttl: int, now: int) -> None:
        """Somebody else says what we say. Said with a short life it needs us to say it again (RFC 6762 section 6.6)."""
        records = self._records[key]
        if self.state != ANNOUNCED or index >= records.negative:
            return
        if ttl * 2 < records.all[index].ttl:
            self._answers.add(key, {index}, now, True)
        elif index == records.enumeration:
            self._answers.known(key, {index}, b"")

    def _contradicts(self, record: dns.Record, records: Records) -> bool:
        """While probing any record of that name is somebody else's claim; later only other data of our types."""
        if record.type in (dns.A, dns.AAAA) and any(record.data in link.addresses for link in self._links.values()):
            return False  # ours, on another link, by way of a reflector
        return self.state == PROBING or records.has(record.name.lower(), record.type)

    def _resolve(self, which: int, now: int) -> None:
        """RFC 6762 sections 8.1 and 9: a name that was ours is probed again, one that was not gets a number."""
        self._conflicts_at.append(now)
        if len(self._conflicts_at) > CONFLICTS_MAX:
            self._conflicts_at.pop(0)
        is_storm = len(self._conflicts_at) == CONFLICTS_MAX and now - self._conflicts_at[0] < CONFLICTS_MS
        if is_storm or now < self._slow_until:
            self._slow_until = now + CALM_MS
        if self.state == PROBING:
            self._numbers[which] = self._numbers[which] % NUMBER_MAX + 1
            instance = numbered(self._service.instance, self._numbers[0])
            self.names = Names(instance, numbered(self._service.host, self._numbers[1]))
            self._rebuild()
        self._probe_from(now + (CONFLICT_WAIT_MS if now < self._slow_until else self._chance(PROBE_GAP_MS)))

    def _break_tie(self, message: dns.Message, source: tuple[str, bytes, int], now: int) -> None:
        """RFC 6762 section 8.2: two probe for one name at a time; the lower claim waits and looks again."""
        records = self._records[source[0]]
        for name in records.unique:
            if source[2] == PORT and ranked(message.authorities, name) > ranked(records.claims(), name):
                self._probe_from(now + TIE_WAIT_MS)
                return

    # What goes to the network.

    def _send(self, data: bytes, key: str) -> None:
        self._sent.append((len(data), binascii.crc32(data)))
        if len(self._sent) > SENT_MAX:
            self._sent.pop(0)
        self.outgoing.append((data, (key, None, PORT)))
