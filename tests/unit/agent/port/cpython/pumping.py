"""A pump on loopback, stepped by hand, with a control that only writes down what it is told."""

import socket
import struct

from agent.port.cpython.pump import Pump
from agent.port.options import PumpOptions

CHANNEL = 0x4001
RELAY = 7


class Control:
    """Also the unit tests' answer to `has_allocation`: `allocated` holds the keys."""

    def __init__(self) -> None:
        self.wake_at: int | None = None
        self.received: list[tuple[bytes, object]] = []
        self.strange: list[tuple[int, object, bytes]] = []
        self.left: list[object] = []
        self.woken: list[int] = []
        self.allocated: set[object] = set()

    def receive(self, data: bytes, key: object, now: int) -> None:
        self.received.append((data, key))

    def from_peer(self, relay: int, peer: object, data: bytes, now: int) -> None:
        self.strange.append((relay, peer, data))

    def client_gone(self, key: object, now: int) -> None:
        self.left.append(key)

    def has_allocation(self, key: object) -> bool:
        return key in self.allocated

    def wake(self, now: int) -> None:
        self.woken.append(now)
        self.wake_at = None


class Bed:
    """One pump; with `open` one relay, one UDP client and one peer with a channel between them."""

    def __init__(self, host: str = "127.0.0.1", is_tcp: bool = False, connected_max: int = 8) -> None:
        self.host = host
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        hosts = ("", host) if ":" in host else (host, "")
        self.control = Control()
        self.pump = Pump(PumpOptions([(host, 0)], hosts, is_tcp, connected_max))
        self.pump.control = self.control
        self.usage = [0] * 6
        self.client = self.end(self.pump.udp[0].socket.getsockname())

    def __enter__(self) -> "Bed":
        return self

    def __exit__(self, *_: object) -> None:
        self.pump.close()
        self.client.close()

    def end(self, to: tuple[str, int]) -> socket.socket:
        made = socket.socket(self.family, socket.SOCK_DGRAM)
        made.bind((self.host, 0))
        made.connect(to)
        made.settimeout(2)
        return made

    def key(self, client: socket.socket) -> tuple[int, tuple[bytes, int], int]:
        return 17, self.address(client), 0

    def address(self, one: socket.socket) -> tuple[bytes, int]:
        host, port = one.getsockname()[:2]
        return socket.inet_pton(self.family, host), port

    def relay(self, number: int = RELAY) -> tuple[str, int]:
        """A new relay socket; where it is."""
        with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
            probe.bind((self.host, 0))
            port = probe.getsockname()[1]
        assert self.pump.open_relay(number, 6 if ":" in self.host else 4, port)
        return self.host, port

    def open(self) -> socket.socket:
        """The peer of the channel."""
        peer = self.end(self.relay())
        self.pump.open_channel(RELAY, CHANNEL, self.address(peer), self.key(self.client), self.usage)
        return peer

    def step(self, times: int = 4) -> None:
        """What is ready, a few times over; it waits only when nothing is."""
        for _ in range(times):
            for descriptor, _ in self.pump.loop.epoll.poll(0.02):
                function = self.pump.loop._ready.get(descriptor)
                if function is not None:
                    function()


def frame(payload: bytes, number: int = CHANNEL) -> bytes:
    return struct.pack("!HH", number, len(payload)) + payload


def everything(sock: socket.socket) -> list[bytes]:
    """What waits there."""
    found = []
    sock.setblocking(False)
    try:
        while True:
            found.append(sock.recv(4096))
    except BlockingIOError:
        return found
    finally:
        sock.settimeout(2)
