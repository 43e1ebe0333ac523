"""The relay's driver: what the machine says reaches the pump, in its order, and what the pump says comes back.

With the real machine; the two together are too big for the heap of a unit test.
"""

from types import SimpleNamespace

import pytest

from agent import port, relaying
from agent.core.relay.connections import Dial, TcpPolicy
from agent.core.relay.events import Limits
from agent.errors import UsageError
from agent.relays import Relays
from agent.service import relay, relay_streams
from agent.service.relay import COUNTS, RelayService
from agent.wire import stun
from tests.e2e.relay.servers import free_port
from tests.unit.agent.core.relay.relaying import OWN4, PEER, TCP, Caller, Place, relayed

PORTS = (50000, 50999)
OPEN = (20, 4, PORTS, 0, 0, 1000, True)


class Pump:
    """Writes down what it is told; `busy`: how many of the next relay sockets cannot be bound."""

    def __init__(self) -> None:
        self.counters = {"lost": 3, "ceiling": 0}
        self.gate_up = self.gate_down = None
        self.busy = 0
        self.told: list = []
        self.sent: list = []
        self.usage: list[int] = []

    def open_relay(self, relay: int, family: int, port: int) -> bool:
        is_taken = self.busy > 0
        self.busy -= 1
        self.told.append(("busy" if is_taken else "open", family))
        return not is_taken

    def close_relay(self, relay: int) -> None:
        self.told.append(("close", relay))

    def open_channel(self, relay: int, number: int, peer, key, usage: list[int]) -> None:  # type: ignore[no-untyped-def]
        self.usage = usage
        self.told.append(("channel", relay, number, peer, key))

    def close_channel(self, relay: int, number: int) -> None:
        self.told.append(("no channel", relay, number))

    def send(self, data: bytes, key: object) -> None:
        self.sent.append((data, key))

    def send_to_peer(self, relay: int, peer: object, data: bytes, dont_fragment: bool) -> None:
        self.told.append(("to peer", relay, peer, data, dont_fragment))

    def drain(self) -> list:
        told, self.told = self.told, []
        return told


class Driven(Place):
    """A Place whose driver is the one that is tested."""

    def __init__(self, limits: tuple = OPEN) -> None:
        Place.__init__(self, Limits(*limits))
        self.pump = Pump()
        self.service = RelayService(self.relay, self.pump, limits[3] > 0)  # type: ignore[arg-type]

    def give(self, data: bytes, client: object) -> list:
        self.service.receive(data, tuple(client), self.now)  # type: ignore[arg-type]
        sent, self.pump.sent = self.pump.sent, []
        assert not [key for _, key in sent if key != client]
        return [stun.decode(made) for made, _ in sent]


def test_an_allocation_with_a_channel_from_its_first_to_its_last_event() -> None:
    place = Driven()
    caller = Caller(place)
    key = tuple(caller.client)
    assert not place.service.has_allocation(key)  # type: ignore[arg-type]
    assert caller.allocate()[0] == 0 and place.service.has_allocation(key)  # type: ignore[arg-type]
    assert place.pump.drain() == [("open", 4)]
    assert caller.bind(0x4001, PEER) == 0
    told = place.pump.drain()
    relay = told[0][1]
    assert told == [("channel", relay, 0x4001, PEER, key)]
    place.pump.usage[1] += 7
    place.pump.usage[2] += 700
    assert place.relay.wake_at is not None
    assert place.service.wake_at == min(place.relay.wake_at, place.service._look_at)
    assert caller.refresh(0)[0] == 0
    assert place.pump.drain() == [("no channel", relay, 0x4001), ("close", relay)]
    report = place.service.report()
    row = {"allocations": 0, "packets_up": 7, "bytes_up": 700, "packets_down": 0, "bytes_down": 0}
    assert report["users"] == {"ann": row} and report["allocations"] == 0 and report["allocated"] == 1
    assert report["dropped"] == {"lost": 3}


