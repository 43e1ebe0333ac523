"""The simulated world: one seed, one clock, one heap of future calls, one trace.

Everything that happens in a scenario is a call at a time. Same seed, same trace, on both
interpreters: so no dict is iterated into behaviour, no float, no `random` module.

    world = World(seed)
    world.at(250, machine.wake, 250)       # run machine.wake(250) when 250 ms have passed
    world.trace("core", "connected", 3)    # what the scenario's hash is made of
    world.run(60_000)                      # until the clock reads 60 s, or nothing is left to do
    return world.trace_hash()

Beside it: network.py (datagrams that get lost), node.py (the driver of one Machine), flash.py (a disk
that loses power). Bound: CALLS_MAX planned calls at once, STEPS_MAX calls in one run.
"""

import hashlib
import heapq

from tests.sim.chance import Xorshift32

if False:
    from collections.abc import Callable

CALLS_MAX = 4096
STEPS_MAX = 1_000_000


class World:
    """`now`: ms since the start. `random`: the only source of chance of a scenario."""

    def __init__(self, seed: int, verbose: bool = False) -> None:
        self.seed = seed
        self.now = 0
        self.random = Xorshift32(seed)
        self.steps = 0
        self._verbose = verbose
        self._heap: list = []
        self._sequence = 0
        self._hash = hashlib.sha256(b"corelet sim v1")
        self._digest = b""

    def at(self, when: int, call: "Callable[..., object]", *args: object) -> None:
        """Plan call(*args) at absolute time `when` (not before now). Calls of one time run in planned order."""
        assert len(self._heap) < CALLS_MAX, "more calls planned than CALLS_MAX"
        self._sequence += 1
        heapq.heappush(self._heap, (max(when, self.now), self._sequence, call, args))

    def after(self, delay_ms: int, call: "Callable[..., object]", *args: object) -> None:
        """Plan call(*args) `delay_ms` from now."""
        self.at(self.now + delay_ms, call, *args)

    def trace(self, *parts: object) -> None:
        """Add (now, parts) to the trace. Parts: str, int, bool, None, bytes, tuples, lists; no dict, no float."""
        line = as_text((self.now,) + parts)
        if self._verbose:
            print(line)
        self._hash.update(line.encode() + b"\n")

    def run(self, until_ms: int) -> None:
        """Run planned calls in order of time up to and including `until_ms`, then set the clock there."""
        while self._heap and self._heap[0][0] <= until_ms:
            when, _, call, args = heapq.heappop(self._heap)
            self.now = when
            self.steps += 1
            assert self.steps <= STEPS_MAX, "a scenario that does not settle"
            call(*args)
        self.now = max(self.now, until_ms)

    def trace_hash(self) -> bytes:
        """SHA-256 of the trace; call it at the end (MicroPython can finish a hash only once)."""
        if not self._digest:
            self._digest = self._hash.digest()
        return self._digest


def as_text(value: object) -> str:
    """The same text on both interpreters, which `repr` does not promise (non-ASCII, namedtuples, bool)."""
    if value is None or value is True or value is False or isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    assert isinstance(value, (tuple, list)), "a trace takes str, int, bytes, tuple and list"
    return "[" + " ".join([as_text(part) for part in value]) + "]"
