"""CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6): who may, where to, and how tunnels end."""

import binascii
import hashlib

from agent.core.relay.credentials import Credentials, long_term_key, rest_password
from agent.core.relay.events import Client, Limits, World
from agent.core.relay.tcp import WAIT_MS, Dial, Drop, Join, TcpPolicy
from agent.core.relay.tunnels import ESTABLISHED, Resolve, TunnelRelay

TYPE_CHECKING = False
if TYPE_CHECKING:
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
        world = World(self.crypto.entropy, self.crypto, lambda family, port: (bytes(4), port), lambda label: unix)
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


def test_a_tunnel() -> None:
    place = TcpPlace()
    number = dialled(place)
    assert place.relay.users["ann"][0] == 1
    place.relay.connected(number, 0)
    assert said(place) == ""
    assert place.one(Join)[:] == (number, client(), ESTABLISHED, "ann", place.relay.users["ann"])
    place.at(WAIT_MS * 2)
    assert not place.drain(Drop)
    place.relay.ended(number, place.now)
    place.settle()
    assert place.one(Drop).connection == number and not place.relay.connections and place.relay.users["ann"][0] == 0
    assert not place.relay.drain_outgoing()


def test_who() -> None:
    """407: without proof, with a wrong one, of another scheme; nobody learns which names there are."""
    place = TcpPlace(unix=1000)
    for data in (
        head(who=b"ann:pw-bob"), head(who=b"nobody:pw"), head(who=b"ann"), head(who=b""), head(scheme=b"Bearer"),
        b"CONNECT far.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ):  # fmt: skip
        assert ask(place, data) == "407", data
    assert place.relay.counters["407"] == 6 and not place.relay.connections
    for expiry, status in ((1001, ""), (1000, "407"), (999, "407")):
        name = b"%d:zoe" % expiry
        word = rest_password(place.crypto, b"secret", name)  # type: ignore[arg-type]
        assert ask(place, head(who=name + b":" + word)) == status, expiry
    assert "zoe" in place.relay.users


def test_where_to() -> None:
    place = TcpPlace()
    for target in (b"far.example", b"far.example:", b":443", b"far.example:x", b"a b:443", b"a/b:443", b"a:123456"):
        assert ask(place, head(target)) == "400", target
    assert ask(place, head(b"far.example:80")) == "403" and not place.drain(Resolve)
    for target, host in ((b"8.8.8.8:443", "8.8.8.8"), (b"[2606::1]:5000", "2606::1")):
        assert ask(place, head(target)) == "" and place.one(Resolve).host == host
    place.drain()
    for ips, status in (([b"\x7f\0\0\1"], "403"), ([b"\xc0\xa8\1\1", b"\x0a\0\0\1"], "403"), ([], "502")):
        assert ask(place, head()) == ""
        place.relay.resolved(place.one(Resolve).connection, ips, 0)
        assert said(place) == status, ips
        assert not place.drain(Dial)
    assert ask(place, head()) == ""
    place.relay.resolved(place.one(Resolve).connection, [b"\x7f\0\0\1", FAR], 0)
    place.settle()
    assert place.one(Dial).peer == (FAR, 443)


def test_how_it_ends() -> None:
    place = TcpPlace()
    place.relay.failed(dialled(place), 0)
    assert said(place) == "502"
    dialled(place)
    place.at(WAIT_MS)
    assert said(place) == "502"
    place.drain()
    number = dialled(place)
    place.relay.client_gone(client(), place.now)
    place.settle()
    assert place.one(Drop).connection == number and not place.relay.connections and place.relay.users["ann"][0] == 0


def test_quota() -> None:
    """A tunnel counts as an allocation, of its user and in all."""
    for limits in (Limits(3, 2, (50000, 50999), 0, 0, 1000, True), Limits(2, 2, (50000, 50999), 0, 0, 1000, True)):
        place = TcpPlace(limits)
        assert [ask(place, head(), number) for number in range(3)] == ["", "", "503"]
        place.relay.client_gone(client(0), 0)
        place.relay.drain_outgoing()
        assert ask(place, head(), 4) == ""


def test_in_all() -> None:
    """Whoever has them, and allocations beside them."""
    place = TcpPlace(Limits(2, 2, (50000, 50999), 0, 0, 1000, True), unix=1000)
    others = [b"2000:zoe", b"2000:bob"]
    words = [rest_password(place.crypto, b"secret", name) for name in others]  # type: ignore[arg-type]
    heads = [head(who=name + b":" + word) for name, word in zip(others, words)]
    assert [ask(place, data, number) for number, data in enumerate([head()] + heads)] == ["", "", "503"]
