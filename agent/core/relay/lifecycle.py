"""How an allocation of the relay comes, lives and goes (RFC 8656 sections 7, 8; two families: 7.2 and RFC 6156).

    Allocate -> checks -> event Open for each relayed address -> opened, or busy: another port -> answer
    Refresh, the end of its time, the end of the client's connection -> events Channel (no longer), Close

The other half of the machine is server.py. Bounds: those of allocations.py; OPENS_MAX ports are tried.
"""

from agent.core.machine import Machine
from agent.core.relay import demand
from agent.core.relay.allocations import Allocation, Allocations, Opening, Reservation
from agent.core.relay.credentials import Refusal
from agent.core.relay.events import Channel, Close, Open
from agent.wire import stun

if False:
    from typing import Any

    from agent.core.relay.allocations import Endpoint
    from agent.core.relay.events import Client, Limits, World
    from agent.core.relay.permissions import Binding
    from agent.core.relay.policy import Policy
    from agent.core.relay.server import Request

OPENS_MAX = 8
_FAMILY_CODES = {4: stun.IPV4, 6: stun.IPV6}


class Lifecycle(Machine):
    """Only as part of server.Relay."""

    def __init__(self, world: "World", policy: "Policy", limits: "Limits") -> None:
        Machine.__init__(self)
        self.allocated = 0
        self._world = world
        self._policy = policy
        self._limits = limits
        self.counters: dict[str, int] = {}  # error codes, reasons of policy.py and a few words of server.py
        self._table = Allocations(world, limits)
        self.users, self.past = self._table.users, self._table.past
        # Live relay address of ours -> allocations that bound a channel to it: it must close when that address goes.
        self._hairpins: dict[Any, list[Allocation]] = {}

    def opened(self, relay: int, now: int) -> None:
        endpoint = self._table.endpoints.get(relay)
        if endpoint is None or endpoint.is_open or endpoint.owner is None:
            return
        endpoint.is_open = True
        self._policy.opened(endpoint.address)
        self._settle(endpoint.owner, now)
        self.wake_at = self._table.next_due()

    def busy(self, relay: int, now: int) -> None:
        endpoint = self._table.endpoints.get(relay)
        allocation = endpoint.owner if endpoint else None
        if endpoint is None or endpoint.is_open or allocation is None or allocation.opening is None:
            return
        opening = allocation.opening
        self._table.close_endpoint(endpoint)
        for other in allocation.endpoints + (opening.partner,):
            # Of a pair of ports the other half goes too; another family stays.
            if other is not None and other is not endpoint and other.family == endpoint.family:
                self._close(other)
        allocation.endpoints = tuple([each for each in allocation.endpoints if each.family != endpoint.family])
        opening.partner = None
        opening.tries += 1
        self._open(allocation, endpoint.family)
        self._settle(allocation, now)
        self.wake_at = self._table.next_due()

    def client_gone(self, client: "Client", now: int) -> None:
        allocation = self._table.clients.get(client)
        if allocation is not None:
            self._end(allocation)
            self.wake_at = self._table.next_due()

    def recheck(self, now: int) -> None:
        """The policy or our addresses changed: whom it refuses now, and who was told another address, ends here."""
        for _, allocation in sorted(self._table.clients.items()):
            if [each for each in allocation.endpoints if each.address != self._world.addresses(each.family, each.port)]:
                self._end(allocation)
                continue
            rows = allocation.permissions
            rows.permits = tuple([row for row in rows.permits if not self._policy.may_permit(row[0])])
            for binding in rows.bindings:
                if binding.is_open and self._policy.may_reach(binding.peer):
                    self._set_open(allocation, binding, False)

    def wake(self, now: int) -> None:
        row = self._table.pop_due(now)
        while row is not None:
            if isinstance(row, Reservation):
                self._table.drop(row)
                self._close(row.endpoint)
            else:
                self._visit(row, now)
            row = self._table.pop_due(now)
        self.wake_at = self._table.next_due()

    def _visit(self, allocation: Allocation, now: int) -> None:
        for endpoint in allocation.endpoints:
            if endpoint.until <= now:
                self._leave(allocation, endpoint)
        if not allocation.endpoints:
            self._end(allocation)
            return
        for binding in allocation.permissions.lapse(now):
            self._set_open(allocation, binding, False)
        self._table.arm(allocation, allocation.due(now))

    def _allocate(self, request: "Request", now: int) -> None:
        """Section 7.2; the steps in its order."""
        table, user = self._table, request.user.name
        known = table.clients.get(request.client)
        if known is not None:
            if known.transaction != request.message.transaction or known.user != user:
                raise Refusal(stun.ALLOCATION_MISMATCH, "The 5-tuple has an allocation.")
            if known.answer is not None:  # a retransmission; without an answer the sockets are still awaited
                self.outgoing.append((known.answer, request.client))
            return
        asked = demand.read_allocate(request.message)
        if len(asked.families) == 1 and self._world.addresses(asked.families[0], 0) is None:
            raise Refusal(stun.FAMILY_NOT_SUPPORTED, "That family is not offered.")
        usage = table.usage(user, now)
        if usage[0] >= self._limits.allocations_user:
            raise Refusal(stun.QUOTA_REACHED, "The user has no more allocations.")
        if len(table.clients) >= self._limits.allocations or (asked.is_reserving and not table.can_reserve(user)):
            raise Refusal(stun.INSUFFICIENT_CAPACITY, "The relay is full.")
        endpoint = None
        if asked.token is not None:
            endpoint = table.claim(asked.token, user, now)
            if endpoint is None:
                raise Refusal(stun.INSUFFICIENT_CAPACITY, "The reservation is unknown or over.")
        allocation = Allocation(request.client, user, usage, Opening(request, asked))
        table.add(allocation)
        if endpoint is not None:
            endpoint.owner = allocation
            allocation.endpoints = (endpoint,)
        else:
            for family in asked.families:
                self._open(allocation, family)
        self._settle(allocation, now)

    def _open(self, allocation: Allocation, family: int) -> None:
        """Ask for one more relayed address, or note why there is none."""
        opening, table = allocation.opening, self._table
        assert opening is not None
        asked = opening.demand
        if self._world.addresses(family, 0) is None:
            opening.errors.append((family, stun.FAMILY_NOT_SUPPORTED))
            return
        port = table.take_port(family, asked.is_even, asked.is_reserving) if opening.tries < OPENS_MAX else 0
        address = self._world.addresses(family, port)
        if port == 0 or address is None:
            opening.errors.append((family, stun.INSUFFICIENT_CAPACITY))
            return
        endpoint = table.open_endpoint(family, port, address, allocation)
        allocation.endpoints = tuple(sorted(allocation.endpoints + (endpoint,), key=lambda each: each.family))
        self.events.append(Open(endpoint.number, family, port, allocation.user))
        if asked.is_reserving:
            next_address = self._world.addresses(family, port + 1) or (address[0], port + 1)
            opening.partner = table.open_endpoint(family, port + 1, next_address, allocation)
            self.events.append(Open(opening.partner.number, family, port + 1, allocation.user))

    def _settle(self, allocation: Allocation, now: int) -> None:
        """Answer when no socket is awaited any more."""
        opening = allocation.opening
        assert opening is not None
        for each in allocation.endpoints + (opening.partner,):
            if each is not None and not each.is_open:
                return
        if not allocation.endpoints:
            self._end(allocation)
            codes = [code for _, code in opening.errors]
            self._refuse(opening.request, max(codes))  # 508 before 440
            return
        for endpoint in allocation.endpoints:
            endpoint.until = now + opening.demand.lifetime_s * 1000
        allocation.opening = None
        allocation.answer = self._answer(opening.request, stun.SUCCESS, self._granted(allocation, opening, now))
        self._table.arm(allocation, allocation.due(now))
        self.allocated += 1

    def _granted(self, allocation: Allocation, opening: Opening, now: int) -> "list[tuple[int, bytes]]":
        """Section 7.2, the success response."""
        transaction = opening.request.message.transaction
        made = [
            (stun.XOR_RELAYED_ADDRESS, stun.xor_address(each.address, transaction)) for each in allocation.endpoints
        ]
        made.append((stun.LIFETIME, opening.demand.lifetime_s.to_bytes(4, "big")))
        if opening.partner is not None:
            opening.partner.owner = None
            token = self._table.reserve(opening.partner, allocation.user, now)
            made.append((stun.RESERVATION_TOKEN, token))
        for family, code in opening.errors:
            value = bytes((_FAMILY_CODES[family], 0, code // 100, code % 100))
            made.append((stun.ADDRESS_ERROR_CODE, value))
        made.append((stun.XOR_MAPPED_ADDRESS, stun.xor_address(allocation.client.source, transaction)))
        return made

    def _refresh(self, request: "Request", now: int) -> None:
        """Section 8.2. Of two relayed addresses one alone can be refreshed or given up."""
        allocation = self._own(request)
        family = demand.read_family(request.message)
        lifetime_s = demand.read_lifetime(request.message)
        chosen = [each for each in allocation.endpoints if family in (0, each.family)]
        if not chosen:
            raise Refusal(stun.PEER_FAMILY_MISMATCH, "The allocation has no address of that family.")
        for endpoint in chosen:
            if lifetime_s:
                endpoint.until = now + lifetime_s * 1000
            else:
                self._leave(allocation, endpoint)
        if not allocation.endpoints:
            self._end(allocation)
        self._answer(request, stun.SUCCESS, [(stun.LIFETIME, lifetime_s.to_bytes(4, "big"))])

    def _own(self, request: "Request") -> Allocation:
        """The allocation that a request is about; 437 or 441 (section 5)."""
        allocation = self._table.clients.get(request.client)
        if allocation is None or allocation.opening is not None:
            raise Refusal(stun.ALLOCATION_MISMATCH, "There is no allocation.")
        if allocation.user != request.user.name:
            raise Refusal(stun.WRONG_CREDENTIALS, "It is the allocation of another user.")
        allocation.answer = None
        allocation.transaction = b""
        return allocation

    def _permit(self, allocation: Allocation, ips: list[bytes], now: int) -> None:
        if not allocation.permissions.permit(ips, now):
            raise Refusal(stun.INSUFFICIENT_CAPACITY, "The allocation has no more permissions.")
        self._reopen(allocation, ips, now)

    def _bind(self, allocation: Allocation, number: int, peer: "stun.Address", now: int) -> None:
        if not allocation.permissions.bind(number, peer, now):
            raise Refusal(stun.INSUFFICIENT_CAPACITY, "The allocation has no more channels or permissions.")
        self._reopen(allocation, [peer[0]], now)

    def _reopen(self, allocation: Allocation, ips: list[bytes], now: int) -> None:
        """New permissions let channels through, new ones and those that a lapsed permission had closed."""
        for binding in allocation.permissions.bindings:
            is_back = not binding.is_open and binding.until > now and binding.peer[0] in ips
            if is_back and not self._policy.may_reach(binding.peer):
                self._set_open(allocation, binding, True)

    def _set_open(self, allocation: Allocation, binding: "Binding", is_open: bool) -> None:
        """Tell the fast path. The channel still has its endpoint here."""
        endpoint = allocation.endpoint(binding.peer[0])
        assert endpoint is not None
        binding.is_open = is_open
        self.events.append(Channel(endpoint.number, binding.number, binding.peer, is_open))
        bound = self._hairpins.setdefault(binding.peer, [])
        if is_open and self._policy.is_own(binding.peer):
            bound.append(allocation)
        elif not is_open and allocation in bound:
            bound.remove(allocation)
        if not bound:
            del self._hairpins[binding.peer]

    def _leave(self, allocation: Allocation, endpoint: "Endpoint") -> None:
        """Give up one relayed address and what hangs on it."""
        ip_bytes = len(endpoint.address[0])
        for binding in allocation.permissions.bindings:
            if binding.is_open and len(binding.peer[0]) == ip_bytes:
                self._set_open(allocation, binding, False)
        allocation.permissions.revoke(ip_bytes)
        allocation.endpoints = tuple([each for each in allocation.endpoints if each is not endpoint])
        self._close(endpoint)

    def _end(self, allocation: Allocation) -> None:
        for endpoint in allocation.endpoints:
            self._leave(allocation, endpoint)
        if allocation.opening is not None and allocation.opening.partner is not None:
            self._close(allocation.opening.partner)
        self._table.remove(allocation)

    def _close(self, endpoint: "Endpoint") -> None:
        self._table.close_endpoint(endpoint)
        if endpoint.is_open:
            self._policy.closed(endpoint.address)
        for allocation in list(self._hairpins.get(endpoint.address, ())):
            for binding in allocation.permissions.bindings:
                if binding.is_open and binding.peer == endpoint.address and self._policy.may_reach(binding.peer):
                    self._set_open(allocation, binding, False)
        self.events.append(Close(endpoint.number))

    def _miss(self, reason: str) -> None:
        self.counters[reason] = self.counters.get(reason, 0) + 1

    def _refuse(self, request: "Request", number: int) -> None:
        self._miss(str(number))
        self._answer(request, stun.ERROR, [(stun.ERROR_CODE, stun.error_code(number))])

    def _answer(self, request: "Request", kind: int, attributes: "list[tuple[int, bytes]]") -> bytes:
        """Proven by the key of the user, in the form of the request (RFC 8489 section 9.2.4)."""
        message, user = request.message, request.user
        made = stun.encode(message.method, kind, message.transaction, attributes, (user.hmac, user.key))
        self.outgoing.append((made, request.client))
        return made
