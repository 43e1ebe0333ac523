"""A core's end of the link, and messages of one device for it."""

from agent import port
from agent.core import presence
from agent.wire import envelope
from tests.sim.world import Xorshift32

CODEC = port.codec()
DEVICE = "00112233445566aa"
UNIX = 1_700_000_000


def made(allowed: tuple[str, ...] = (DEVICE,)) -> presence.CoreLink:
    machine = presence.CoreLink(CODEC, Xorshift32(1).bytes, lambda device: device in allowed)
    machine.set_unix(UNIX, 0)
    machine.connected(0)
    return machine


def hear(
    machine: presence.CoreLink, kind: str, body: dict, sequence: int = 0, is_retained: bool = False, now: int = 0
) -> list:
    """Give it one message of DEVICE; the names of the events that came of it."""
    data = envelope.encode(CODEC, envelope.Envelope(kind, sequence, b"x" if kind == "ack" else None, None, body))
    machine.receive(data, (envelope.topic(DEVICE, "up", kind), is_retained), now)
    return [type(event).__name__ for event in machine.drain_events()]


def orders(machine: presence.CoreLink) -> list:
    found = []
    for data, publish in machine.drain_outgoing():
        assert (publish.qos, publish.retain) == (1, False)
        message = envelope.decode(CODEC, data)
        found.append(message.body.get("op", message.kind))
    return found


def at(boot: int, session: int) -> dict:
    return {"boot": boot, "session": session}
