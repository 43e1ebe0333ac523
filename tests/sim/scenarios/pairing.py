"""A core with the right code and a guesser with wrong ones want the same device, over a lossy, reordering network,
while the device's power is cut at any moment, also between counting an attempt and answering it.

A stranger without any code says hello again and again and ends every session he overhears; an impostor with a code of
its own names that device's public key.

Invariant: the device takes a bundle only from the core that proved the code; wrong codes that were answered never
exceed ATTEMPTS_MAX, whatever the power does; both sides end with one link secret or none. While guesses are left, the
core gets its device in the end; nobody is described to a core with a key that is not its own.
"""

from agent import port
from agent.core.pairing import spake2plus
from agent.core.pairing.prover import Prover
from agent.core.pairing.verifier import ATTEMPTS_MAX, Own, Verifier
from agent.errors import CoreletError
from agent.wire import pairing, pairing_frames
from agent.wire.pairing_frames import ANSWERS, Step
from tests.sim.network import HOSTILE, LOSSY, Network
from tests.sim.node import Node
from tests.sim.world import World
from tests.unit.agent.core.pairing import certificates

END_MS = 40 * 60 * 1000
CODE = (517, 0x123456789AB)
CORE, GUESSER = certificates.CORE_ONE, "6666666666666666"
LABEL: list = []  # the record on the label, derived once: it is the same for every seed


class Crypto:
    """The real one, with the world's entropy."""

    def __init__(self, world: World) -> None:
        self._body = port.crypto()
        self.entropy = world.random.bytes

    def __getattr__(self, name: str) -> object:
        return getattr(self._body, name)


class Watched(Network):
    """Remembers which guesses the device answered."""

    def __init__(self, world: World, faults: object) -> None:
        super().__init__(world, faults)
        self.answered: set = set()
        self.overheard = b""

    def send(self, source: object, destination: object, data: bytes) -> None:
        if source == "device":
            frame = pairing_frames.decode_frame(port.codec(), data, ANSWERS)
            self.overheard = frame.session if frame.step == Step.CONFIRM else self.overheard
            if frame.step == Step.SHARE and destination == "guesser":
                self.answered.add(bytes(data))
        super().send(source, destination, data)


class Device:
    """Its disk (`counters`, `cores`) outlives its power."""

    def __init__(self, world: World, network: Network) -> None:
        self.counters: dict = {}
        self.cores: list = []
        self.pending: bytes | None = None
        self._world, self._network = world, network
        self.node: Node | None = None
        self._is_on = False
        self.power_up()

    def power_up(self) -> None:
        """A window opens for the code on the label, unless it was guessed at too often or the board is owned."""
        self._is_on = True
        info = pairing_frames.Info(certificates.DEVICE_PUBLIC, b"p" * 32, "generic-linux", "0.1.0", "Attic Pi")
        own = Own("a1b2c3d4", info, lambda data: port.crypto().ecdsa_sign(certificates.DEVICE_SCALAR, data))
        machine = Verifier(Crypto(self._world), port.codec(), own, dict(self.counters))
        try:
            machine.open_window(LABEL[0], bool(self.cores), self._world.now)
        except CoreletError as error:
            self._world.trace("device", "closed", error.code)
            assert self.cores or self.counters["attempts"] >= ATTEMPTS_MAX
        self.node = Node(self._world, self._network, "device", machine, self.act)

    def power_cut(self) -> None:
        if not self._is_on:
            return
        self._is_on = False
        self._world.trace("device", "power cut")
        self.node.stop()
        self.node.machine.outgoing = []
        self.pending = None
        self._world.after(self._world.random.between(500, 5000), self.power_up)

    def act(self, event: object) -> None:
        kind = type(event).__name__
        if kind == "Persist":
            self.counters = dict(event.counters)
            if self._world.random.chance(60):
                self.power_cut()
        elif kind == "Pending":
            assert event.bundle["core"] == CORE and event.bundle["name"] == "Home", "a bundle nobody proved"
            self.pending = event.link_secret
        elif kind == "RolledBack":
            self.pending = None

    def bind(self, core: "Guest") -> None:
        """The link came up: both sides keep what they have."""
        if self.pending is None or core.secret is None:
            return
        assert self.pending == core.secret, "two link secrets"
        if self.node.machine.commit(CORE, self._world.now) and core.node.machine.commit():
            self.cores.append(CORE)
            self.node.settle()


