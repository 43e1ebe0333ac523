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

Nothing is kept before a proof was checked. How an allocation comes and goes: lifecycle.py. Mobility, ICMP, RFC 6062
are not here; `methods` is open for the last. Bounds: those of allocations.py, permissions.py, budget.py, shaper.py.
"""

from collections import namedtuple

from agent.core.relay import demand
from agent.core.relay.budget import Budget
from agent.core.relay.credentials import Refusal
from agent.core.relay.events import ToPeer
from agent.core.relay.lifecycle import Lifecycle
from agent.core.relay.shaper import Shaper, wire_bytes
from agent.errors import PeerError
from agent.wire import stun

if False:
    from typing import Any, Callable

    from agent.core.relay.allocations import Allocation
    from agent.core.relay.credentials import Credentials
    from agent.core.relay.events import Client, Limits, World
    from agent.core.relay.policy import Policy

TCP = 6

Request = namedtuple("Request", ("message", "client", "user"))  # user: credentials.User


class Relay(Lifecycle):
    """`counters`: refusals and drops by reason. `users`: name -> [allocations, packets up, bytes up, packets down,
    bytes down, ...]. `allocated`: how many allocations were ever made. `up`, `down`: the shapers."""

    def __init__(self, world: "World", credentials: "Credentials", policy: "Policy", limits: "Limits") -> None:
        Lifecycle.__init__(self, world, policy, limits)
        self.up = Shaper(limits.rate_bps, 0, limits.user_bps)
        self.down = Shaper(limits.rate_bps, 0, limits.user_bps)
        self.methods: dict[int, Callable[[Any, int], None]] = {
            stun.ALLOCATE: self._allocate,
            stun.REFRESH: self._refresh,
            stun.CREATE_PERMISSION: self._create_permission,
            stun.CHANNEL_BIND: self._channel_bind,
        }
        self._credentials = credentials
        self._budget = Budget(limits.unproven_s)

    def receive(self, data: "stun.Data", source: "Client", now: int) -> None:  # type: ignore[override]
        if self.wake_at is not None and self.wake_at <= now:
            self.wake(now)
        try:
            message = stun.decode(data)
        except PeerError:
            self._miss("junk")
            return
        if message.kind == stun.INDICATION and message.method == stun.SEND:
            self._send(message, source, now)
        elif message.kind == stun.REQUEST and message.method == stun.BINDING:
            self._binding(message, source, now)
        elif message.kind == stun.REQUEST and message.method in self.methods:
            self._request(message, data, source, now)
        elif message.kind != stun.INDICATION or message.method != stun.BINDING:  # that one keeps a NAT open
            self._miss("unexpected")
        self.wake_at = self._table.next_due()

    def from_peer(self, relay: int, peer: "stun.Address", data: "stun.Data", now: int) -> None:
        """Section 11.3 and 12.6: ChannelData when a channel is bound, else a Data indication."""
        endpoint = self._table.endpoints.get(relay)
        allocation = endpoint.owner if endpoint else None
        if allocation is None or not allocation.permissions.is_permitted(peer[0], now):
            self._miss("no_permission" if allocation else "no_allocation")
            return
        if len(data) > stun.MESSAGE_BYTES_MAX - 48:
            self._miss("too_large")
            return
        client = allocation.client
        binding = allocation.permissions.find(peer, now)
        if binding is not None:
            frame = stun.channel_data(binding.number, data, client.transport == TCP)
        else:
            transaction = self._world.entropy(stun.TRANSACTION_BYTES)
            attributes = [(stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction)), (stun.DATA, bytes(data))]
            frame = stun.encode(stun.DATA_INDICATION, stun.INDICATION, transaction, attributes)
        if not self.down.take(allocation.user, wire_bytes(len(frame), len(client.source[0]) == 16, False), now):
            self._miss("ceiling")
            return
        self.count(relay, 0, 0, 1, len(data))
        self.outgoing.append((frame, client))

    def end(self, is_gone: "Callable[[str], bool]", now: int) -> None:
        """Allocations of users of whom it is true end here."""
        for allocation in list(self._table.clients.values()):
            if is_gone(allocation.user):
                self._end(allocation)
        self.wake_at = self._table.next_due()

    def has_allocation(self, client: "Client") -> bool:
        return client in self._table.clients

    def count(self, relay: int, packets_up: int, bytes_up: int, packets_down: int, bytes_down: int) -> None:
        endpoint = self._table.endpoints.get(relay)
        if endpoint is not None and endpoint.owner is not None:
            usage = endpoint.owner.usage
            usage[1] += packets_up
            usage[2] += bytes_up
            usage[3] += packets_down
            usage[4] += bytes_down

    def _binding(self, message: stun.Message, client: "Client", now: int) -> None:
        """RFC 8489 section 6.3; without credentials, so it is no bigger than it must be and within the budget."""
        unknown = message.unknown()
        attributes = [(stun.XOR_MAPPED_ADDRESS, stun.xor_address(client.source, message.transaction))]
        if unknown:
            attributes = _unknown_attributes(unknown)
        self._answer_stranger(message, stun.ERROR if unknown else stun.SUCCESS, attributes, client, now)

    def _answer_stranger(
        self, message: stun.Message, kind: int, attributes: "list[tuple[int, bytes]]", client: "Client", now: int
    ) -> None:
        # Who has a TCP connection has not forged its address.
        if client.transport != TCP and not self._budget.take(client.source[0], now):
            self._miss("budget")
            return
        self.outgoing.append((stun.encode(message.method, kind, message.transaction, attributes), client))

    def _request(self, message: stun.Message, data: "stun.Data", client: "Client", now: int) -> None:
        try:
            user = self._credentials.authenticate(message, data, client, now, self._world.unix_time)
        except Refusal as refusal:
            self._miss(refusal.code)
            attributes = [(stun.ERROR_CODE, stun.error_code(refusal.number))]
            if refusal.number != stun.BAD_REQUEST:  # RFC 8489 section 9.2.4
                attributes.append((stun.REALM, self._credentials.realm))
                attributes.append((stun.NONCE, self._credentials.nonce(client, now)))
            self._answer_stranger(message, stun.ERROR, attributes, client, now)
            return
        request = Request(message, client, user)
        unknown = self._unknown(message)
        if unknown:
            self._miss(str(stun.UNKNOWN_ATTRIBUTE))
            self._answer(request, stun.ERROR, _unknown_attributes(unknown))
            return
        try:
            self.methods[message.method](request, now)
        except Refusal as refusal:
            self._refuse(request, refusal.number)

    def _unknown(self, message: stun.Message) -> list[int]:
        """Where the driver cannot set DF, DONT-FRAGMENT is not known (section 7.2, step 4)."""
        unknown = message.unknown()
        if message.get(stun.DONT_FRAGMENT) is not None and not self._limits.has_dont_fragment:
            unknown.append(stun.DONT_FRAGMENT)
        return unknown

    def _create_permission(self, request: Request, now: int) -> None:
        """Section 10.2: all of the peers, or none."""
        allocation = self._own(request)
        ips = []
        for peer in demand.read_peers(request.message):
            self._check_peer(allocation, peer, self._policy.may_permit(peer[0]))
            ips.append(peer[0])
        self._permit(allocation, ips, now)
        self._answer(request, stun.SUCCESS, [])

    def _channel_bind(self, request: Request, now: int) -> None:
        """Section 12.2. A binding is a permission too."""
        allocation = self._own(request)
        number = demand.read_channel(request.message)
        peers = demand.read_peers(request.message)
        peer = peers[0]
        if len(peers) > 1 or not allocation.permissions.is_free(number, peer, now):
            raise Refusal(stun.BAD_REQUEST, "The channel or the peer is bound otherwise.")
        self._check_peer(allocation, peer, self._policy.may_reach(peer))
        self._bind(allocation, number, peer, now)
        self._answer(request, stun.SUCCESS, [])

    def _check_peer(self, allocation: "Allocation", peer: "stun.Address", reason: str) -> None:
        if allocation.endpoint(peer[0]) is None:
            raise Refusal(stun.PEER_FAMILY_MISMATCH, "The allocation has no address of the peer's family.")
        if reason:
            self._miss(reason)
            raise Refusal(stun.FORBIDDEN, "The policy refuses the peer.")

    def _send(self, message: stun.Message, client: "Client", now: int) -> None:
        """Section 11.2: what is wrong with an indication is never answered."""
        allocation = self._table.clients.get(client)
        value, data = message.get(stun.XOR_PEER_ADDRESS), message.get(stun.DATA)
        if allocation is None or value is None or data is None or self._unknown(message):
            self._miss("no_allocation" if allocation is None else "unexpected")
            return
        try:
            peer = stun.read_xor_address(value, message.transaction)
        except PeerError:
            self._miss("junk")
            return
        endpoint = allocation.endpoint(peer[0])
        if endpoint is None or not endpoint.is_open or not allocation.permissions.is_permitted(peer[0], now):
            self._miss("no_permission")
            return
        reason = self._policy.may_reach(peer)
        if not reason and not self.up.take(allocation.user, wire_bytes(len(data), len(peer[0]) == 16, False), now):
            reason = "ceiling"
        if reason:
            self._miss(reason)
            return
        self.count(endpoint.number, 1, len(data), 0, 0)
        self.events.append(ToPeer(endpoint.number, peer, data, message.get(stun.DONT_FRAGMENT) is not None))


def _unknown_attributes(unknown: list[int]) -> "list[tuple[int, bytes]]":
    """420 (RFC 8489 section 6.3.1)."""
    value = b"".join([kind.to_bytes(2, "big") for kind in unknown])
    return [(stun.ERROR_CODE, stun.error_code(stun.UNKNOWN_ATTRIBUTE)), (stun.UNKNOWN_ATTRIBUTES, value)]
