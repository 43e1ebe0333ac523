"""The relay's unconnected sockets on CPython: where everybody comes from whom no connected socket serves.

Slower than datagrams.py by one address for each datagram. Bounds: those of the caller, datagram by datagram.
"""

import socket

from agent.port.cpython import clock
from agent.port.cpython.datagrams import BATCH, PAYLOAD_BYTES_MAX, Channel

if False:
    from typing import Any

    from agent.port.cpython.pump import Pump

    Address = tuple[bytes, int]

UDP = 17


def plain(sockaddr: "Any") -> "Address":
    """As the machine has it."""
    host = sockaddr[0]
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0]), sockaddr[1]
    return socket.inet_aton(host), sockaddr[1]


def written(address: "Address") -> "Any":
    """As recvfrom gives it, so that it is a key too."""
    ip, port = address
    if len(ip) == 4:
        return socket.inet_ntop(socket.AF_INET, ip), port
    return socket.inet_ntop(socket.AF_INET6, ip), port, 0, 0


def bound(kind: int, sockaddr: "Any", guard: "socket.socket | None" = None) -> socket.socket:
    """The port must be free; with `guard`, the first UDP socket there, ours joins it. OSError.

    The guard never has SO_REUSEADDR, so nobody else may bind there; ours have it for each other. SO_REUSEPORT asks for
    the same user, and lets them in for that one bind; left on, it would have the kernel deal datagrams out."""
    family = socket.AF_INET6 if ":" in sockaddr[0] else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if guard is not None or kind == socket.SOCK_STREAM:  # of TCP a listener lets nobody in, whatever they ask
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        both: list[socket.socket] = [] if guard is None else [guard, sock]
        try:
            for each in both:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(sockaddr)
        finally:
            for each in both:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    except OSError:
        sock.close()
        raise
    return sock


class UdpListener:
    """Where clients come from whom we know nothing of, and those beyond clients_connected_max."""

    __slots__ = ("number", "pump", "socket")

    def __init__(self, sock: socket.socket, number: int, pump: "Pump") -> None:
        self.socket = sock
        self.number = number
        self.pump = pump

    def on_readable(self) -> int:
        return self.read(self.socket, BATCH)

    def read(self, sock: socket.socket, count: int) -> int:
        """At most `count` datagrams; how many came."""
        slot = self.pump.slots.rows[0][1]
        for at in range(count):
            try:
                came, sockaddr = sock.recvfrom_into(slot)
            except BlockingIOError:
                return at
            except OSError:
                continue
            client = self.pump.udp_clients.get((self.number, sockaddr))
            if client is None or not client.accept(slot, came):
                self.pump.control.receive(bytes(slot[:came]), (UDP, plain(sockaddr), self.number), clock.now_ms())
        return count


class RelaySocket:
    """One relayed transport address. `peers`: sockaddr -> open channel."""

    __slots__ = ("number", "peers", "pump", "socket")

    def __init__(self, sock: socket.socket, number: int, pump: "Pump") -> None:
        self.socket = sock
        self.number = number
        self.pump = pump
        self.peers: dict[Any, Channel] = {}

    def on_readable(self) -> int:
        return self.read(self.socket, BATCH)

    def read(self, sock: socket.socket, count: int) -> int:
        """At most `count` datagrams; how many came."""
        _, slot, body = self.pump.slots.rows[0]
        for at in range(count):
            try:
                came, sockaddr = sock.recvfrom_into(body)
            except BlockingIOError:
                return at
            except OSError:
                continue
            channel = self.peers.get(sockaddr)
            if came > PAYLOAD_BYTES_MAX:
                self.pump.counters["too_big"] += 1
            elif channel is not None:
                channel.deliver(slot, came)
            else:
                self.pump.control.from_peer(self.number, plain(sockaddr), bytes(body[:came]), clock.now_ms())
        return count
