"""A relay that speaks TCP to peers, and its clients. Who they are is believed: the heap of these tests is small."""

# isort: off
from agent.core.relay import lifecycle  # noqa: F401  (the largest first: imports that nest less need less of the heap)
from agent.core.relay.connections import Dial, Listen, TcpPolicy
from agent.core.relay.credentials import User
from agent.core.relay.events import Client, Limits, Open, World
from agent.core.relay.tcp import TcpRelay
from agent.wire import stun

PEER = (b"\x08\x08\x08\x08", 5000)
OWN = b"\x05\x05\x05\x05"
TCP_ONLY = (stun.REQUESTED_TRANSPORT, b"\x06\0\0\0")
NO_LIFE = (stun.LIFETIME, bytes(4))
UDP_ONLY = (stun.REQUESTED_TRANSPORT, b"\x11\0\0\0")


class Believing:
    """In the place of Credentials. `over`: names that are no longer valid."""

    def __init__(self) -> None:
        self.over: list[bytes] = []

    def is_valid(self, username: bytes, *_: object) -> bool:
        return username not in self.over

    def authenticate(self, message: stun.Message, *_: object) -> User:
        name = (message.get(stun.USERNAME) or b"").decode().rpartition(":")[2]
        return User(name, b"", lambda key, data: bytes(20))


class TcpPlace:
    def __init__(self, limits: "tuple[int, int]" = (40, 40)) -> None:
        """`limits`: allocations in all, of one user."""
        self.policy = TcpPolicy([], [], [OWN], [(443, 443), (5000, 5100)])
        world = World(bytes, None, self._address, None)
        bounds = Limits(limits[0], limits[1], (50000, 50999), 0, 0, 1000, True)
        self.credentials = Believing()
        self.relay = TcpRelay(world, self.credentials, self.policy, bounds)  # type: ignore[arg-type]
        self.events: list[object] = []
        self.now = 0
        self.asked = 0

    def _address(self, family: int, port: int) -> "tuple[bytes, int] | None":
        return (OWN, port) if family == 4 else None

    def settle(self) -> None:
        while self.relay.events:
            for event in self.relay.drain_events():
                self.events.append(event)
                if isinstance(event, (Open, Listen)):
                    self.relay.opened(event.relay, self.now)

    def at(self, now: int) -> None:
        while self.relay.wake_at is not None and self.relay.wake_at <= now:
            self.now = max(self.now, self.relay.wake_at)
            self.relay.wake(self.now)
            self.settle()
        self.now = now

    def drain(self, kind: "type | None" = None):  # type: ignore[no-untyped-def]
        events, self.events = self.events, []
        return [each for each in events if kind is None or isinstance(each, kind)]

    def one(self, kind: type):  # type: ignore[no-untyped-def]
        (found,) = self.drain(kind)
        return found

    def answers(self) -> "list[tuple[Client, stun.Message]]":
        """What the machine said of itself, decoded."""
        self.settle()
        return [(client, stun.decode(data)) for data, client in self.relay.drain_outgoing()]

    def is_empty(self) -> bool:
        relay = self.relay
        return not relay.connections and not relay._tcp and not self.policy.tcp and not self.policy._own


class TcpCaller:
    def __init__(self, place: TcpPlace, number: int = 1, user: str = "ann", transport: int = 6) -> None:
        self.place = place
        self.client = Client(transport, (b"\x09\x09\0\1", 40000), number)
        self.user = user.encode()

    def request(self, method: int, *attributes) -> "list[int]":  # type: ignore[no-untyped-def]
        """Codes of the answers, 0 for a success. XOR-PEER-ADDRESS takes an address."""
        self.place.asked += 1
        transaction = self.place.asked.to_bytes(12, "big")
        made = [(stun.USERNAME, self.user)]
        for kind, value in attributes:
            made.append((kind, stun.xor_address(value, transaction) if isinstance(value, tuple) else value))
        data = stun.encode(method, stun.REQUEST, transaction, made)
        self.place.relay.receive(data, self.client, self.place.now)
        return [code_of(answer) for client, answer in self.place.answers() if client == self.client]

    def connect(self, *peers: "tuple[bytes, int]") -> "list[int]":
        return self.request(stun.CONNECT, *[(stun.XOR_PEER_ADDRESS, peer) for peer in peers])

    def join(self, number: int) -> "list[int]":
        return self.request(stun.CONNECTION_BIND, (stun.CONNECTION_ID, number.to_bytes(4, "big")))

    def permit(self, peer: "tuple[bytes, int]") -> "list[int]":
        return self.request(stun.CREATE_PERMISSION, (stun.XOR_PEER_ADDRESS, peer))


def code_of(message: stun.Message) -> int:
    value = message.get(stun.ERROR_CODE)
    return value[2] * 100 + value[3] if value is not None else 0


def allocated(place: TcpPlace, number: int = 1, user: str = "ann") -> TcpCaller:
    caller = TcpCaller(place, number, user)
    assert caller.request(stun.ALLOCATE, TCP_ONLY) == [0]
    return caller


def connected(place: TcpPlace, caller: TcpCaller) -> int:
    """The CONNECTION-ID."""
    assert caller.connect(PEER) == []
    place.relay.connected(place.one(Dial).connection, place.now)
    ((client, answer),) = place.answers()
    assert client == caller.client and code_of(answer) == 0
    return int.from_bytes(answer.get(stun.CONNECTION_ID), "big")  # type: ignore[arg-type]
