"""The contract of every machine: bytes (or messages) and the time go in, datagrams, messages
and events come out. No I/O, no clock, no tasks; a driver in agent/service/ or the simulator
in tests/sim/ carries them.

A driver's duties, in this order after each call: (1) act on `drain_events()`, and where an event
says "persist", make it durable; (2) send `drain_outgoing()`; (3) arm one timer for `wake_at`.
"""

if False:
    from typing import Any


class Machine:
    """`wake_at`: next deadline in ms of the caller's monotonic clock, or None.
    `outgoing`: "list[Any]" of (data, destination). `events`: "list[Any]" of namedtuples."""

    def __init__(self) -> None:
        self.wake_at: int | None = None
        self.outgoing: list[Any] = []
        self.events: list[Any] = []

    def receive(self, data: bytes, source: object, now: int) -> None:
        """Take one datagram or message. Raises PeerError when `source` broke the protocol."""
        raise NotImplementedError

    def wake(self, now: int) -> None:
        """The time has come (harmless to call early)."""

    def drain_outgoing(self) -> "list[Any]":
        """All (data, destination) pairs since the last call."""
        pairs, self.outgoing = self.outgoing, []
        return pairs

    def drain_events(self) -> "list[Any]":
        """All events since the last call."""
        events, self.events = self.events, []
        return events
