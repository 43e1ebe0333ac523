"""A relay with CONNECT, and who asks it. Imports that nest less need less of the heap, which is small."""

# isort: off
from agent.core.relay import lifecycle  # noqa: F401
from agent.core.relay.credentials import Credentials, long_term_key
from agent.core.relay.server import Relay  # noqa: F401
from agent.core.relay.tcp import TcpRelay  # noqa: F401
from agent.wire import http  # noqa: F401
from agent.core.relay.connections import Dial, TcpPolicy
from agent.core.relay.events import Client, Limits, World
from agent.core.relay.tunnels import Resolve, TunnelRelay
import binascii
import hashlib

if False:
    from typing import Any

WHO = b"ann:pw-ann"
FAR = b"\x08\x08\x08\x08"
LIMITS = Limits(20, 20, (50000, 50999), 0, 0, 1000, True)


class Crypto:
    """As much as a name and a password need; the heap of the test is small."""

    def entropy(self, length: int) -> bytes:
        return bytes(length)

    def md5(self, data: bytes) -> bytes:
        return hashlib.md5(data).digest()

    def hmac_sha1(self, key: bytes, data: bytes) -> bytes:
        return hashlib.sha1(key + data).digest()

    def equal(self, one: bytes, other: bytes) -> bool:
        return one == other


class TcpPlace:
    """A relay with port 443 and some more; `unix`: its clock."""

    def __init__(self, limits: Limits = LIMITS, unix: int = 0) -> None:
        self.crypto = Crypto()
        users = {"ann": long_term_key(self.crypto, b"ann", b"r", b"pw-ann")}  # type: ignore[arg-type]
        credentials = Credentials(self.crypto, "r", users, [("", b"secret")])  # type: ignore[arg-type]
        policy = TcpPolicy([], [], [], [(443, 443), (5000, 5100)])
        self.unix = unix
        world = World(self.crypto.entropy, self.crypto, lambda family, port: (bytes(4), port), lambda label: self.unix)
        self.relay = TunnelRelay(world, credentials, policy, limits)
        self.events: list[object] = []
        self.now = 0

    def settle(self) -> None:
        self.events += self.relay.drain_events()

    def at(self, now: int) -> None:
        self.now = now
        while self.relay.wake_at is not None and self.relay.wake_at <= now:
            self.relay.wake(now)
        self.settle()

    def drain(self, kind: "type | None" = None) -> "list[Any]":
        events, self.events = self.events, []
        return [each for each in events if kind is None or isinstance(each, kind)]

    def one(self, kind: type):  # type: ignore[no-untyped-def]
        (found,) = self.drain(kind)
        return found


def client(number: int = 1) -> Client:
    return Client(6, (b"\x09\x09\0\1", 40000), number)


def head(target: bytes = b"far.example:443", who: bytes = WHO, scheme: bytes = b"Basic") -> bytes:
    proof = scheme + b" " + binascii.b2a_base64(who).strip()
    return b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\nProxy-Authorization: " + proof + b"\r\n\r\n"


def ask(place: TcpPlace, data: bytes, number: int = 1) -> str:
    """Status, or "" when it goes on."""
    place.relay.tunnel(data, client(number), place.now)
    return said(place)


def said(place: TcpPlace) -> str:
    place.settle()
    answers = place.relay.drain_outgoing()
    return answers[0][0].split(b" ")[1].decode() if answers else ""


def dialled(place: TcpPlace) -> int:
    assert ask(place, head()) == ""
    wanted = place.one(Resolve)
    assert wanted.host == "far.example"
    place.relay.resolved(wanted.connection, [FAR], place.now)
    place.settle()
    assert place.one(Dial)[:] == (0, wanted.connection, (FAR, 443))
    return wanted.connection  # type: ignore[no-any-return]