def test_a_port_that_is_taken_is_followed_by_another_and_at_last_by_508() -> None:
    place = Driven()
    place.pump.busy = 3
    assert Caller(place, 1).allocate()[0] == 0
    assert place.pump.drain() == [("busy", 4)] * 3 + [("open", 4)]
    place.pump.busy = 100
    assert Caller(place, 2).allocate()[0] == stun.INSUFFICIENT_CAPACITY
    assert len(place.pump.drain()) == 8 and len(place.service._relays) == 1


def test_data_beside_channels() -> None:
    place = Driven()
    caller = Caller(place)
    caller.allocate()
    caller.permit(PEER)
    place.pump.drain()
    caller.send(PEER, b"up")
    told = place.pump.drain()
    assert told == [("to peer", told[0][1], PEER, b"up", False)]
    place.service.from_peer(told[0][1], PEER, b"down", place.now)
    data, key = place.pump.sent.pop()
    assert key == caller.client and stun.decode(data).get(stun.DATA) == b"down"
    place.service.from_peer(told[0][1], (b"\x01\x02\x03\x04", 5), b"stranger", place.now)
    assert not place.pump.sent and not place.pump.told


def test_a_tcp_client_that_leaves_takes_its_allocation() -> None:
    place = Driven()
    caller = Caller(place, transport=TCP)
    caller.allocate()
    place.pump.drain()
    place.service.client_gone(tuple(caller.client), place.now)  # type: ignore[arg-type]
    assert place.pump.drain()[0][0] == "close" and not place.service.has_allocation(tuple(caller.client))  # type: ignore[arg-type]


def test_time_closes_what_is_over() -> None:
    place = Driven()
    caller = Caller(place)
    caller.allocate()
    caller.bind(0x4001, PEER)
    place.pump.drain()
    for _ in range(20):
        if place.service.wake_at is None:
            break
        place.service.wake(place.service.wake_at)
    assert [each[0] for each in place.pump.drain()] == ["no channel", "close"]
    assert place.service.wake_at is None and not place.service._relays


def test_a_ceiling_lets_a_part_of_a_run_pass() -> None:
    place = Driven()
    assert place.pump.gate_up is None and place.pump.gate_down is None
    place = Driven((20, 4, PORTS, 1_000_000, 0, 1000, True))
    caller = Caller(place)
    caller.allocate()
    caller.bind(0x4001, PEER)
    relay = place.pump.drain()[1][1]
    passed = [place.pump.gate_up(relay, 8, 500) for _ in range(9)]  # type: ignore[misc]
    assert 0 < passed[0] < 8 and 0 < sum(passed) < 12  # at most 30 ms of 1 Mbit/s, and what the test itself takes
    assert place.pump.gate_down(relay, 1, 500) == 1  # type: ignore[misc]


def test_behind_a_router_peers_of_ours_are_found_without_it_and_a_new_address_ends_what_was_told() -> None:
    """Both ends are clients of this relay: one has a channel, the other only a permission."""
    place = Driven()
    service, own, outside = place.service, b"\xc0\xa8\x07\x02", b"\x0b\x16\x21\x01"
    mapped = {number: (outside, number - 10000) for number in range(PORTS[0], PORTS[1] + 1)}
    service.own, service.policy = own, place.policy
    place.relay._world = place.relay._table._world = place.relay._world._replace(
        addresses=lambda family, number: service.mapped.get(number, (own, number))
    )
    service.remap(mapped, [outside])
    callers = [Caller(place, number) for number in (1, 2)]
    seen = []
    for caller in callers:
        code, answer = caller.allocate()
        assert code == 0
        seen.append(stun.read_xor_address(answer.get(stun.XOR_RELAYED_ADDRESS) or b"", answer.transaction))
    assert [ip for ip, _ in seen] == [outside] * 2 and seen[0][1] + 10000 in mapped
    (_, first), (_, second) = [(each.address, number) for number, each in place.relay._table.endpoints.items()]
    place.pump.drain()
    assert callers[0].bind(0x4001, seen[1]) == 0 and callers[1].permit(seen[0]) == 0
    inside = [(own, number + 10000) for _, number in seen]
    assert place.pump.drain() == [("channel", first, 0x4001, inside[1], tuple(callers[0].client))]
    callers[1].send(seen[0], b"up")
    assert place.pump.drain() == [("to peer", second, inside[0], b"up", False)]
    service.from_peer(second, inside[0], b"down", place.now)
    data, _ = place.pump.sent.pop()
    message = stun.decode(data)
    assert stun.read_xor_address(message.get(stun.XOR_PEER_ADDRESS) or b"", message.transaction) == seen[0]
    assert callers[0].bind(0x4002, (outside, 5000)) == 403, "the router itself"
    service.remap({number: (b"\x0b\x16\x21\x02", number) for number in mapped}, [b"\x0b\x16\x21\x02"])
    assert not place.relay._table.clients and callers[0].refresh(600)[0] == 437


