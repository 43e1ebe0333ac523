"""For the simulation: a TURN client that repeats until it is answered, and the driver of the relay machine.

Both are as simple as they can be: one request at a time, a new start when anything goes wrong.
"""

from agent.core.relay.credentials import Credentials, long_term_key
from agent.core.relay.events import Channel, Client, Close, Limits, Open, ToPeer
from agent.core.relay.events import World as Around
from agent.core.relay.policy import Policy
from agent.core.relay.server import Relay
from agent.wire import stun
from tests.sim.network import Network
from tests.sim.world import World
from tests.unit.agent.core.relay.relaying import OWN4, REALM, UDP_ONLY, Crypto

RETRY_MS = 500
TRIES_MAX = 8
REFRESH_MS = 120_000


class Driver:
    """Binds, sends and carries open channels as a data path does. Attached at "relay" and at each relayed address."""

    def __init__(self, world: World, network: Network, users: "list[str]", limits: Limits) -> None:
        self.world, self.network = world, network
        self.crypto = crypto = Crypto(world.seed)
        self.keys = {}
        for user in users:
            self.keys[user] = long_term_key(crypto, user.encode(), REALM.encode(), b"pw")  # type: ignore[arg-type]
        self.policy = Policy([], [], [OWN4])
        credentials = Credentials(crypto, REALM, self.keys, [])  # type: ignore[arg-type]
        around = Around(
            crypto.entropy, crypto, lambda family, port: (OWN4, port) if family == 4 else None, lambda now: None
        )
        self.relay = Relay(around, credentials, self.policy, limits)
        self.carried = 0
        self._ports: dict = {}  # relay -> address
        self._by_client: dict = {}  # (client, number) -> (relay, peer)
        self._by_peer: dict = {}  # (relay, peer) -> (client, number)
        self._armed: int | None = None
        network.attach("relay", self._from_client)

    def settle(self) -> None:
        while self.relay.events:
            for event in self.relay.drain_events():
                self.world.trace(type(event).__name__, event)
                self._act(event)
        for data, client in self.relay.drain_outgoing():
            self.network.send("relay", client, data)
        when = self.relay.wake_at
        if when is not None and when != self._armed:
            self._armed = when
            self.world.at(when, self._wake, when)

    def _wake(self, planned: int) -> None:
        if self._armed == planned:
            self._armed = None
            self.relay.wake(self.world.now)
            self.settle()

    def _act(self, event) -> None:  # type: ignore[no-untyped-def]
        if isinstance(event, Open):
            if self.world.random.chance(200):
                self.relay.busy(event.relay, self.world.now)
                return
            address = self._ports[event.relay] = (OWN4, event.port)
            self.network.attach(address, lambda data, peer: self._from_peer(event.relay, peer, data))
            self.relay.opened(event.relay, self.world.now)
        elif isinstance(event, Close):
            self.network.detach(self._ports.pop(event.relay, None))
        elif isinstance(event, Channel):
            if event.is_open:
                client = self.relay._table.endpoints[event.relay].owner.client  # type: ignore[union-attr]
                self._by_client[(client, event.number)] = (event.relay, event.peer)
                self._by_peer[(event.relay, event.peer)] = (client, event.number)
            else:
                # Its allocation may be gone by now: both happen in one step.
                del self._by_client[self._by_peer.pop((event.relay, event.peer))]
        elif isinstance(event, ToPeer):
            self._to_peer(event.relay, event.peer, event.data)

    def _to_peer(self, relay: int, peer: tuple, data: bytes) -> None:
        assert self.policy.may_reach(peer) == "", "a refused peer would be reached"
        self.network.send(self._ports[relay], peer, data)

    def _from_client(self, data: bytes, client: Client) -> None:
        if len(data) >= 4 and 0x40 <= data[0] <= 0x4F:
            found = self._by_client.get((client, data[0] << 8 | data[1]))
            if found is not None:
                self.carried += 1
                self._to_peer(found[0], found[1], data[4:])
            return
        self.relay.receive(data, client, self.world.now)
        self.settle()

    def _from_peer(self, relay: int, peer: tuple, data: bytes) -> None:
        found = self._by_peer.get((relay, peer))
        if found is not None:
            self.carried += 1
            self.network.send("relay", found[0], stun.channel_data(found[1], data, False))
            return
        self.relay.from_peer(relay, peer, data, self.world.now)
        self.settle()


