"""The relay put together, the same on both interpreters: credentials, policy, the machine (core/relay/), the pump.

    service = compose(RelaySettings(...))      # binds the listeners
    service.run(on_report)                     # until service.pump.stop()

It is the driver of the machine (relaying.RelayControl) and lives in the pump's thread; others go through pump.call.
Not here: options of a command (agent/relaying.py), sockets (the port's pump).
"""

from collections import namedtuple

from agent import port
from agent.core.relay.credentials import Credentials, long_term_key
from agent.core.relay.events import Channel, Client, Close, Open, ToPeer, World
from agent.core.relay.policy import Policy, home
from agent.core.relay.server import Relay
from agent.core.relay.shaper import wire_bytes
from agent.port.options import PumpOptions

if False:
    from typing import Any, Callable

    from agent.core.relay.shaper import Shaper
    from agent.port import relaying

CLIENTS_CONNECTED_MAX = 128
LOOK_MS = 30_000  # at our networks: a provider may give another IPv6 prefix at any time
COUNTS = ("allocations", "packets_up", "bytes_up", "packets_down", "bytes_down")  # of a user; of all

# `listen`: list of (numeric host, port); `relay_hosts`: (IPv4, IPv6) that peers see, "SEEN/OWN" behind 1:1 NAT, "" =
# that family is not offered; `users`: list of (name, password); `secrets`: list of (label, secret bytes), TURN REST;
# `allow`: list of (packed address, bits), peers that are private and may be reached all the same; `limits`:
# events.Limits; `unix_time`: (label of a secret) -> unix seconds by the clock of who signs with it, or None.
RelaySettings = namedtuple("RelaySettings", "listen relay_hosts realm users secrets allow limits unix_time")


def wall_clock(_label: str) -> int:
    return port.clock.unix_time()


def compose(settings: RelaySettings, kinds: "Any" = None) -> "RelayService":
    """`kinds`: other policy, machine and service (relay_streams.py).
    PortError when a listener cannot be bound, UsageError for a realm that is none."""
    crypto, pump = port.crypto(), port.pump()
    pairs = [host.partition("/") for host in settings.relay_hosts]
    addresses = {4 + 2 * at: pump.packed(pair[0]) for at, pair in enumerate(pairs) if pair[0]}
    seen = {pump.packed(own): pump.packed(host) for host, _, own in pairs if own}
    mapped: dict[int, tuple[bytes, int]] = {}

    def address(family: int, number: int) -> "tuple[bytes, int] | None":
        own = (addresses[family], number) if family in addresses else None
        # Behind a router: no port that nobody outside could reach.
        return mapped.get(number) if family == 4 and mapped and number else own

    realm = settings.realm.encode()
    users = {name: long_term_key(crypto, name.encode(), realm, word.encode()) for name, word in settings.users}
    credentials = Credentials(crypto, settings.realm, users, settings.secrets)
    make_policy, make_machine, make_service = kinds or (Policy, Relay, RelayService)
    policy = make_policy(settings.allow, _on_link(), list(seen.values()))
    machine = make_machine(
        World(crypto.entropy, crypto, address, settings.unix_time), credentials, policy, settings.limits
    )
    options = PumpOptions(settings.listen, tuple([pair[2] or pair[0] for pair in pairs]), True, CLIENTS_CONNECTED_MAX)
    service: RelayService = make_service(machine, pump.open(options), settings.limits.rate_bps > 0)
    service.credentials, service.policy, service.mapped = credentials, policy, mapped
    service.own = addresses.get(4, b"")
    service.seen, service.bound = seen, {seen[own]: own for own in seen}
    return service


def _on_link() -> "list[tuple[bytes, int]]":
    return [home(port.pump().packed(host), bits) for _, host, bits in port.net.interfaces()]


