"""What the tests of the relay machine share: a relay, a client that can prove itself, a driver that opens sockets."""

# ruff: noqa: I001 (what is compiled needs several times its size for a moment: the largest first, in an empty heap)
from agent.core.relay import lifecycle  # noqa: F401
import hashlib

from agent.core.relay.server import Relay
from agent.core.relay.credentials import Credentials, long_term_key
from agent.core.relay.events import Client, Limits, Open, World
from agent.core.relay.policy import Policy
from agent.errors import PeerError
from agent.wire import stun
from tests.sim.chance import Xorshift32

REALM = "corelet"
UDP, TCP = 17, 6
PEER = (b"\x08\x08\x08\x08", 5000)
PEER6 = (b"\x26\x06" + bytes(13) + b"\x01", 5000)
OWN4 = b"\x05\x05\x05\x05"
OWN6 = b"\x26\x07" + bytes(13) + b"\x05"
LIMITS = Limits(20, 4, (50000, 50999), 0, 0, 1000, True)
UDP_ONLY = (stun.REQUESTED_TRANSPORT, b"\x11\0\0\0")
V4 = (stun.REQUESTED_ADDRESS_FAMILY, b"\x01\0\0\0")
V6 = (stun.REQUESTED_ADDRESS_FAMILY, b"\x02\0\0\0")
BOTH = (stun.ADDITIONAL_ADDRESS_FAMILY, b"\x02\0\0\0")


class Crypto:
    """hashlib and nothing else: the heap of the test is small."""

    def __init__(self, seed: int = 1) -> None:
        self.entropy = Xorshift32(seed).bytes

    def md5(self, data: bytes) -> bytes:
        return hashlib.md5(data).digest()

    def hmac_sha1(self, key: bytes, data: bytes) -> bytes:
        return _hmac(hashlib.sha1, key, data)

    def hmac_sha256(self, key: bytes, data: bytes) -> bytes:
        return _hmac(hashlib.sha256, key, data)

    def equal(self, one: bytes, other: bytes) -> bool:
        return one == other


def _hmac(make, key: bytes, data: bytes) -> bytes:  # type: ignore[no-untyped-def]
    if len(key) > 64:
        key = make(key).digest()
    key = key + bytes(64 - len(key))
    inner = make(bytes([each ^ 0x36 for each in key]) + data).digest()
    return make(bytes([each ^ 0x5C for each in key]) + inner).digest()  # type: ignore[no-any-return]


class Place:
    """A relay, its driver (`busy`: how many of the next Opens fail; `is_slow`: they are not answered), its events."""

    def __init__(self, limits=LIMITS, allow=(), families=(4, 6), seed: int = 1, unix: "int | None" = None) -> None:  # type: ignore[no-untyped-def]
        self.crypto = crypto = Crypto(seed)
        users = {}
        for name in ("ann", "bob", "cid"):
            users[name] = long_term_key(crypto, name.encode(), REALM.encode(), b"pw-" + name.encode())  # type: ignore[arg-type]
        self.users = users
        self.unix = unix
        self.families = families
        self.policy = Policy(list(allow), [], [OWN4, OWN6])
        credentials = Credentials(crypto, REALM, users, [("", b"secret")])  # type: ignore[arg-type]
        world = World(crypto.entropy, crypto, self._address, self._unix)
        self.relay = Relay(world, credentials, self.policy, limits)
        self.busy = 0
        self.is_slow = False
        self.events: list = []
        self.now = 0

    def _address(self, family: int, port: int) -> "tuple[bytes, int] | None":
        return (OWN4 if family == 4 else OWN6, port) if family in self.families else None

    def _unix(self, _label: str) -> "int | None":
        return None if self.unix is None else self.unix + self.now // 1000

    def settle(self) -> None:
        while self.relay.events:
            for event in self.relay.drain_events():
                self.events.append(event)
                if isinstance(event, Open) and not self.is_slow:
                    if self.busy:
                        self.busy -= 1
                        self.relay.busy(event.relay, self.now)
                    else:
                        self.relay.opened(event.relay, self.now)

    def at(self, now: int) -> None:
        """Let the time pass, as a driver does."""
        while self.relay.wake_at is not None and self.relay.wake_at <= now:
            self.now = max(self.now, self.relay.wake_at)
            self.relay.wake(self.now)
            self.settle()
        self.now = now

    def give(self, data: bytes, client: Client) -> list:
        """The answers, decoded."""
        self.relay.receive(data, client, self.now)
        self.settle()
        return [stun.decode(made) for made, _ in self.relay.drain_outgoing()]

    def drain(self, kind: "type | None" = None) -> list:
        events, self.events = self.events, []
        return [each for each in events if kind is None or isinstance(each, kind)]


