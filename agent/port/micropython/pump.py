"""The relay's sockets on MicroPython (relaying.Pump): in a poll loop of their own, or beside asyncio in a device.

It carries open channels (flows.py, loop.py); all else goes to `control`, agent/service/relay.py, which tells what to
open and to close. Not here: what any message means.
Bounds: those of loop.py, a quarter of the sockets for relays; clients_connected_max clients with a socket of their own,
others share the listener's; TCP_CLIENTS_MAX, of one source SOURCE_CLIENTS_MAX, without an allocation for IDLE_MS.
"""

import socket

from agent.port import faults
from agent.port.micropython import clock
from agent.port.micropython.flows import BATCH, HEAD_BYTES, PAYLOAD_BYTES_MAX, Channel, Crowd, UdpClient, Way, plain
from agent.port.micropython.loop import SOCKETS_MAX, Loop
from agent.port.micropython.streams import sockaddr_of
from agent.port.micropython.tcp_clients import TcpClient

if False:
    from typing import Any

    from agent.port import relaying

UDP, TCP = 17, 6
STRAYS_MAX = 512  # more than a socket's buffer holds when it is connected
RECEIVE_BYTES = 524288  # then, as on CPython
TCP_CLIENTS_MAX = 64
SOURCE_CLIENTS_MAX = 16
SOURCE_BYTES = 7  # an address of IPv4, a /56 of IPv6: who has one has all of it
IDLE_MS = 30000
SWEEP_MS = 5000
WAIT_MS_MAX = 3600000  # the clock wants to be asked
SO_REUSEPORT = 15 if socket.SOL_SOCKET == 1 else 0x0200  # MIPS
SEND_BUFFER_BYTES = 32768  # the kernel's; it doubles these
REASONS = ("lost", "ceiling", "too_big", "unconnected", "tcp_refused", "tcp_malformed")


def open(options: "Any") -> "Pump":
    """`options`: PumpOptions. PortError("port_busy") and others of contract.Net."""
    return Pump(options)


