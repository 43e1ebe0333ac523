"""Random clients, peers and a random driver for the relay; test_fuzz_server.py states the invariant."""

from agent.core.relay.allocations import RESERVATIONS_MAX, STALE_MAX
from agent.core.relay.budget import PREFIXES_MAX
from agent.core.relay.events import Channel, Close, Limits, Open, ToPeer
from agent.core.relay.permissions import CHANNELS_MAX, PERMISSIONS_MAX
from agent.wire import stun
from tests.sim.chance import Xorshift32
from tests.unit.agent.core.relay.relaying import BOTH, OWN4, PEER, PEER6, UDP_ONLY, V4, V6, Caller, Place, table_sizes

LIMITS = Limits(6, 3, (50000, 50007), 0, 0, 4, True)
PEERS = (
    PEER, PEER6, (PEER[0], 80), (b"\x0a\0\0\1", 5000), (b"\x7f\0\0\1", 5000), (OWN4, 50001), (OWN4, 50002), (OWN4, 5),
    (b"\xe0\0\0\1", 5000), (bytes(10) + b"\xff\xff\x0a\0\0\1", 5000), (b"\x08\x08\x08\x09", 0), (bytes(16), 5000),
)  # fmt: skip
EXTRAS = (
    V4, V6, BOTH, (stun.EVEN_PORT, b"\x80"), (stun.EVEN_PORT, b"\0"), (stun.RESERVATION_TOKEN, bytes(8)),
    (stun.LIFETIME, bytes(4)), (stun.LIFETIME, b"\0\0\x0e\x10"), (0x7777, b""), (stun.DONT_FRAGMENT, b""),
    (stun.CHANNEL_NUMBER, b"\x40\0\0\0"), (stun.CHANNEL_NUMBER, b"\x40\1\0\0"), (stun.DATA, b"x"), (0x8777, b"abc"),
)  # fmt: skip
METHODS = (
    stun.ALLOCATE,
    stun.ALLOCATE,
    stun.REFRESH,
    stun.CREATE_PERMISSION,
    stun.CHANNEL_BIND,
    stun.BINDING,
    stun.SEND,
    stun.SEND,
)
NOTHING = (0,) * 7