class RelayService:
    """`wake_at`: see RelayControl. `pump`: to stop it and to call it from other threads. `tls`: the name in its
    certificate, "*" without one, "" without TLS. `mapped`: relay port ->
    address that peers see instead of our own, `own` (IPv4, behind a router). `seen`: own ip -> the one that peers see
    (1:1 NAT), `bound` the other way. No router need send our own datagrams back to us: here such a peer is inside."""

    def __init__(self, machine: Relay, pump: "relaying.Pump", is_limited: bool) -> None:
        self.pump = pump
        self.credentials: Any = None
        self.policy: Any = None
        self.mapped: dict[int, tuple[bytes, int]] = {}
        self.own, self.tls = b"", ""
        self.seen: dict[bytes, bytes] = {}
        self.bound: dict[bytes, bytes] = {}
        self._inside: dict[Any, tuple[bytes, int]] = {}
        self.wake_at: int | None = None
        self._machine = machine
        self._relays: dict[int, tuple[str, bool]] = {}  # (user, is IPv6)
        self._begun = port.clock.now_ms()
        self._look_at = self._begun + LOOK_MS
        if is_limited:
            pump.gate_up = self._gate(machine.up, False)
            pump.gate_down = self._gate(machine.down, True)

    def run(self, on_report: "Callable[[], None]") -> None:
        self.pump.run(self, on_report)

    def receive(self, data: bytes, key: "relaying.ClientKey", now: int) -> None:
        self.look(now)
        self._machine.receive(data, Client(*key), now)
        self._settle(now, key)

    def look(self, now: int) -> None:
        """Peers in a network that is ours by now are refused (policy.py). Before each request, and cheap; while there
        are allocations also when it is due."""
        if now >= self._look_at:
            self._look_at = now + LOOK_MS
            try:
                on_link = _on_link()
            except (OSError, MemoryError):  # what was known stands until the next time
                return
            if on_link != self.policy.on_link:
                self.policy.on_link = on_link
                self._machine.recheck(now)

    def from_peer(self, relay: int, peer: "relaying.RelayAddress", data: bytes, now: int) -> None:
        if peer[0] in self.seen and self.policy.is_own(self.outside(peer)):
            peer = self.outside(peer)
        elif peer[0] == self.own:
            peer = self.mapped.get(peer[1], peer)
        self._machine.from_peer(relay, peer, data, now)
        self._settle(now, None)

    def outside(self, peer: "relaying.RelayAddress") -> "relaying.RelayAddress":
        return self.seen.get(peer[0], peer[0]), peer[1]

    def inside(self, peer: "relaying.RelayAddress") -> "relaying.RelayAddress":
        return self._inside.get(peer) or (self.bound.get(peer[0], peer[0]), peer[1])

    def client_gone(self, key: "relaying.ClientKey", now: int) -> None:
        self._machine.client_gone(Client(*key), now)
        self._settle(now, None)

    def has_allocation(self, key: "relaying.ClientKey") -> bool:
        return self._machine.has_allocation(Client(*key))

    def wake(self, now: int) -> None:
        self.look(now)
        self._machine.wake(now)
        self._settle(now, None)

    def replace(self, secrets: "list[tuple[str, bytes]]") -> None:
        """From now on these secrets of cores; allocations by others end. In the pump's thread."""
        labels = [label for label, _ in secrets]
        now = port.clock.now_ms()
        self.credentials.replace({}, secrets)
        self._machine.end(lambda user: user.partition("/")[0] not in labels, now)
        self._settle(now, None)

    def remap(self, mapped: "dict[int, tuple[bytes, int]]", external: list[bytes]) -> None:
        """The router maps these; in the pump's thread."""
        now = port.clock.now_ms()
        self.mapped.clear()
        self.mapped.update(mapped)
        self._inside = {mapped[number]: (self.own, number) for number in mapped}
        self.policy.external = external
        self._machine.recheck(now)
        self._settle(now, None)

    def report(self) -> "dict[str, Any]":
        """What it did since its start; from any thread: what changes meanwhile is copied at one stroke."""
        machine = self._machine
        users = list(machine.users.items())
        return {
            "seconds": (port.clock.now_ms() - self._begun) // 1000,
            "allocations": sum([row[0] for _, row in users]),
            "allocated": machine.allocated,
            "users": {name: dict(zip(COUNTS, row[:5])) for name, row in users},
            "total": self.total(""),
            "refused": dict(machine.counters),
            "dropped": {name: count for name, count in self.pump.counters.items() if count},
        }

    def total(self, label: str) -> list[int]:
        """COUNTS of all users, or of those of one core ("ID/")."""
        rows = list(self._machine.users.items()) + list(self._machine.past.items())
        return [sum([row[at] for name, row in rows if name.startswith(label)]) for at in range(len(COUNTS))]

    def _settle(self, now: int, key: "relaying.ClientKey | None") -> None:
        """Do what the machine says. A channel opens only upon a request of its own client, which is `key`."""
        machine = self._machine
        while machine.events:
            for event in machine.drain_events():
                self._act(event, now, key)
        for data, client in machine.drain_outgoing():
            self.pump.send(data, client)
        self.arm()

    def arm(self) -> None:
        wake_at = self._machine.wake_at
        self.wake_at = None if wake_at is None else min(wake_at, self._look_at)

    def _act(self, event: "Any", now: int, key: "relaying.ClientKey | None") -> None:
        pump, relay = self.pump, event.relay
        if isinstance(event, ToPeer):
            pump.send_to_peer(relay, self.inside(event.peer), event.data, event.dont_fragment)
        elif isinstance(event, Open):
            self._relays[relay] = (event.user, event.family == 6)
            if pump.open_relay(relay, event.family, event.port):
                self._machine.opened(relay, now)
            else:
                del self._relays[relay]
                self._machine.busy(relay, now)
        elif isinstance(event, Close):
            self._relays.pop(relay, None)
            pump.close_relay(relay)
        elif isinstance(event, Channel) and event.is_open and key is not None:
            usage = self._machine.users[self._relays[relay][0]]
            pump.open_channel(relay, event.number, self.inside(event.peer), key, usage)
        else:
            pump.close_channel(relay, event.number)

    def _gate(self, shaper: "Shaper", is_down: bool) -> "Callable[[int, int, int], int]":
        """How many of `packets` the ceiling lets pass."""

        def gate(relay: int, packets: int, size: int) -> int:
            now = port.clock.now_ms()
            user, is_ipv6 = self._relays[relay]
            each = wire_bytes(size, is_ipv6, is_down)
            count = 0  # one by one: a run that is refused as a whole would cost the others a part of their shares
            while count < packets and shaper.take(user, each, now):
                count += 1
            return count

        return gate