def packed(host: str) -> bytes:
    """4 or 16 bytes of a numeric address; ValueError."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        raise ValueError(host + " is no numeric address")


def bound(kind: int, sockaddr: bytes, guard: "socket.socket | None" = None) -> socket.socket:
    """As strangers.bound of CPython, which says why. OSError."""
    is_ipv6 = len(sockaddr) > 16
    sock = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        if is_ipv6:
            sock.setsockopt(41, 26, 1)  # IPV6_V6ONLY
        if guard is not None or kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        set_whole(sock, is_ipv6, False)
        both: list[socket.socket] = [] if guard is None else [guard, sock]
        try:
            for each in both:
                each.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)
            sock.bind(sockaddr)
        finally:
            for each in both:
                each.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 0)
    except OSError:
        sock.close()
        raise
    return sock


def set_whole(sock: socket.socket, is_ipv6: bool, is_whole: bool) -> None:
    """IPV6_MTU_DISCOVER or IP_MTU_DISCOVER: set DF always or never."""
    level, option = (41, 23) if is_ipv6 else (0, 10)
    sock.setsockopt(level, option, 2 if is_whole else 0)


class Pump(Loop):
    """`counters`: what was lost here, by reason. `gate_up`, `gate_down`: see relaying.Pump. `out`: one frame."""

    def __init__(self, options: "Any") -> None:
        Loop.__init__(self)
        self.gate_up: Any = None
        self.gate_down: Any = None
        self.counters = dict.fromkeys(REASONS, 0)
        self.out = bytearray(HEAD_BYTES + PAYLOAD_BYTES_MAX)
        self.udp: list[Crowd] = []
        self.relays: dict[int, Crowd] = {}
        self.channels: dict[tuple[int, int], Channel] = {}
        self.udp_clients: dict[tuple[int, bytes], UdpClient] = {}  # by (listener, sockaddr): with an open channel
        self.tcp_clients: dict[Any, TcpClient] = {}
        self._options = options
        self._resting: list[socket.socket] = []  # listeners that are not looked at until the next sweep
        self._connections = 0  # TCP, ever
        self._connected = 0  # UDP clients with a socket of their own
        self._sweep_at = 0
        for host, port in options.listen:
            try:
                self._listen(sockaddr_of(packed(host), port), len(self.udp))
            except OSError as error:
                self.close()
                raise faults.net_fault(error, f"Port {port} on {host}")

    def _listen(self, sockaddr: bytes, number: int) -> None:
        def receive(source: "relaying.RelayAddress", data: bytes) -> None:
            self.control.receive(data, (UDP, source, number), clock.now_ms())

        listener = Crowd(bound(socket.SOCK_DGRAM, sockaddr), sockaddr, receive)
        self.udp.append(listener)
        self.watch(listener.socket, listener.on_ready)
        if self._options.is_tcp:
            sock = bound(socket.SOCK_STREAM, sockaddr)
            sock.listen(BATCH)
            self._resting.append(sock)

    def _rise(self) -> None:
        for sock in self._resting:
            self.watch(sock, lambda _, sock=sock: self._accept(sock))  # type: ignore[misc]
        self._resting = []

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                sock, sockaddr = listening.accept()
            except OSError as error:  # most often no more, or it has left already
                if error.errno in faults.MANY_FILES:  # of the process: it would be readable for ever
                    self.unwatch(listening, False)
                    self._resting.append(listening)
                return
            source = plain(sockaddr)
            same = [key for key in self.tcp_clients if key[1][0][:SOURCE_BYTES] == source[0][:SOURCE_BYTES]]
            if len(self.tcp_clients) >= TCP_CLIENTS_MAX or len(same) >= SOURCE_CLIENTS_MAX or not self.has_room():
                self.counters["tcp_refused"] += 1
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(6, 1, 1)  # TCP_NODELAY
            sock.setsockopt(socket.SOL_SOCKET, 7 if socket.SOL_SOCKET == 1 else 0x1001, SEND_BUFFER_BYTES)  # MIPS
            self._connections += 1
            key = (TCP, source, self._connections)
            client = self.tcp_clients[key] = TcpClient(sock, key, self)
            self.watch(sock, client.on_ready)

    def close_client(self, client: TcpClient) -> None:
        if self.tcp_clients.pop(client.key, None) is not None:
            self.unwatch(client.socket)
            self.control.client_gone(client.key, clock.now_ms())

    # What the control tells.

    def send(self, data: bytes, key: "relaying.ClientKey") -> None:
        """An answer or an indication."""
        transport, source, listener = key
        if transport == TCP:
            client: Any = self.tcp_clients.get(key)
            way = client
        else:
            sockaddr = sockaddr_of(source[0], source[1])
            client = self.udp_clients.get((listener, sockaddr))
            way = client.way if client is not None else Way(self.udp[listener].socket, sockaddr, False)
        if way is not None and not way.put(data, 0, len(data)):
            self.counters["lost"] += 1

    def open_relay(self, relay: int, family: int, port: int) -> bool:
        """False: the port is taken, or sockets or the heap are short."""
        host = self._options.relay_hosts[family == 6]
        if not host or not self.has_room():
            return False
        sockaddr = sockaddr_of(packed(host), port)
        try:
            sock = bound(socket.SOCK_DGRAM, sockaddr)
        except OSError:
            return False

        def receive(source: "relaying.RelayAddress", data: bytes) -> None:
            self.control.from_peer(relay, source, data, clock.now_ms())

        one = self.relays[relay] = Crowd(sock, sockaddr, receive)
        self.watch(sock, one.on_ready)
        return True

    def close_relay(self, relay: int) -> None:
        one = self.relays.get(relay)
        if one is not None:
            for ids in [ids for ids in self.channels if ids[0] == relay]:
                self.close_channel(relay, ids[1])
            del self.relays[relay]
            self.unwatch(one.socket)

    def open_channel(
        self, relay: int, number: int, peer: "relaying.RelayAddress", key: "relaying.ClientKey", usage: list[int]
    ) -> None:
        if (relay, number) in self.channels:
            return
        client: Any = self.tcp_clients.get(key) if key[0] == TCP else self._udp_client(key)
        if client is None:  # it has left
            return
        one, sockaddr = self.relays[relay], sockaddr_of(peer[0], peer[1])
        way = self._way(one, sockaddr, True)
        channel = Channel((relay, number), client, way, usage, self)
        self.channels[relay, number] = client.channels[number] = channel
        self._settle(one, way, sockaddr, channel.down, channel.on_ready)

    def close_channel(self, relay: int, number: int) -> None:
        channel = self.channels.pop((relay, number), None)
        if channel is None:
            return
        client = channel.client
        del client.channels[number]
        self._forget(self.relays[relay], channel.way)
        if channel.client is not client.way and not client.channels:
            listener = client.key[2]
            self._connected -= client.way.is_own
            self._forget(self.udp[listener], client.way)
            del self.udp_clients[listener, client.way.sockaddr]

    def send_to_peer(self, relay: int, peer: "relaying.RelayAddress", data: bytes, dont_fragment: bool) -> None:
        sock, is_ipv6 = self.relays[relay].socket, len(peer[0]) > 4
        if dont_fragment:
            set_whole(sock, is_ipv6, True)
        if not Way(sock, sockaddr_of(peer[0], peer[1]), False).put(data, 0, len(data)):
            self.counters["lost"] += 1
        if dont_fragment:
            set_whole(sock, is_ipv6, False)

    def _udp_client(self, key: "relaying.ClientKey") -> UdpClient:
        listener, sockaddr = key[2], sockaddr_of(key[1][0], key[1][1])
        client = self.udp_clients.get((listener, sockaddr))
        if client is None:
            one = self.udp[listener]
            way = self._way(one, sockaddr, self._connected < self._options.clients_connected_max)
            client = self.udp_clients[listener, sockaddr] = UdpClient(key, way, self)
            self._connected += way.is_own
            self._settle(one, way, sockaddr, client.accept, client.on_ready)
        return client

    def _way(self, one: Crowd, sockaddr: bytes, is_own: bool) -> Way:
        """A socket of its own, connected, at the address of `one`; else through that one."""
        if is_own and len(self._ready) < SOCKETS_MAX * 3 // 4 and self.has_room():
            try:
                sock = bound(socket.SOCK_DGRAM, one.sockaddr, one.socket)
                try:
                    sock.connect(sockaddr)
                    return Way(sock, sockaddr, True)
                except OSError:
                    sock.close()
            except OSError:
                self.counters["unconnected"] += 1
        return Way(one.socket, sockaddr, False)

    def _settle(self, one: Crowd, way: Way, sockaddr: bytes, on_data: "Any", on_ready: "Any") -> None:
        one.known[sockaddr] = on_data
        if way.is_own:
            self.watch(way.socket, on_ready)
            one.read(way.socket, STRAYS_MAX)  # came between its bind and its connect
            way.socket.setsockopt(socket.SOL_SOCKET, 8 if socket.SOL_SOCKET == 1 else 0x1002, RECEIVE_BYTES)  # MIPS

    def _forget(self, one: Crowd, way: Way) -> None:
        del one.known[way.sockaddr]
        if way.is_own:
            self.unwatch(way.socket)

    def due(self, now: int) -> int:
        """Do what time asks for; the milliseconds until it must be asked again."""
        wake_at: int | None = self.control.wake_at
        if wake_at is not None and wake_at <= now:
            self.control.wake(now)
            wake_at = self.control.wake_at
        if self.tcp_clients or self._resting:
            if now >= self._sweep_at:
                self._sweep_at = now + SWEEP_MS
                self._rise()
                for client in list(self.tcp_clients.values()):
                    if self.control.has_allocation(client.key):
                        client.idle_since = now
                    elif now - client.idle_since > IDLE_MS:
                        self.close_client(client)
            wake_at = self._sweep_at if wake_at is None else min(wake_at, self._sweep_at)
        return WAIT_MS_MAX if wake_at is None else max(0, min(wake_at - now, WAIT_MS_MAX))

    def close(self) -> None:
        """All sockets."""
        self._rise()
        for client in list(self.tcp_clients.values()):
            self.close_client(client)
        for sock, _ in list(self._ready.values()):
            self.unwatch(sock)
