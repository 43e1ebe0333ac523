"""CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6): who may, and where to."""

from tests.unit.agent.core.relay.tunnel_place import FAR, TcpPlace, ask, client, dialled, head, said  # isort: split

from agent.core.relay.connections import Dial, Drop, Join
from agent.core.relay.credentials import rest_password
from agent.core.relay.tcp import WAIT_MS
from agent.core.relay.tunnels import ESTABLISHED, Resolve


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
