"""Two toy machines count to TARGET together over a lossy network: each sends its number until the other has answered.

Invariant: both reach TARGET, never skip a number, and what was flipped on the way is refused, not counted.
"""

from agent.core.machine import Machine
from agent.errors import PeerError
from tests.sim.network import HOSTILE, Network
from tests.sim.node import Node
from tests.sim.world import World

TARGET = 20
RETRY_MS = 500


class Counter(Machine):
    """Sends (number, number ^ 0xff); takes the peer's number as an answer when it is its own or one more."""

    def __init__(self, peer: str) -> None:
        super().__init__()
        self.number = 0
        self.wake_at = 0
        self._peer = peer

    def receive(self, data: bytes, source: object, now: int) -> None:
        if len(data) != 2 or data[0] ^ data[1] != 0xFF:
            raise PeerError("frame", "a number and its complement were expected")
        if self.number <= data[0] and self.number < TARGET:
            self.number += 1
            self.events.append((self.number, data[0]))
            self.wake_at = now

    def wake(self, now: int) -> None:
        self.outgoing.append((bytes([self.number, self.number ^ 0xFF]), self._peer))
        self.wake_at = now + RETRY_MS


def run(seed: int) -> bytes:
    world = World(seed)
    network = Network(world, HOSTILE)
    one = Node(world, network, "one", Counter("other"))
    other = Node(world, network, "other", Counter("one"))
    world.run(60_000)
    for node in (one, other):
        assert [event[0] for event in node.events] == list(range(1, TARGET + 1)), "a number was skipped"
        assert node.peer_errors.count("frame") == len(node.peer_errors)
    assert network.lost and (one.peer_errors or other.peer_errors), "the faults did not bite"
    return world.trace_hash()
