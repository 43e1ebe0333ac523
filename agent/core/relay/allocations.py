"""The tables of the relay: allocations, relayed addresses and their ports, reservations, users, deadlines.

Who may have what is server.py's. Bounds: Limits.allocations allocations with at most two relayed addresses each,
RESERVATIONS_MAX held ports, users: USERS_MAX or as many as have allocations, LABELS_MAX + 1 sums of past ones; one
deadline for each of them and as many stale ones.
"""

import heapq

from agent.core.relay.permissions import Permissions

if False:
    from typing import Any

    from agent.core.relay.demand import Demand
    from agent.core.relay.events import Client, Limits, World
    from agent.wire.stun import Address

RESERVATION_MS = 30_000  # RFC 8656 section 7.2
RESERVATIONS_MAX = 16
RESERVATIONS_USER_MAX = 4
USERS_MAX = 256
LABELS_MAX = 16
STALE_MAX = 64
# No deadline that is set later can come before this: permissions live 300 s, all else longer.
VISIT_MS = 300_000


class Endpoint:
    """One relayed transport address. `owner`: its Allocation, None while it is only reserved."""

    __slots__ = ("number", "family", "port", "address", "until", "owner", "is_open")

    def __init__(self, number: int, family: int, port: int, address: "Address", owner: "Allocation | None") -> None:
        self.number = number
        self.family = family
        self.port = port
        self.address = address
        self.until = 0
        self.owner = owner
        self.is_open = False


class Reservation:
    """The port after an even one, held for a second allocation of the same user."""

    __slots__ = ("token", "endpoint", "user", "until", "is_live")

    def __init__(self, token: bytes, endpoint: Endpoint, user: str, until: int) -> None:
        self.token = token
        self.endpoint = endpoint
        self.user = user
        self.until = until
        self.is_live = True


class Opening:
    """An allocation whose sockets are not all there. `partner`: the port that is to be reserved.
    `errors`: [(family, code)]."""

    __slots__ = ("request", "demand", "partner", "tries", "errors")

    def __init__(self, request: "Any", demand: "Demand") -> None:
        self.request = request
        self.demand = demand
        self.partner: Endpoint | None = None
        self.tries = 0
        self.errors: list[tuple[int, int]] = []


class Allocation:
    """`usage`: the row of its user. `transaction`, `answer`: of the Allocate, until the next request succeeds."""

    __slots__ = (
        "client", "user", "usage", "endpoints", "permissions", "opening", "transaction", "answer", "is_live",
    )  # fmt: skip

    def __init__(self, client: "Client", user: str, usage: list[int], opening: Opening) -> None:
        self.client = client
        self.user = user
        self.usage = usage
        self.endpoints: tuple[Endpoint, ...] = ()
        self.permissions = Permissions()
        self.opening: Opening | None = opening
        self.transaction: bytes = opening.request.message.transaction
        self.answer: bytes | None = None
        self.is_live = True

    def endpoint(self, ip: bytes) -> Endpoint | None:
        """The relayed address of the family of `ip`."""
        family = 4 if len(ip) == 4 else 6
        for each in self.endpoints:
            if each.family == family:
                return each
        return None

    def due(self, now: int) -> int:
        times = [each.until for each in self.endpoints] + self.permissions.due()
        times.append(now + VISIT_MS)
        return min(times)


