"""The simulator's driver of one machine: what a service does, in the order agent/core/machine.py asks for.

    node = Node(world, network, "device", machine, on_event)   # on_event(event) acts on and persists events
    machine.connect(world.now); node.settle()                  # after every call of your own into the machine
    node.stop()                                                # power off: timers and datagrams no longer reach it

Events are traced by their type's name; a PeerError raised by `receive` is traced and kept in `peer_errors`.
"""

from agent.core.machine import Machine
from agent.errors import PeerError
from tests.sim.network import Network
from tests.sim.world import World

if False:
    from collections.abc import Callable

SETTLE_ROUNDS_MAX = 100


class Node:
    """`peer_errors`: the codes of what `receive` refused. `events`: kept when no `on_event` is given."""

    def __init__(
        self,
        world: World,
        network: Network,
        address: object,
        machine: Machine,
        on_event: "Callable[[object], object] | None" = None,
    ) -> None:
        self.machine = machine
        self.events: list = []
        self.peer_errors: list = []
        self._world = world
        self._network = network
        self._address = address
        self._on_event = on_event or self.events.append
        self._armed: int | None = None
        self._is_stopped = False
        network.attach(address, self._receive)
        self.settle()

    def settle(self) -> None:
        """Act on events, send what is pending, arm one timer."""
        rounds = 0
        while self.machine.events or self.machine.outgoing:
            rounds += 1
            assert rounds < SETTLE_ROUNDS_MAX, "events that make events for ever"
            for event in self.machine.drain_events():
                self._world.trace("event", self._address, type(event).__name__)
                self._on_event(event)
            for data, destination in self.machine.drain_outgoing():
                self._network.send(self._address, destination, data)
        when = self.machine.wake_at
        if when is not None and when != self._armed:
            self._armed = when
            self._world.at(when, self._wake, when)

    def stop(self) -> None:
        """The power is off."""
        self._is_stopped = True
        self._network.detach(self._address)

    def _receive(self, data: bytes, source: object) -> None:
        try:
            self.machine.receive(data, source, self._world.now)
        except PeerError as error:
            self._world.trace("refused", self._address, error.code)
            self.peer_errors.append(error.code)
        self.settle()

    def _wake(self, planned: int) -> None:
        if self._is_stopped or self._armed != planned:
            return
        self._armed = None
        if self.machine.wake_at is not None and self.machine.wake_at <= self._world.now:
            self.machine.wake(self._world.now)
        self.settle()
