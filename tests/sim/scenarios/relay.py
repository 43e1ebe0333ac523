"""Clients, peers and strangers around one relay; the network loses, doubles and reorders, and ports are busy at times.

Invariant: nothing ever goes to a refused peer nor from an unpermitted one to a client; who repeats is served in the
end, two clients of this relay reach each other, tables stay bounded; when all is switched off, the tables are empty.
"""

from agent.core.relay.events import Client, Limits
from agent.wire import stun
from tests.sim.network import LOSSY, QUIET, Network
from tests.sim.turn import Caller, Driver
from tests.sim.world import World
from tests.unit.agent.core.relay.relaying import table_sizes

PEERS = ((b"\x08\x08\x08\x08", 5000), (b"\x08\x08\x04\x04", 6000))
REFUSED = ((b"\x0a\0\0\x01", 5000), (b"\x7f\0\0\x01", 5001), (b"\x08\x08\x08\x08", 80))
EVIL = (b"\x09\x05\x05\x09", 7000)
STRANGER = Client(17, (b"\x09\x0a\0\x01", 1), 1)
FAULTS_MS = 1_200_000
LIMITS = Limits(8, 4, (50000, 50031), 0, 0, 16, True)


def run(seed: int) -> bytes:
    world = World(seed)
    network = Network(world, LOSSY)
    driver = Driver(world, network, ["ann", "bob"], LIMITS)
    for peer in PEERS:
        network.attach(peer, lambda data, source, own=peer: network.send(own, source, b"echo" + data[3:]))
    touched: list = []
    for peer in REFUSED:
        network.attach(peer, lambda data, source: touched.append(data))
    network.attach(STRANGER, lambda data, source: None)
    network.attach(EVIL, lambda data, source: None)
    callers = [Caller(driver, 1, "ann", lambda: PEERS[0], True), Caller(driver, 2, "bob", lambda: PEERS[1], False)]
    callers.append(Caller(driver, 3, "ann", lambda: callers[4].relayed, True))  # these two talk to each other
    callers.append(Caller(driver, 4, "bob", lambda: REFUSED[world.now // 1000 % 3], False))
    callers.append(Caller(driver, 5, "bob", lambda: callers[2].relayed, False))
    for number in range(5):
        world.at(number * 1000 + world.random.below(5000), callers[number].tick)
    for number in range(FAULTS_MS // 5000):
        world.at(number * 5000 + world.random.below(5000), _trouble, world, network, driver, callers)
    world.run(FAULTS_MS)
    assert 403 in callers[3].codes and 0 in callers[3].codes and callers[3].heard == [], "the faults did not bite"
    network.faults = QUIET
    world.run(world.now + 300_000)
    for number in (0, 1, 2):
        callers[number].heard = []
        callers[number].say(b"ask last")
        world.run(world.now + 1000)
        assert callers[number].heard[-1:] == [b"echo last"], "who repeats was not served"
    assert driver.carried > 20 and not touched, "a refused peer was reached"
    for caller in callers:
        assert not [each for each in caller.heard if each[:4] == b"evil"], "an unpermitted peer was heard"
        caller.power_off()
    world.run(world.now + 1_000_000)
    assert table_sizes(driver.relay) == (0,) * 7, "something is left"
    return world.trace_hash()


def _trouble(world: World, network: Network, driver: Driver, callers: "list[Caller]") -> None:
    """Talk, junk from strangers, datagrams from unpermitted peers to relay ports, and a look at the tables."""
    for caller in callers:
        caller.say(b"ask" + world.random.bytes(3))
        for refused in REFUSED:
            if world.random.chance(100):
                caller.say(b"must not arrive", refused)
    for port in range(50000, 50032):
        if world.random.chance(100):
            network.send(EVIL, (b"\x05\x05\x05\x05", port), b"evil")
    junk = world.random.bytes(world.random.below(40))
    network.send(STRANGER, "relay", junk)
    network.send(STRANGER, "relay", stun.encode(stun.ALLOCATE, stun.REQUEST, world.random.bytes(12), []))
    clients, endpoints, _, _, deadlines, _, _ = table_sizes(driver.relay)
    assert clients <= 8 and endpoints <= 16 and deadlines <= 96
