"""CONNECT: how tunnels end, and how many there may be."""

from tests.unit.agent.core.relay.tunnel_place import FAR, WHO, TcpPlace, ask, client, dialled, head, said  # isort: split

from agent.core.relay.connections import Drop
from agent.core.relay.credentials import rest_password
from agent.core.relay.events import Limits
from agent.core.relay.tcp import WAIT_MS
from agent.core.relay.tunnels import Resolve


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


def test_it_ends_with_its_credentials() -> None:
    """CONNECT has no refresh. A named user's goes on."""
    place = TcpPlace(unix=1000)
    word = rest_password(place.crypto, b"secret", b"1002:zoe")  # type: ignore[arg-type]
    numbers = []
    for who in (b"1002:zoe:" + word, WHO):
        assert ask(place, head(who=who), len(numbers)) == ""
        numbers.append(place.one(Resolve).connection)
        place.relay.resolved(numbers[-1], [FAR], 0)
        place.relay.connected(numbers[-1], 0)
        place.settle()
    place.drain()
    for unix, gone in ((1001, []), (1002, numbers[:1])):
        place.unix = unix
        place.relay.expire(0)
        place.settle()
        assert [drop.connection for drop in place.drain(Drop)] == gone
    assert place.relay.users["zoe"][0] == 0 and list(place.relay.connections) == numbers[1:]
    assert not place.relay.drain_outgoing()


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