def test_a_network_that_is_ours_later_is_refused_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Driven()
    service, caller = place.service, Caller(place)
    service.policy = place.policy
    caller.allocate()
    assert caller.bind(0x4001, PEER) == 0
    monkeypatch.setattr(port.net, "interfaces", lambda: [("eth0", ".".join([str(each) for each in PEER[0]]), 24)])
    service._look_at = place.now + relay.LOOK_MS
    assert caller.bind(0x4001, PEER) == 0, "not looked at yet"
    assert service.wake_at == service._look_at, "nobody need ask"
    place.pump.drain()
    place.now += relay.LOOK_MS
    assert caller.bind(0x4001, PEER) == 403 and [told[0] for told in place.pump.drain()] == ["no channel"]
    caller.send(PEER, b"up")
    assert place.pump.drain() == []


def test_a_core_hears_of_its_own_users_alone() -> None:
    place = Driven()
    rows = {
        "home/ann": [1, 2, 300, 4, 500, 0],
        "home/bob": [0, 1, 10, 1, 10, 0],
        "club/cid": [5, 60, 7000, 80, 9000, 0],
    }
    place.relay.users.update(rows)
    place.relay.past.update({"home/": [0, 1, 1, 1, 1], "club/": [0, 9, 9, 9, 9]})
    relays = Relays(None)  # type: ignore[arg-type]
    relays._service = place.service
    told = relays.telemetry("home")
    assert [told[name] for name in COUNTS] == [1, 4, 311, 6, 511]
    assert told["users"] == [["bob", 2, 20], ["ann", 6, 800]]
    assert [relays.telemetry("else")[name] for name in COUNTS] == [0] * 5
    assert place.service.report()["total"] == [6, 73, 7320, 95, 9520]


def test_one_to_one_nat_in_both_families() -> None:
    """`--relay-ip PUBLIC/OWN`: told are public addresses, bound are our own, and one of our own is found inside."""
    hosts = relaying._relay_hosts({"--relay-ip": "9.9.9.9/127.0.0.1,2606::9/::1"}, [])
    limits = Limits(*OPEN)
    wanted = relay.RelaySettings(
        [("127.0.0.1", free_port())], hosts, "r", [("u", "p")], [], [], limits, relay.wall_clock
    )
    service = relay.compose(wanted)
    service.pump.close()  # type: ignore[attr-defined]
    assert service.pump.options.relay_hosts == ("127.0.0.1", "::1")  # type: ignore[attr-defined]
    packed = port.pump().packed
    for family, seen, own in ((4, packed("9.9.9.9"), packed("127.0.0.1")), (6, packed("2606::9"), packed("::1"))):
        assert service._machine._world.addresses(family, 50000) == (seen, 50000)
        assert service.policy.may_reach((seen, 50000)) == "external", "what else is at that address"
        service.policy.opened((seen, 50000))
        assert service.policy.may_reach((seen, 50000)) == ""
        assert service.inside((seen, 50000)) == (own, 50000) and service.outside((own, 50000)) == (seen, 50000)
    assert service.inside(PEER) == PEER == service.outside(PEER)
    for wrong in ("9.9.9.9", "9.9.9.9/8.8.8.8", "9.9.9.9/::1", "9.9.9.9/", "/127.0.0.1", "9.9.9.9/0.0.0.0"):
        with pytest.raises(UsageError, match="--relay-ip|numeric"):
            relaying._relay_hosts({"--relay-ip": wrong}, [])


