"""TCP to peers: TCP allocations (RFC 6062) of the relay. The streams of CONNECT are in tunnels.py.

    relay = TcpRelay(world, credentials, TcpPolicy(...), limits)      # a Relay that can do this too
    relay.connected(connection, now), relay.failed(connection, now)       # answers to Dial
    relay.accepted(number, peer, now)            # a peer came to a relayed address: its connection, 0 = close it
    relay.ended(connection, now)                 # one that was joined is over
    relay.expire(now)                            # every few seconds while some are joined

Loaded only when the owner has listed ports. The driver dials, holds and joins sockets (events Listen to Drop); what
flows between two of them never comes here, but is counted in the row of its user. Bounds: a connection counts as an
allocation, of its user and in all; CONNECTIONS_MAX, ALLOCATION_CONNECTIONS_MAX of an allocation, WAIT_MS for the peer
and as long again until they are joined.
"""

from agent.core.relay import demand
from agent.core.relay.connections import Connection, Dial, Drop, Join, Listen
from agent.core.relay.credentials import Refusal
from agent.core.relay.server import TCP, Relay
from agent.wire import stun

if False:
    from collections.abc import Callable

    from agent.core.relay.allocations import Allocation, Endpoint
    from agent.core.relay.connections import TcpPolicy
    from agent.core.relay.credentials import Credentials
    from agent.core.relay.events import Client, Limits, World
    from agent.core.relay.server import Request
    from agent.wire.stun import Address

WAIT_MS = 30_000  # RFC 6062 sections 5.2 and 5.3
CONNECTIONS_MAX = 256
ALLOCATION_CONNECTIONS_MAX = 32
UNFIT = (stun.EVEN_PORT, stun.RESERVATION_TOKEN, stun.DONT_FRAGMENT)  # for TCP, section 5.1


