"""A core's end of the link, and messages of one device for it."""

from agent import port

CODEC = port.codec()  # before the rest: the heap is small

from agent.core import presence  # noqa: E402
from agent.wire import envelope  # noqa: E402

DEVICE = "00112233445566aa"
UNIX = 1_700_000_000


class Entropy:
    """Other bytes each time; tests/sim/world.py would cost a twelfth of the heap."""

    def __init__(self) -> None:
        self._count = 0

    def bytes(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")


def made(allowed: tuple[str, ...] = (DEVICE,)) -> presence.CoreLink:
    machine = presence.CoreLink(CODEC, Entropy().bytes, lambda device: device in allowed)
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