class Allocations:
    """`clients`: client -> Allocation. `endpoints`: number -> Endpoint. `users`: name -> [allocations, packets up,
    bytes up, packets down, bytes down, last used (ms)]. `past`: what those had that made room, by the label of
    their core and "/" ("" without, and beyond LABELS_MAX)."""

    def __init__(self, world: "World", limits: "Limits") -> None:
        self.clients: dict[Client, Allocation] = {}
        self.endpoints: dict[int, Endpoint] = {}
        self.reservations: dict[bytes, Reservation] = {}
        self.users: dict[str, list[int]] = {}
        self.past: dict[str, list[int]] = {}
        self._world = world
        self._limits = limits
        self._ports: set[tuple[int, int]] = set()
        self._deadlines: list[tuple[int, int, Any]] = []
        self._number = 0

    def usage(self, user: str, now: int) -> list[int]:
        """The row of `user`; the one that is out of use for longest makes room."""
        row = self.users.get(user)
        if row is None:
            if len(self.users) >= USERS_MAX:
                rows = [(self.users[name][5], name) for name in self.users if self.users[name][0] == 0]
                if rows:
                    name = min(rows)[1]
                    label = name[: name.find("/") + 1]
                    is_room = label in self.past or len(self.past) < LABELS_MAX
                    past, row = self.past.setdefault(label if is_room else "", [0] * 5), self.users.pop(name)
                    for at in range(5):
                        past[at] += row[at]
            row = self.users[user] = [0, 0, 0, 0, 0, now]
        row[5] = now
        return row

    def add(self, allocation: Allocation) -> None:
        self.clients[allocation.client] = allocation
        allocation.usage[0] += 1

    def remove(self, allocation: Allocation) -> None:
        allocation.is_live = False
        allocation.usage[0] -= 1
        del self.clients[allocation.client]

    def take_port(self, family: int, is_even: bool, is_pair: bool) -> int:
        """A free port from a random place on (RFC 6056), 0 when there is none. A pair: with the next one free too."""
        first, last = self._limits.ports
        step = 2 if is_even else 1
        low = first + (first & 1) if is_even else first
        size = (last - low - (1 if is_pair else 0)) // step + 1
        if size <= 0:
            return 0
        at = int.from_bytes(self._world.entropy(4), "big") % size
        for index in range(size):
            port: int = low + (at + index) % size * step
            if self._world.addresses(family, port) is None:
                continue
            if (family, port) not in self._ports and not (is_pair and (family, port + 1) in self._ports):
                return port
        return 0

    def open_endpoint(self, family: int, port: int, address: "Address", owner: "Allocation | None") -> Endpoint:
        self._number += 1
        endpoint = Endpoint(self._number, family, port, address, owner)
        self.endpoints[endpoint.number] = endpoint
        self._ports.add((family, port))
        return endpoint

    def close_endpoint(self, endpoint: Endpoint) -> None:
        del self.endpoints[endpoint.number]
        self._ports.discard((endpoint.family, endpoint.port))

    def can_reserve(self, user: str) -> bool:
        rows = [each for each in self.reservations.values() if each.user == user]
        return len(self.reservations) < RESERVATIONS_MAX and len(rows) < RESERVATIONS_USER_MAX

    def reserve(self, endpoint: Endpoint, user: str, now: int) -> bytes:
        """Its token."""
        token: bytes = self._world.entropy(8)
        reservation = Reservation(token, endpoint, user, now + RESERVATION_MS)
        self.reservations[token] = reservation
        self.arm(reservation, reservation.until)
        return token

    def claim(self, token: bytes, user: str, now: int) -> Endpoint | None:
        """The reserved endpoint, for its own user only; the token is used up."""
        reservation = self.reservations.get(token)
        if reservation is None or reservation.user != user or reservation.until <= now:
            return None
        self.drop(reservation)
        return reservation.endpoint

    def drop(self, reservation: Reservation) -> None:
        reservation.is_live = False
        del self.reservations[reservation.token]

    def arm(self, row: "Allocation | Reservation", when: int) -> None:
        self._number += 1
        heapq.heappush(self._deadlines, (when, self._number, row))

    def pop_due(self, now: int) -> "Allocation | Reservation | None":
        """The next row whose deadline has come."""
        while self._deadlines and self._deadlines[0][0] <= now:
            row = heapq.heappop(self._deadlines)[2]
            if row.is_live:
                return row  # type: ignore[no-any-return]
        return None

    def next_due(self) -> int | None:
        """Also forgets stale deadlines when they are the most."""
        live = len(self.clients) + len(self.reservations)
        if len(self._deadlines) > 2 * live + (STALE_MAX if live else 0):
            self._deadlines = [each for each in self._deadlines if each[2].is_live]
            heapq.heapify(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None