class Caller:
    """`peer()` gives the address to talk to, or None as long as there is none. `heard`: payloads. It echoes what begins
    with "ask" to the one that sent it. `relayed`: its own relayed address, None without an allocation."""

    def __init__(self, driver: Driver, number: int, user: str, peer, is_channel: bool) -> None:  # type: ignore[no-untyped-def]
        self.world, self.network, self._driver = driver.world, driver.network, driver
        self.client = Client(17, (b"\x09\x09" + number.to_bytes(2, "big"), 40000), 1)
        self.user = user
        self.peer = peer
        self.is_channel = is_channel
        self.relayed: tuple | None = None
        self.heard: list = []
        self.codes: list = []
        self.is_on = True
        self._nonce = b""
        self._bound: tuple | None = None
        self._due = 0
        self._waiting: stun.Message | None = None
        self._tries = 0
        self.network.attach(self.client, self._receive)

    def power_off(self) -> None:
        self.is_on = False
        self.network.detach(self.client)

    def tick(self) -> None:
        """Every RETRY_MS: the next request, or the same again."""
        if not self.is_on:
            return
        self.world.after(RETRY_MS, self.tick)
        if self._waiting is not None and self._tries < TRIES_MAX:
            self._tries += 1
            self.network.send(self.client, "relay", self._data)
            return
        if self._waiting is not None:
            self.relayed = None  # nobody answers: from the beginning
        target = self.peer()
        if self.relayed is None:
            self._ask(stun.ALLOCATE, [UDP_ONLY])
        elif self.world.now >= self._due:
            self._ask(stun.REFRESH, [])
        elif target is not None and target != self._bound:
            self.bind(target)

    def bind(self, target: tuple) -> None:
        """The same peer has the same channel number as long as the allocation lives."""
        transaction = self.world.random.bytes(12)
        attributes = [(stun.XOR_PEER_ADDRESS, stun.xor_address(target, transaction))]
        if self.is_channel:
            attributes.append((stun.CHANNEL_NUMBER, (0x4000 + target[1] % 0x1000).to_bytes(2, "big") + bytes(2)))
        self._target = target
        self._ask(stun.CHANNEL_BIND if self.is_channel else stun.CREATE_PERMISSION, attributes, transaction)

    def say(self, payload: bytes, target: "tuple | None" = None) -> None:
        if self._bound is None or not self.is_on:
            return
        if self.is_channel and target is None:
            frame = stun.channel_data(0x4000 + self._bound[1] % 0x1000, payload, False)
        else:
            transaction = self.world.random.bytes(12)
            peer = stun.xor_address(target or self._bound, transaction)
            attributes = [(stun.XOR_PEER_ADDRESS, peer), (stun.DATA, payload)]
            frame = stun.encode(stun.SEND, stun.INDICATION, transaction, attributes)
        self.network.send(self.client, "relay", frame)

    def _ask(self, method: int, attributes: list, transaction: bytes = b"") -> None:
        transaction = transaction or self.world.random.bytes(12)
        proof = [(stun.USERNAME, self.user.encode()), (stun.REALM, REALM.encode()), (stun.NONCE, self._nonce)]
        integrity = (self._driver.crypto.hmac_sha1, self._driver.keys[self.user])
        self._data = stun.encode(method, stun.REQUEST, transaction, attributes + proof, integrity)
        self._waiting = stun.Message(method, stun.REQUEST, transaction)
        self._tries = 1
        self.network.send(self.client, "relay", self._data)

    def _receive(self, data: bytes, source: object) -> None:
        if data[0] >= 0x40:
            self._hear(data[4:], None)
            return
        message = stun.decode(data)
        if message.method == stun.DATA_INDICATION:
            peer = stun.read_xor_address(message.get(stun.XOR_PEER_ADDRESS) or b"", message.transaction)
            self._hear(message.get(stun.DATA) or b"", peer)
        elif self._waiting is not None and message.transaction == self._waiting.transaction:
            self._waiting = None
            self._answered(message)

    def _hear(self, payload: bytes, peer: "tuple | None") -> None:
        self.heard.append(payload)
        if payload[:3] == b"ask":
            self.say(b"echo" + payload[3:], peer)

    def _answered(self, message: stun.Message) -> None:
        value = message.get(stun.ERROR_CODE)
        code = value[2] * 100 + value[3] if value else 0
        self.codes.append(code)
        self._nonce = message.get(stun.NONCE) or self._nonce
        if code in (401, 438):
            return
        is_over = message.get(stun.LIFETIME) == bytes(4)
        if code or is_over:
            self.relayed = self._bound = None
            if code == 437 and message.method == stun.ALLOCATE:  # an answer of long ago was lost
                self._ask(stun.REFRESH, [(stun.LIFETIME, bytes(4))])
            return
        if message.method == stun.ALLOCATE:
            assert stun.is_intact(
                self._driver.crypto, self._data, stun.decode(self._data), self._driver.keys[self.user]
            )  # type: ignore[arg-type]
            self.relayed = stun.read_xor_address(message.get(stun.XOR_RELAYED_ADDRESS) or b"", message.transaction)
            self._bound = None
        elif message.method != stun.REFRESH:
            self._bound = self._target
        else:
            self._bound = None  # time to refresh the rest too
        if message.method in (stun.ALLOCATE, stun.REFRESH):
            self._due = self.world.now + REFRESH_MS
