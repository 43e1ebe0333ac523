"""A simulated MQTT broker, and the drivers of both ends of the link around it.

As TCP does, a connection keeps order and loses only its tail: what was under way when it broke. Each side notices the
break in its own time, the broker by speaking the will, perhaps long after the next session has begun. Retained
messages live until the broker restarts. Not here: QoS (a publish arrives or its connection is gone) and access lists.
"""

from agent.core import link, presence
from agent.errors import LimitError, PeerError
from tests.sim.world import World

DELAY_MS = (2, 60)
NOTICE_MS_MAX = 90_000


class Connection:
    """`client`: device id, or "core"."""

    def __init__(self, client: str, owner: "Device | Core", will: tuple[str, bytes] | None) -> None:
        self.client = client
        self.owner = owner
        self.will = will
        self.is_open = True
        self.arrives = {"up": 0, "dn": 0}  # the last planned arrival in each direction


class Broker:
    """`is_on`: refuses everything while off."""

    def __init__(self, world: World) -> None:
        self.is_on = True
        self._world = world
        self._sessions: dict[str, Connection] = {}
        self._retained: dict[str, bytes] = {}

    def connect(self, client: str, owner: "Device | Core", will: tuple[str, bytes] | None) -> Connection:
        """The owner hears `opened(connection)` or `closed(connection)`."""
        connection = Connection(client, owner, will)
        self._later(connection, "up", self._accept, connection)
        return connection

    def publish(self, connection: Connection, topic: str, payload: bytes, is_retained: bool) -> None:
        self._later(connection, "up", self._take, connection, topic, payload, is_retained)

    def disconnect(self, connection: Connection) -> None:
        """Orderly: after what was published before, and without the will."""
        self._later(connection, "up", self._goodbye, connection)

    def cut(self, client: str) -> None:
        """The network between the two breaks; what is under way is lost."""
        connection = self._sessions.get(client)
        if connection is not None and connection.is_open:
            connection.is_open = False
            random = self._world.random
            self._world.after(random.between(0, NOTICE_MS_MAX), self._mourn, connection)
            self._world.after(random.between(0, NOTICE_MS_MAX), connection.owner.closed, connection)

    def restart(self, off_ms: int) -> None:
        """All sessions end, nothing is kept."""
        self.is_on = False
        for client in sorted(self._sessions):
            connection = self._sessions[client]
            connection.is_open = False
            self._world.after(self._world.random.between(1, 100), connection.owner.closed, connection)
        self._sessions = {}
        self._retained = {}
        self._world.after(off_ms, self._on)

    def _on(self) -> None:
        self.is_on = True

    def _later(self, connection: Connection, direction: str, call, *args) -> None:  # type: ignore[no-untyped-def]
        when = max(self._world.now + self._world.random.between(*DELAY_MS), connection.arrives[direction])
        connection.arrives[direction] = when
        self._world.at(when, call, *args)

    def _accept(self, connection: Connection) -> None:
        if not self.is_on or not connection.is_open:
            connection.is_open = False
            self._world.after(1, connection.owner.closed, connection)
            return
        before = self._sessions.get(connection.client)
        if before is not None:
            before.is_open = False
            self._world.after(1, before.owner.closed, before)
            self._world.after(self._world.random.between(0, 1000), self._speak, before)
        self._sessions[connection.client] = connection
        self._later(connection, "dn", self._open, connection)
        for topic in sorted(self._retained):
            self._deliver(topic, self._retained[topic], True, connection)

    def _open(self, connection: Connection) -> None:
        if connection.is_open:
            connection.owner.opened(connection)

    def _take(self, connection: Connection, topic: str, payload: bytes, is_retained: bool) -> None:
        if connection.is_open:
            self._spread(topic, payload, is_retained)

    def _goodbye(self, connection: Connection) -> None:
        if connection.is_open:
            connection.is_open = False
            self._sessions.pop(connection.client, None)

    def _mourn(self, connection: Connection) -> None:
        if self._sessions.get(connection.client) is connection:
            del self._sessions[connection.client]
            self._speak(connection)

    def _speak(self, connection: Connection) -> None:
        if connection.will is not None and self.is_on:
            self._spread(connection.will[0], connection.will[1], True)

    def _spread(self, topic: str, payload: bytes, is_retained: bool) -> None:
        if is_retained:
            self._retained[topic] = payload
        for client in sorted(self._sessions):
            self._deliver(topic, payload, False, self._sessions[client])

    def _deliver(self, topic: str, payload: bytes, is_retained: bool, connection: Connection) -> None:
        _, device, direction, _ = topic.split("/")
        if (connection.client == "core") == (direction == "up") and connection.client in ("core", device):
            self._later(connection, "dn", self._arrive, connection, topic, payload, is_retained)

    def _arrive(self, connection: Connection, topic: str, payload: bytes, is_retained: bool) -> None:
        if connection.is_open:
            connection.owner.arrived(topic, payload, is_retained)