class Caller:
    """One TURN client. `request` gives (0 or the error code, answer); it learns the nonce by itself."""

    def __init__(
        self, place: Place, number: int = 1, user: str = "ann", transport: int = UDP, is_ipv6: bool = False
    ) -> None:
        ip = b"\x26\x08" + bytes(12) + number.to_bytes(2, "big") if is_ipv6 else b"\x09\x09" + number.to_bytes(2, "big")
        self.place = place
        self.client = Client(transport, (ip, 40000), 1)
        self.username = user.encode()
        self.key = place.users.get(user, bytes(16))
        self.nonce = b""
        self.transaction = bytes(12)
        self.is_sha256 = False
        self._random = Xorshift32(number + 100)

    def signed(self, method: int, attributes: list, transaction: "bytes | None" = None) -> bytes:
        self.transaction = transaction or self._random.bytes(12)
        crypto = self.place.crypto
        proof = [(stun.USERNAME, self.username), (stun.REALM, REALM.encode()), (stun.NONCE, self.nonce)]
        hmac = crypto.hmac_sha256 if self.is_sha256 else crypto.hmac_sha1
        return stun.encode(method, stun.REQUEST, self.transaction, attributes + proof, (hmac, self.key))

    def request(self, method: int, *attributes) -> "tuple[int, stun.Message]":  # type: ignore[no-untyped-def]
        if not self.nonce:
            data = stun.encode(method, stun.REQUEST, self._random.bytes(12), list(attributes))
            self.nonce = self.place.give(data, self.client)[-1].get(stun.NONCE) or b""
        return self.repeat(self.signed(method, list(attributes)))

    def repeat(self, data: bytes) -> "tuple[int, stun.Message]":
        answers = self.place.give(data, self.client)
        assert len(answers) == 1, answers
        return code_of(answers[0]), answers[0]

    def allocate(self, *attributes) -> "tuple[int, stun.Message]":  # type: ignore[no-untyped-def]
        return self.request(stun.ALLOCATE, UDP_ONLY, *attributes)

    def refresh(self, lifetime_s: int, *attributes) -> "tuple[int, stun.Message]":  # type: ignore[no-untyped-def]
        return self.request(stun.REFRESH, (stun.LIFETIME, lifetime_s.to_bytes(4, "big")), *attributes)

    def permit(self, *peers) -> int:  # type: ignore[no-untyped-def]
        return self._with_peers(stun.CREATE_PERMISSION, [], peers)

    def bind(self, number: int, *peers) -> int:  # type: ignore[no-untyped-def]
        return self._with_peers(stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, number.to_bytes(2, "big") + bytes(2))], peers)

    def _with_peers(self, method: int, attributes: list, peers) -> int:  # type: ignore[no-untyped-def]
        """XOR of an IPv6 address needs the transaction: chosen here."""
        if not self.nonce:
            self.request(stun.REFRESH)
        transaction = self._random.bytes(12)
        attributes = attributes + [(stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction)) for peer in peers]
        return self.repeat(self.signed(method, attributes, transaction))[0]

    def send(self, peer, data: bytes, *attributes) -> None:  # type: ignore[no-untyped-def]
        transaction = self._random.bytes(12)
        made = [(stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction)), (stun.DATA, data)] + list(attributes)
        answers = self.place.give(stun.encode(stun.SEND, stun.INDICATION, transaction, made), self.client)
        assert not answers, "an indication is never answered"


def code_of(message: stun.Message) -> int:
    value = message.get(stun.ERROR_CODE)
    return value[2] * 100 + value[3] if value is not None else 0


def relayed(message: stun.Message) -> list:
    found = [value for kind, value in message.attributes if kind == stun.XOR_RELAYED_ADDRESS]
    return [stun.read_xor_address(value, message.transaction) for value in found]


def is_intact(place: Place, data: bytes, key: bytes) -> bool:
    try:
        return stun.is_intact(place.crypto, data, stun.decode(data), key)  # type: ignore[arg-type]
    except PeerError:
        return False


def table_sizes(relay: Relay) -> tuple:
    """Everything that a peer can make grow, but for `users`."""
    table = relay._table
    return (
        len(table.clients), len(table.endpoints), len(table.reservations), len(table._ports), len(table._deadlines),
        len(relay._hairpins), len(relay._policy._own),
    )  # fmt: skip


def pair(**options) -> "tuple[Place, Caller, int]":  # type: ignore[no-untyped-def]
    """A place, a caller with an allocation, the number of its relay."""
    place = Place()
    caller = Caller(place, **options)
    caller.allocate()
    number: int = place.drain(Open)[0].relay
    return place, caller, number
