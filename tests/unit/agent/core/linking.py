"""What the link's tests share: one device, and messages to and from it."""

from agent import port
from agent.core import link
from agent.wire import envelope
from tests.sim.chance import Xorshift32

CODEC = port.codec()
DEVICE = "00112233445566aa"
BROKERS = [("10.0.0.1", 8883), ("10.0.0.2", 8883)]


def made(boot: int = 3) -> link.DeviceLink:
    return link.DeviceLink(CODEC, Xorshift32(1).bytes, DEVICE, boot, BROKERS)


def up(now: int = 0) -> link.DeviceLink:
    machine = made()
    machine.start(now)
    machine.connected(now)
    machine.drain_events()
    machine.birth({"fw": "1"}, now)
    machine.drain_outgoing()
    return machine


def sent(machine: link.DeviceLink) -> list:
    return [(publish, envelope.decode(CODEC, data)) for data, publish in machine.drain_outgoing()]


def message(kind: str, body: dict, correlation: bytes | None = None, expiry: int | None = None) -> bytes:
    return envelope.encode(CODEC, envelope.Envelope(kind, 0, correlation, expiry, body))