class _End:
    """What both drivers share: one connection, one timer."""

    machine: "link.DeviceLink | presence.CoreLink"

    def __init__(self, world: World, broker: Broker, name: str) -> None:
        self.name = name
        self.world = world
        self.broker = broker
        self.connection: Connection | None = None
        self.is_powered = True
        self._armed: int | None = None

    def settle(self) -> None:
        while self.is_powered and (self.machine.events or self.machine.outgoing):
            for event in self.machine.drain_events():
                self.act(event)
            for payload, publish in self.machine.drain_outgoing():
                if self.connection is not None:
                    self.broker.publish(self.connection, publish.topic, payload, publish.retain)
        when = self.machine.wake_at
        if self.is_powered and when is not None and when != self._armed:
            self._armed = when
            self.world.at(when, self._wake, self.machine, when)

    def _wake(self, machine: object, planned: int) -> None:
        if machine is self.machine and self.is_powered and self._armed == planned:
            self._armed = None
            self.machine.wake(self.world.now)
            self.settle()

    def closed(self, connection: Connection) -> None:
        if connection is self.connection:
            self.connection = None
            self.machine.disconnected(self.world.now)
            self.world.trace(self.name, "closed")
            self.settle()

    def opened(self, connection: Connection) -> None:
        if connection is self.connection:
            self.machine.connected(self.world.now)
            self.world.trace(self.name, "opened")
            self.settle()

    def arrived(self, topic: str, payload: bytes, is_retained: bool) -> None:
        source = (topic, is_retained) if self.name == "core" else topic
        try:
            self.machine.receive(payload, source, self.world.now)
        except PeerError as error:
            raise AssertionError("no garbage is sent here: " + error.text)
        self.settle()

    def act(self, event: object) -> None:
        raise NotImplementedError


class Device(_End):
    """`ran`: (boot, correlation) of every command that was run."""

    def __init__(self, world: World, broker: Broker, name: str, codec: object) -> None:
        _End.__init__(self, world, broker, name)
        self.boot = 0
        self.ran: list = []
        self._codec = codec

    def power_on(self) -> None:
        self.boot += 1
        self.is_powered = True
        self._armed = None
        self.machine = link.DeviceLink(self._codec, self.world.random.bytes, self.name, self.boot, [("b", 1)])  # type: ignore[arg-type]
        self.machine.start(self.world.now)
        self.settle()

    def power_off(self) -> None:
        """A cut: nobody is told."""
        self.is_powered = False
        self.connection = None
        self.broker.cut(self.name)

    def act(self, event: object) -> None:
        machine, now = self.machine, self.world.now
        assert isinstance(machine, link.DeviceLink)
        self.world.trace(self.name, type(event).__name__)
        if isinstance(event, link.Connect):
            self.connection = self.broker.connect(self.name, self, (event.will_topic, event.will_payload))
        elif isinstance(event, link.BirthWanted):
            machine.birth({"fw": "1"}, now)
        elif isinstance(event, link.TelemetryWanted):
            machine.telemetry({"uptime_s": now // 1000}, now)
        elif isinstance(event, link.Command):
            self.ran.append((self.boot, event.correlation))
            self.world.after(self.world.random.between(1, 20_000), self._done, machine, event)

    def _done(self, machine: link.DeviceLink, event: link.Command) -> None:
        if machine is self.machine and self.is_powered:
            machine.answer(event.correlation, True, event.body, self.world.now)
            self.settle()


class Core(_End):
    """`unix`: the core's wall clock at time 0. `answers`: correlation -> (is_ok, body)."""

    RETRY_MS = 5_000

    def __init__(self, world: World, broker: Broker, codec: object, unix: int) -> None:
        _End.__init__(self, world, broker, "core")
        self.unix = unix
        self.answers: dict = {}
        self.machine = presence.CoreLink(codec, world.random.bytes, lambda device: True)  # type: ignore[arg-type]

    def start(self) -> None:
        self.machine.set_unix(self.unix + self.world.now // 1000, self.world.now)
        self.connection = self.broker.connect("core", self, None)

    def closed(self, connection: Connection) -> None:
        if connection is self.connection:
            _End.closed(self, connection)
            self.world.after(self.RETRY_MS, self.start)

    def command(self, device: str, number: int) -> bytes | None:
        """Its correlation; None when the device is away."""
        assert isinstance(self.machine, presence.CoreLink)
        self.machine.set_unix(self.unix + self.world.now // 1000, self.world.now)
        try:
            correlation = self.machine.command(device, "work", {"number": number}, 60_000, self.world.now)
        except LimitError:
            return None
        self.settle()
        return correlation

    def act(self, event: object) -> None:
        self.world.trace("core", type(event).__name__, getattr(event, "device", ""))
        if isinstance(event, presence.Answer):
            assert event.correlation not in self.answers, "a command was answered twice"
            self.answers[event.correlation] = (event.is_ok, event.body)
        assert not isinstance(event, presence.Odd), "nobody is odd here"