class Guest:
    """A core that tries again until it is paired; `right`: whether it has the code."""

    def __init__(self, name: str, device: Device, right: bool, tries: int) -> None:
        self.name, self._device, self._right, self._tries = name, device, right, tries
        self._world, self._network = device._world, device._network
        self.secret: bytes | None = None
        self.node: Node | None = None

    def start(self) -> None:
        if self._device.cores or not self._tries:
            return
        self._tries -= 1
        self.secret = None
        wrong = 0 if self._right else 1 + self._world.random.below(1000)
        code = pairing.password(CODE[0], CODE[1] ^ wrong)
        if self.node is not None:
            self.node.stop()
        core = CORE if self._right else GUESSER
        prover = Prover(Crypto(self._world), port.codec(), core, code, "device")
        self.node = Node(self._world, self._network, self.name, prover, self.act)
        prover.start(self._world.now)
        self.node.settle()

    def act(self, event: object) -> None:
        kind = type(event).__name__
        assert self._right or kind not in ("Proven", "Described", "Delivered"), "a wrong code was taken for right"
        if kind == "Described":
            self.node.machine.deliver(certificates.bundle({}), self._world.now)
        elif kind == "Delivered":
            self.secret = event.link_secret
            # Sometimes the link never comes up, and both fail-safes must end it.
            delay_ms = self._world.random.between(500, 100_000)
            self._world.after(delay_ms, self._device.bind, self)
        elif kind in ("Failed", "RolledBack"):
            self._world.after(self._world.random.between(1000, 20_000), self.start)


class Stranger:
    """Floods hello, and aborts the newest proven session he saw on the wire."""

    def __init__(self, world: World, network: Watched) -> None:
        self._world, self._network = world, network
        network.attach("stranger", lambda source, data: None)
        world.after(1000, self.act)

    def act(self) -> None:
        nonce = self._world.random.bytes(16)
        self._say(Step.HELLO, b"", [[1], "7777777777777777", nonce])
        if self._network.overheard:
            self._say(Step.ABORT, self._network.overheard, [self._world.random.bytes(32)])
        self._world.after(self._world.random.between(300, 3000), self.act)

    def _say(self, step: int, session: bytes, fields: list) -> None:
        self._network.send("stranger", "device", pairing_frames.encode_frame(port.codec(), step, session, fields))


def impostor(world: World) -> str:
    """What a core makes of a device that knows its code, and names a key that it does not have."""
    info = pairing_frames.Info(certificates.DEVICE_PUBLIC, b"p" * 32, "generic-linux", "0.1.0", "Mallory")
    own = Own("a1b2c3d4", info, lambda data: port.crypto().ecdsa_sign(5, data))
    device = Verifier(Crypto(world), port.codec(), own, {})
    device.open_window(LABEL[0], False, world.now)
    core = Prover(Crypto(world), port.codec(), CORE, pairing.password(*CODE), "impostor")
    core.start(world.now)
    for _ in range(3):
        device.receive(core.drain_outgoing()[-1][0], "core", world.now)
        core.receive(device.drain_outgoing()[-1][0], "impostor", world.now)
    return " ".join([type(event).__name__ for event in core.events]) + " " + core.events[-1].code


def label() -> None:
    crypto = port.crypto()
    w0, w1 = spake2plus.derive(crypto, pairing.password(*CODE), bytes(16), 1000)
    LABEL.append(pairing_frames.Record(CODE[0], bytes(16), 1000, w0, crypto.p256_public(w1), True))


def run(seed: int) -> bytes:
    if not LABEL:
        label()
    world = World(seed)
    network = Watched(world, HOSTILE if seed % 2 else LOSSY)
    device = Device(world, network)
    core = Guest("core", device, True, 40)
    guesser = Guest("guesser", device, False, 60 if seed % 4 == 0 else 4)
    world.at(world.random.between(1000, 30_000), guesser.start)
    world.at(600_000 if seed % 4 == 0 else world.random.between(1000, 60_000), core.start)
    if seed % 4 == 3:
        Stranger(world, network)
    if seed % 4 == 1:
        assert impostor(world) == "Proven Failed proof"
    for _ in range(world.random.below(4)):
        world.at(world.random.between(1000, 120_000), device.power_cut)
    world.run(END_MS)
    attempts = device.counters.get("attempts", 0)
    assert len(network.answered) <= ATTEMPTS_MAX and attempts <= ATTEMPTS_MAX
    assert device.cores or attempts >= ATTEMPTS_MAX, "guesses were left, yet the core did not get its device"
    world.trace("end", len(device.cores), attempts, len(network.answered))
    return world.trace_hash()
