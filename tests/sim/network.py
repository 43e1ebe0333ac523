"""A simulated network of datagrams: delay, loss, duplicates, reordering, partitions, one flipped bit.

    network = Network(world, Faults(delay_ms=(5, 80), loss_permille=100))
    network.attach("core", receive)                # receive(data, source) when a datagram arrives
    network.send("device", "core", b"hello")
    network.partition("device", "core"); network.heal()

Addresses are any hashable value that `world.trace` accepts: a str, or (host, port).
"""

from collections import namedtuple

from tests.sim.world import World

if False:
    from collections.abc import Callable

# `delay_ms`: (least, most); two datagrams overtake each other when their delays cross. A reordered one
# waits REORDER_MS longer. `flip`: one bit of the payload is inverted (smoltcp's default corruption).
Faults = namedtuple("Faults", ("delay_ms", "loss_permille", "duplicate_permille", "reorder_permille", "flip_permille"))

QUIET = Faults((1, 1), 0, 0, 0, 0)
LOSSY = Faults((5, 80), 200, 50, 50, 0)
HOSTILE = Faults((5, 200), 200, 100, 100, 100)

REORDER_MS = 300


class Network:
    """`delivered`, `lost`: datagrams so far."""

    def __init__(self, world: World, faults: Faults = QUIET) -> None:
        self.faults = faults
        self.delivered = 0
        self.lost = 0
        self._world = world
        self._receivers: dict = {}
        self._cuts: list = []

    def attach(self, address: object, receive: "Callable[[bytes, object], object]") -> None:
        """Datagrams for `address` go to receive(data, source) from now on."""
        self._receivers[address] = receive

    def detach(self, address: object) -> None:
        """Datagrams for `address` vanish from now on, also those under way."""
        self._receivers.pop(address, None)

    def partition(self, one: object, other: object) -> None:
        """Nothing passes between the two, in either direction, until `heal`."""
        self._cuts.append((one, other))

    def heal(self) -> None:
        """End all partitions."""
        self._cuts = []

    def is_cut(self, one: object, other: object) -> bool:
        return (one, other) in self._cuts or (other, one) in self._cuts

    def send(self, source: object, destination: object, data: bytes) -> None:
        """Carry one datagram, by the faults in force now."""
        random = self._world.random
        copies = 2 if random.chance(self.faults.duplicate_permille) else 1
        for _ in range(copies):
            if random.chance(self.faults.loss_permille):
                self.lost += 1
                continue
            delay_ms = random.between(self.faults.delay_ms[0], self.faults.delay_ms[1])
            if random.chance(self.faults.reorder_permille):
                delay_ms += REORDER_MS
            payload = bytes(data)
            if payload and random.chance(self.faults.flip_permille):
                payload = flip_one_bit(payload, random.below(len(payload) * 8))
            self._world.after(delay_ms, self._arrive, source, destination, payload)

    def _arrive(self, source: object, destination: object, data: bytes) -> None:
        receive = self._receivers.get(destination)
        if receive is None or self.is_cut(source, destination):
            self.lost += 1
            return
        self.delivered += 1
        self._world.trace("arrive", source, destination, data)
        receive(data, source)


def flip_one_bit(data: bytes, bit: int) -> bytes:
    """`data` with bit number `bit` inverted."""
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << (bit % 8)
    return bytes(flipped)