class TcpRelay(Relay):
    """`connections`: number -> Connection, all live ones."""

    def __init__(self, world: "World", credentials: "Credentials", policy: "TcpPolicy", limits: "Limits") -> None:
        Relay.__init__(self, world, credentials, policy, limits)
        self.methods[stun.CONNECT] = self._connect
        self.methods[stun.CONNECTION_BIND] = self._join
        self.connections: dict[int, Connection] = {}
        self.rate_bps = limits.rate_bps
        self._peers = policy
        self._tcp: set[Client] = set()  # whose allocation is a TCP one
        self._connection = 0

    # The driver's answers.

    def accepted(self, relay: int, peer: "Address", now: int) -> int:
        """Section 5.3."""
        endpoint = self._table.endpoints.get(relay)
        allocation = endpoint.owner if endpoint else None
        if allocation is None or not allocation.permissions.is_permitted(peer[0], now):
            self._miss("no_permission" if allocation else "no_allocation")
            return 0
        if self._excess(allocation.usage, allocation):
            self._miss("connections")
            return 0
        row = self._add(allocation.user, allocation.usage, peer, now)
        row.allocation, row.endpoint, row.is_up = allocation, endpoint, True
        transaction = self._world.entropy(stun.TRANSACTION_BYTES)
        attributes = [(stun.CONNECTION_ID, _id(row)), (stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction))]
        attempt = stun.encode(stun.CONNECTION_ATTEMPT, stun.INDICATION, transaction, attributes)
        self.outgoing.append((attempt, allocation.client))
        return row.number

    def connected(self, connection: int, now: int) -> None:
        row = self.connections.get(connection)
        if row is None:
            return
        row.is_up = True
        if row.request is not None:
            self._answer(row.request, stun.SUCCESS, [(stun.CONNECTION_ID, _id(row))])
            row.request = None
            self._arm(row, now)

    def failed(self, connection: int, now: int) -> None:
        self.ended(connection, now)

    def expire(self, now: int) -> None:
        """Those that are joined end with the credentials that proved them: those of CONNECT, which has no refresh; else
        of ConnectionBind, or of the last Refresh of the allocation."""
        time_of = self._world.unix_time
        rows = [row for row in self.connections.values() if row.is_joined]
        self._end_all([row for row in rows if not self._credentials.is_valid(row.username, row.user, time_of)])

    def ended(self, connection: int, now: int) -> None:
        if connection in self.connections:
            self._end_connection(self.connections[connection])

    # RFC 6062.

    def _allocate(self, request: "Request", now: int) -> None:
        """Section 5.1. Beyond that a TCP allocation is one as any other."""
        message, client = request.message, request.client
        transport = message.get(stun.REQUESTED_TRANSPORT)
        is_tcp = transport is not None and len(transport) == 4 and transport[0] == TCP
        is_new = client not in self._table.clients
        if is_new and self._live() >= self._limits.allocations:
            raise Refusal(stun.INSUFFICIENT_CAPACITY, "The relay is full.")
        if is_tcp and is_new:
            if client.transport != TCP or [kind for kind in UNFIT if message.get(kind) is not None]:
                raise Refusal(stun.BAD_REQUEST, "A TCP allocation is asked for over TCP, without what is of UDP.")
            self._tcp.add(client)
        if is_tcp:
            plain = [(stun.REQUESTED_TRANSPORT, b"\x11\0\0\0")]
            message.attributes = [row for row in message.attributes if row[0] != stun.REQUESTED_TRANSPORT] + plain
        try:
            Relay._allocate(self, request, now)
        finally:
            if client not in self._table.clients:
                self._tcp.discard(client)

    def _open(self, allocation: "Allocation", family: int) -> None:
        count = len(self.events)
        Relay._open(self, allocation, family)
        if allocation.client in self._tcp:
            self.events[count:] = [Listen(*event) for event in self.events[count:]]

    def opened(self, relay: int, now: int) -> None:
        endpoint = self._table.endpoints.get(relay)
        if endpoint is not None and endpoint.owner is not None and endpoint.owner.client in self._tcp:
            self._peers.tcp.add(endpoint.address)
        Relay.opened(self, relay, now)

    def _close(self, endpoint: "Endpoint") -> None:
        self._peers.tcp.discard(endpoint.address)
        Relay._close(self, endpoint)

    def _connect(self, request: "Request", now: int) -> None:
        """Section 5.2. The answer waits for the peer."""
        allocation = self._own(request)
        peers = demand.read_peers(request.message)
        if len(peers) > 1 or request.client not in self._tcp:
            raise Refusal(stun.BAD_REQUEST, "Connect names one peer, and is for a TCP allocation.")
        peer = peers[0]
        self._check_peer(allocation, peer, self._peers.may_connect(peer))
        for row in self.connections.values():
            if row.allocation is allocation and row.peer == peer:
                raise Refusal(stun.CONNECTION_EXISTS, "There is a connection to that peer.")
        excess = self._excess(allocation.usage, allocation)
        if excess:
            raise Refusal(excess, "There are too many connections.")
        row = self._add(allocation.user, allocation.usage, peer, now)
        row.allocation, row.endpoint, row.request = allocation, allocation.endpoint(peer[0]), request
        assert row.endpoint is not None
        self.events.append(Dial(row.endpoint.number, row.number, peer))

    def _join(self, request: "Request", now: int) -> None:
        """Section 5.4: on a connection of its own, by the same user."""
        value = request.message.get(stun.CONNECTION_ID)
        number = int.from_bytes(value, "big") if value is not None and len(value) == 4 else 0
        row = self.connections.get(number)
        is_apart = request.client.transport == TCP and request.client not in self._table.clients
        is_waiting = row is not None and row.allocation is not None and row.is_up and not row.is_joined
        if row is None or not is_apart or not is_waiting or row.user != request.user.name:
            raise Refusal(stun.BAD_REQUEST, "No connection of this user waits under that number.")
        row.username = request.message.get(stun.USERNAME) or b""
        self._answer(request, stun.SUCCESS, [])
        self._do_join(row, request.client, self.outgoing.pop()[0])

    def _refresh(self, request: "Request", now: int) -> None:
        Relay._refresh(self, request, now)
        for row in self.connections.values():
            if row.allocation is not None and row.allocation.client == request.client:
                row.username = request.message.get(stun.USERNAME) or b""

    def _channel_bind(self, request: "Request", now: int) -> None:
        if request.client in self._tcp:
            raise Refusal(stun.FORBIDDEN, "There are no channels over TCP.")
        Relay._channel_bind(self, request, now)

    def _send(self, message: stun.Message, client: "Client", now: int) -> None:
        if client in self._tcp:
            self._miss("unexpected")
            return
        Relay._send(self, message, client, now)

    # How they end.

    def end(self, is_gone: "Callable[[str], bool]", now: int) -> None:
        self._end_all([row for row in self.connections.values() if is_gone(row.user)])
        Relay.end(self, is_gone, now)

    def recheck(self, now: int) -> None:
        rows = [row for row in self.connections.values() if row.peer[0] and self._policy.may_permit(row.peer[0])]
        self._end_all(rows)
        Relay.recheck(self, now)

    def _leave(self, allocation: "Allocation", endpoint: "Endpoint") -> None:
        self._end_all([row for row in self.connections.values() if row.endpoint is endpoint])
        Relay._leave(self, allocation, endpoint)

    def _end(self, allocation: "Allocation") -> None:
        Relay._end(self, allocation)
        self._tcp.discard(allocation.client)

    def _visit(self, row: "Allocation | Connection", now: int) -> None:
        if not isinstance(row, Connection):
            Relay._visit(self, row, now)
        elif row.until <= now and not row.is_joined:
            self._end_connection(row)

    def _end_all(self, rows: list[Connection]) -> None:
        for row in rows:
            self._end_connection(row)

    def _end_connection(self, row: Connection) -> None:
        row.is_live = False
        del self.connections[row.number]
        row.usage[0] -= 1
        if row.request is not None:
            self._refuse(row.request, stun.CONNECTION_FAILED)
        self.events.append(Drop(row.number))

    def _live(self) -> int:
        return len(self._table.clients) + len(self.connections)

    def _excess(self, usage: list[int], allocation: "Allocation | None") -> int:
        """Why there can be no other connection, as an error code; 0: there can."""
        own = [row for row in self.connections.values() if allocation is not None and row.allocation is allocation]
        if usage[0] >= self._limits.allocations_user:
            return stun.QUOTA_REACHED
        is_full = len(self.connections) >= CONNECTIONS_MAX or len(own) >= ALLOCATION_CONNECTIONS_MAX
        return stun.INSUFFICIENT_CAPACITY if is_full or self._live() >= self._limits.allocations else 0

    def _add(self, user: str, usage: list[int], peer: "Address", now: int) -> Connection:
        self._connection += 1
        row = self.connections[self._connection] = Connection(self._connection, user, usage, peer)
        usage[0] += 1
        self._arm(row, now)
        return row

    def _arm(self, row: Connection, now: int) -> None:
        row.until = now + WAIT_MS
        self._table.arm(row, row.until)  # type: ignore[arg-type]
        self.wake_at = self._table.next_due()

    def _do_join(self, row: Connection, client: "Client", greeting: bytes) -> None:
        row.is_joined = True
        self.allocated += 1
        self.events.append(Join(row.number, client, greeting, row.user, row.usage))


def _id(row: Connection) -> bytes:
    return row.number.to_bytes(4, "big")
