"""TCP connections of the relay to and from peers (tcp.py, tunnels.py): what the driver is told, which peers there may
be, what is known of each."""

from collections import namedtuple

from agent.core.relay.policy import Policy

if False:
    from agent.core.relay.allocations import Allocation, Endpoint
    from agent.core.relay.events import Client
    from agent.core.relay.policy import Prefix
    from agent.core.relay.server import Request
    from agent.wire.stun import Address

# As Open, but listen there over TCP; Close ends it too.
Listen = namedtuple("Listen", ("relay", "family", "port", "user"))
# Connect to `peer`, from the address of `relay` unless that is 0: answer connected or failed.
Dial = namedtuple("Dial", ("relay", "connection", "peer"))
# What comes from the connection of `client` goes to this one from now on, and back, after `greeting` has gone to the
# client. `usage`: row of its user, bytes are counted there.
Join = namedtuple("Join", ("connection", "client", "greeting", "user", "usage"))
# Close it, and who is joined with it.
Drop = namedtuple("Drop", ("connection",))


class TcpPolicy(Policy):
    """`ports`: [(first, last)] that may be connected to; PORT_MIN does not count there. `tcp`: live relayed addresses
    that are TCP ones: over UDP somebody else may be there."""

    def __init__(
        self, allow: "list[Prefix]", on_link: "list[Prefix]", external: list[bytes], ports: list[tuple[int, int]]
    ) -> None:
        Policy.__init__(self, allow, on_link, external)
        self.tcp: set[Address] = set()
        self._ports = ports

    def is_own(self, address: "Address") -> bool:
        return address not in self.tcp and Policy.is_own(self, address)

    def is_listed(self, port: int) -> bool:
        return any(first <= port <= last for first, last in self._ports)

    def may_connect(self, address: "Address") -> str:
        """As may_reach."""
        if address in self.tcp:
            return ""
        return self._reason(address[0]) or ("" if self.is_listed(address[1]) else "port_not_listed")


class Connection:
    """To or from one peer. `allocation`, `endpoint`: None of a tunnel, which has a `client` instead, and a `status` if
    it fails. `request`: a Connect that has no answer yet. `until`: ms, for who is not joined. `username`: of who is."""

    def __init__(self, number: int, user: str, usage: list[int], peer: "Address") -> None:
        self.number = number
        self.until = 0
        self.status = 502
        self.user = user
        self.username = b""
        self.usage = usage
        self.peer = peer
        self.allocation: Allocation | None = None
        self.endpoint: Endpoint | None = None
        self.client: Client | None = None
        self.request: Request | None = None
        self.is_up = False
        self.is_joined = False
        self.is_live = True