def test_behind_one_to_one_nat_only_a_live_address_of_ours_is_one() -> None:
    """Another program of this machine that sends to a relay socket is not taken for a client of ours."""
    place, own = Driven(), b"\x0a\0\0\5"
    place.service.policy, place.service.seen, place.service.bound = place.policy, {own: OWN4}, {OWN4: own}
    callers = [Caller(place, number) for number in (1, 2)]
    seen = [relayed(caller.allocate()[1])[0] for caller in callers]
    (first, second) = place.relay._table.endpoints
    assert callers[0].bind(0x4001, seen[1]) == 0 and callers[1].permit(seen[0]) == 0
    told = [row for row in place.pump.drain() if row[0] != "open"]
    assert told == [("channel", first, 0x4001, (own, seen[1][1]), tuple(callers[0].client))]
    callers[1].send(seen[0], b"up")
    assert place.pump.drain() == [("to peer", second, (own, seen[0][1]), b"up", False)]
    place.service.from_peer(second, (own, seen[0][1]), b"down", place.now)
    message = stun.decode(place.pump.sent.pop()[0])
    assert stun.read_xor_address(message.get(stun.XOR_PEER_ADDRESS) or b"", message.transaction) == seen[0]
    place.service.from_peer(second, (own, 40000), b"not one of ours", place.now)
    assert not place.pump.sent


def test_behind_one_to_one_nat_tcp_allocations_meet_too() -> None:
    """The driver of streams, with nothing but what it asks of others."""
    own, mine, other = b"\x0a\0\0\5", (OWN4, 50000), (OWN4, 50001)
    heard: list = []
    service = relay_streams.StreamService.__new__(relay_streams.StreamService)
    service.policy = TcpPolicy([], [], [OWN4], [])
    service.policy.tcp.add(mine)
    service.seen, service.bound, service._inside = {own: OWN4}, {OWN4: own}, {}
    service._relay = SimpleNamespace(accepted=lambda _, peer, now: heard.append(peer))  # type: ignore[assignment]
    service.streams = SimpleNamespace(dial=lambda relay, number, peer: heard.append(peer) or True)
    service._settle = lambda *_: None  # type: ignore[method-assign]
    service.accepted(1, (own, mine[1]), 0)
    service.accepted(1, (own, other[1]), 0)
    service._act(Dial(1, 2, mine), 0, None)
    assert heard == [mine, (own, other[1]), (own, mine[1])]


def test_the_address_of_the_router_is_no_peer_though_it_maps_nothing() -> None:
    place, outside = Driven(), b"\x0b\x16\x21\x01"
    place.service.policy = place.policy
    place.pump.call = lambda function: function()  # type: ignore[attr-defined]
    caller = Caller(place)
    caller.allocate()
    assert caller.permit((outside, 5000)) == 0
    relays = Relays(None)  # type: ignore[arg-type]
    relays._service, relays._pool = place.service, [50000]
    machine = SimpleNamespace(external=lambda *_: None, router_ip=outside)
    relays._reach = SimpleNamespace(machine=machine)  # type: ignore[assignment]
    relays._reached()
    assert caller.permit((outside, 5000)) == 403 and place.relay.counters["external"] == 1
    caller.send((outside, 5000), b"up")
    assert not [told for told in place.pump.drain() if told[0] == "to peer"]
    machine.router_ip = b"\x0b\x16\x21\x02"
    relays._reached()
    assert caller.permit((outside, 5000)) == 0, "it is somebody else's now"