class Fuzz:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.random = Xorshift32(seed)
        self.place = Place(LIMITS, seed=seed)
        self.place.is_slow = True
        self.callers = [Caller(self.place, n, ("ann", "bob", "cid")[n % 3], (17, 6)[n % 2]) for n in range(1, 9)]
        self.asked: list = []  # Opens that were not answered
        self.live: dict = {}  # relay -> True
        self.channels: dict = {}  # (relay, number) -> peer
        self.tokens: list = []
        self.seen: dict = {}

    def pick(self, of):  # type: ignore[no-untyped-def]
        return of[self.random.below(len(of))]

    def message(self, caller: Caller) -> bytes:
        """Mostly what a client says, its parts in any combination, then sometimes a byte changed or the end cut off."""
        method = self.pick(METHODS)
        transaction = self.random.bytes(12)
        attributes = [UDP_ONLY] if method == stun.ALLOCATE else []
        if method in (stun.CREATE_PERMISSION, stun.CHANNEL_BIND, stun.SEND):
            attributes.append((stun.XOR_PEER_ADDRESS, stun.xor_address(self.pick(PEERS), transaction)))
            attributes += [(stun.CHANNEL_NUMBER, bytes((0x40, self.random.below(4), 0, 0)))] * (
                method == stun.CHANNEL_BIND
            )
            attributes += [(stun.DATA, self.random.bytes(5))] * (method == stun.SEND)
        if method == stun.ALLOCATE and self.tokens and self.random.chance(300):
            attributes.append((stun.RESERVATION_TOKEN, self.pick(self.tokens)))
        while self.random.chance(350):
            attributes.append(self.pick(EXTRAS))
        if method == stun.SEND:
            data = stun.encode(method, stun.INDICATION, transaction, attributes)
        else:
            data = caller.signed(method, attributes, transaction)
        choice = self.random.below(20)
        if choice == 0:
            return data[: self.random.below(len(data))]
        if choice == 1:
            at = self.random.below(len(data))
            return data[:at] + self.random.bytes(1) + data[at + 1 :]
        return data

    def step(self) -> None:
        place, relay, choice = self.place, self.place.relay, self.random.below(100)
        caller = self.pick(self.callers)
        if choice < 70:
            relay.receive(self.message(caller), caller.client, place.now)
        elif choice < 78:
            numbers = sorted(self.live) or [1]
            relay.from_peer(self.pick(numbers), self.pick(PEERS), self.random.bytes(9), place.now)
        elif choice < 92:
            place.at(place.now + self.pick((1, 10, 500, 1000, 20000, 100000)))
        elif choice < 94:
            relay.client_gone(caller.client, place.now)
        elif choice < 95:
            place.policy.on_link = self.pick(([], [], [(PEER[0], 24)]))
            relay.recheck(place.now)
        elif choice < 96:
            relay.receive(self.random.bytes(self.random.below(60)), caller.client, place.now)
        else:
            relay.opened(self.random.below(200), place.now)
        self.act()

    def act(self) -> None:
        """Answer some of the Opens, check every event, learn nonces and tokens."""
        place = self.place
        while True:
            place.settle()
            for event in place.drain():
                self.check(event)
            if not self.asked or self.random.chance(100):
                break
            number = self.asked.pop(self.random.below(len(self.asked)))
            endpoint = place.relay._table.endpoints.get(number)
            if endpoint is None or endpoint.is_open or not self.random.chance(250):
                place.relay.opened(number, place.now)
            else:
                del self.live[number]  # what was busy is not closed
                place.relay.busy(number, place.now)
        for data, client in place.relay.drain_outgoing():
            if data[0] < 0x40:
                self.learn(stun.decode(data), client)
        for peer in sorted(self.channels.values()):
            assert place.policy.may_reach(peer) == "", "an open channel to a refused peer"
        for allocation in place.relay._table.clients.values():
            for ip, _ in allocation.permissions.permits:
                assert place.policy.may_permit(ip) == "", "a permission of a refused peer"

    def check(self, event) -> None:  # type: ignore[no-untyped-def]
        name = type(event).__name__
        self.seen[name] = self.seen.get(name, 0) + 1
        if isinstance(event, Open):
            self.asked.append(event.relay)
            self.live[event.relay] = True
        elif isinstance(event, Close):
            del self.live[event.relay]
            self.asked = [number for number in self.asked if number != event.relay]
            assert not [key for key in self.channels if key[0] == event.relay], "a channel outlives its socket"
        elif isinstance(event, ToPeer):
            assert self.place.policy.may_reach(event.peer) == "" and event.relay in self.live
        elif isinstance(event, Channel):
            key = (event.relay, event.number)
            assert event.is_open != (key in self.channels) and event.relay in self.live
            if event.is_open:
                self.channels[key] = event.peer
            else:
                del self.channels[key]

    def learn(self, message: stun.Message, client) -> None:  # type: ignore[no-untyped-def]
        if message.get(stun.NONCE):
            for caller in self.callers:
                caller.nonce = (message.get(stun.NONCE) or b"") if caller.client == client else caller.nonce
        token = message.get(stun.RESERVATION_TOKEN)
        if token:
            self.tokens = self.tokens[-3:] + [token]

    def bounds(self) -> None:
        relay = self.place.relay
        clients, endpoints, reservations, ports, deadlines, hairpins, own = table_sizes(relay)
        assert (
            clients <= LIMITS.allocations and endpoints == ports <= 2 * clients + reservations <= 12 + RESERVATIONS_MAX
        )
        assert deadlines <= 2 * (clients + reservations) + STALE_MAX and own <= 2
        assert hairpins <= clients * CHANNELS_MAX and len(relay._budget) <= PREFIXES_MAX + 1 and len(relay.users) <= 3
        for allocation in relay._table.clients.values():
            assert len(allocation.permissions.permits) <= PERMISSIONS_MAX
            assert len(allocation.permissions.bindings) <= CHANNELS_MAX
        counts = [row[0] for row in relay.users.values()]
        assert sum(counts) == clients and len(relay.counters) <= 32

    def run(self, steps: int) -> None:
        for number in range(steps):
            self.step()
            if number % 50 == 0:
                self.bounds()
        for caller in self.callers:
            self.place.relay.client_gone(caller.client, self.place.now)
        self.place.at(self.place.now + 100000)
        self.act()
        assert table_sizes(self.place.relay) == NOTHING and not self.channels and not self.live
        for name in ("Open", "Close", "Channel", "ToPeer"):
            assert self.seen.get(name, 0) > 5, "the fuzz did not bite: " + name
