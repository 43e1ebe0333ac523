"""The relay: a TURN server (RFC 8656, 8489, 6156) as a machine. No I/O; records in events.py.

    relay = Relay(world, credentials, policy, limits)
    relay.receive(data, client, now)       # one whole STUN message; junk is counted and dropped, it never raises for it
    relay.from_peer(number, peer, data, now)    # a datagram that no open channel took
    relay.opened(number, now) / relay.busy(number, now)           # answers to the event Open
    relay.client_gone(client, now)         # a TCP client's connection ended
    relay.count(number, packets_up, bytes_up, packets_down, bytes_down)     # what the fast path carried, batch-wise

`outgoing`: (bytes, client). Up = from client to peer. What passes through the machine is counted and shaped by the
machine; what the driver carries on an open channel is counted by `count` and shaped by the driver with
`relay.up.take(user, wire_bytes, now)` and `relay.down.take(...)` (shaper.py).
"""

from agent.core.machine import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.relay.credentials import Credentials
    from agent.core.relay.events import Client, Limits, World
    from agent.core.relay.policy import Policy
    from agent.wire import stun


class Relay(Machine):
    """`counters`: refusals and drops by reason. `users`: name -> [allocations, packets up, bytes up, packets down,
    bytes down, ...]. `allocated`: how many allocations were ever made. `up`, `down`: the shapers."""

    def __init__(self, world: "World", credentials: "Credentials", policy: "Policy", limits: "Limits") -> None:
        Machine.__init__(self)

    def receive(self, data: "stun.Data", source: "Client", now: int) -> None:  # type: ignore[override]
        raise NotImplementedError

    def from_peer(self, relay: int, peer: "stun.Address", data: "stun.Data", now: int) -> None:
        raise NotImplementedError

    def opened(self, relay: int, now: int) -> None:
        raise NotImplementedError

    def busy(self, relay: int, now: int) -> None:
        raise NotImplementedError

    def client_gone(self, client: "Client", now: int) -> None:
        raise NotImplementedError

    def count(self, relay: int, packets_up: int, bytes_up: int, packets_down: int, bytes_down: int) -> None:
        raise NotImplementedError

    def recheck(self, now: int) -> None:
        """The policy has changed: what it refuses now lapses."""
        raise NotImplementedError
