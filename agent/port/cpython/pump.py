"""The relay's sockets on CPython (relaying.Pump), in one epoll loop; a device runs it in a thread of its own.

It carries open channels (datagrams.py, tcp_clients.py); all else goes to `control`, agent/service/relay.py, which tells
what to open and to close. Not here: what any message means.
Bounds: a quarter of the file descriptors is kept for relay sockets; clients_connected_max clients have a socket of
their own (a kernel before 6.13 looks through all sockets of a port), the others are served by the listener.
"""

import asyncio
import socket
import sys

from agent.port import faults
from agent.port.cpython.datagrams import Channel, Slots, UdpClient, Way
from agent.port.cpython.datagrams import has_segments as can_segment
from agent.port.cpython.loop import Loop
from agent.port.cpython.strangers import RelaySocket, UdpListener, bound, written
from agent.port.cpython.tcp_clients import TcpListener

if False:
    from typing import Any, Callable

    from agent.port import relaying

    Address = tuple[bytes, int]

TCP = 6
SWEEP_MS = 5000
STRAYS_MAX = 512  # more than a socket's buffer holds when it is connected
RECEIVE_BYTES = 512 << 10  # then; the usual 208 KiB are 277 small packets, and a pause of some ms would lose more
# (level, option): IP_MTU_DISCOVER, IPV6_MTU_DISCOVER; values: never set DF, always.
MTU_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}
NEVER, ALWAYS = 0, 2
SWITCH_S = 0.0005  # else each packet may wait 5 ms until the control loop lets go of the interpreter


def open(options: "Any") -> "Pump":
    """`options`: PumpOptions. PortError("port_busy") and others of contract.Net."""
    return Pump(options)


def packed(host: str) -> bytes:
    """4 or 16 bytes of a numeric address; ValueError."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError as error:
        raise ValueError(f"{host} is no numeric address") from error


class Pump:
    """`counters`: what was lost here, by reason. `gate_up`, `gate_down`: see relaying.Pump."""

    def __init__(self, options: "Any") -> None:
        self.options = options
        self.control: Any = None
        self.gate_up: Any = None
        self.gate_down: Any = None
        self.slots = Slots()
        self.loop = Loop()
        self.counters = dict.fromkeys(("lost", "ceiling", "too_big", "unconnected", "tcp_refused", "tcp_malformed"), 0)
        self.udp_clients: dict[Any, UdpClient] = {}  # by (listener, sockaddr): those with an open channel
        self.relays: dict[int, RelaySocket] = {}
        self.channels: dict[tuple[int, int], Channel] = {}
        self.udp: list[UdpListener] = []
        self.tcp: list[TcpListener] = []
        self.tls: Any = None  # tls_clients.TlsClients, where the owner has a certificate
        self.streams: Any = None  # splices.Streams, where TCP to peers is enabled
        self.connections = 0  # TCP, ever
        self._connected = 0  # UDP clients with a socket of their own
        self._sweep_at = 0
        self._listen()

    def _listen(self) -> None:
        for number, address in enumerate(self.options.listen):
            try:
                listener = UdpListener(bound(socket.SOCK_DGRAM, address), number, self)
                self.udp.append(listener)
                self.loop.watch(listener.socket, listener.on_readable)
                if self.options.is_tcp:
                    accepting = TcpListener(bound(socket.SOCK_STREAM, address), self)
                    accepting.socket.listen(128)
                    self.tcp.append(accepting)
                    self.loop.watch(accepting.socket, accepting.on_readable)
            except OSError as error:
                self.close()
                raise faults.net_fault(error, f"Port {address[1]} on {address[0]}") from error
        self._is_segmenting = can_segment(self.udp[0].socket)

    # What the control tells.

    def send(self, data: bytes, key: "relaying.ClientKey") -> None:
        """An answer or an indication."""
        transport, source, listener = key
        if transport == TCP:
            for accepting in self.tcp:
                client = accepting.clients.get(key)
                if client is not None and not client.send(data):
                    self.counters["lost"] += 1
            return
        sockaddr = written(source)
        own = self.udp_clients.get((listener, sockaddr))
        way = own.way if own is not None else Way(self.udp[listener].socket, sockaddr, False)
        self.counters["lost"] += 1 - way.send_one(data)

    def open_relay(self, relay: int, family: int, port: int) -> bool:
        """False: the port is taken, or there are no descriptors left."""
        host = self.options.relay_hosts[family == 6]
        if not host or self.loop.free() <= 0:
            return False
        try:
            sock = bound(socket.SOCK_DGRAM, (host, port))
        except OSError:
            return False
        sock.setsockopt(*MTU_DISCOVER[sock.family], NEVER)
        one = self.relays[relay] = RelaySocket(sock, relay, self)
        self.loop.watch(sock, one.on_readable)
        return True

    def close_relay(self, relay: int) -> None:
        one = self.relays.get(relay)
        if one is not None:
            for channel in list(one.peers.values()):
                self.close_channel(relay, channel.number)
            del self.relays[relay]
            self.loop.unwatch(one.socket)

    def open_channel(
        self, relay: int, number: int, peer: "Address", key: "relaying.ClientKey", usage: list[int]
    ) -> None:
        if (relay, number) in self.channels:
            return
        one, sockaddr = self.relays[relay], written(peer)
        client = self._tcp_client(key) if key[0] == TCP else self._udp_client(key)
        if client is None:  # it has left
            return
        way = self._way(one.socket, sockaddr)
        channel = Channel(relay, number, client, way, self)
        channel.usage = usage
        self.channels[relay, number] = client.channels[number] = one.peers[sockaddr] = channel
        if way.address is None:
            self.loop.watch(way.socket, channel.on_readable)
            self._settle(one, way.socket)

    def close_channel(self, relay: int, number: int) -> None:
        channel = self.channels.pop((relay, number), None)
        if channel is None:
            return
        one, client = self.relays[relay], channel.client
        one.peers = {peer: other for peer, other in one.peers.items() if other is not channel}
        del client.channels[number]
        if channel.way.address is None:
            self.loop.unwatch(channel.way.socket)
        if isinstance(client, UdpClient) and not client.channels:
            del self.udp_clients[client.key[2], written(client.key[1])]
            if client.way.address is None:
                self._connected -= 1
                self.loop.unwatch(client.way.socket)

    def send_to_peer(self, relay: int, peer: "Address", data: bytes, dont_fragment: bool) -> None:
        sock = self.relays[relay].socket
        if dont_fragment:
            sock.setsockopt(*MTU_DISCOVER[sock.family], ALWAYS)
        self.counters["lost"] += 1 - Way(sock, written(peer), False).send_one(data)
        if dont_fragment:
            sock.setsockopt(*MTU_DISCOVER[sock.family], NEVER)

    def _tcp_client(self, key: "Any") -> "Any":
        found = [listener.clients[key] for listener in self.tcp if key in listener.clients]
        return found[0] if found else None

    def _udp_client(self, key: "Any") -> UdpClient:
        transport, source, number = key
        sockaddr = written(source)
        client = self.udp_clients.get((number, sockaddr))
        if client is None:
            listener = self.udp[number]
            is_own = self._connected < self.options.clients_connected_max
            shared = Way(listener.socket, sockaddr, self._is_segmenting)
            way = self._way(listener.socket, sockaddr) if is_own else shared
            client = self.udp_clients[number, sockaddr] = UdpClient((transport, source, number), way, self)
            if way.address is None:
                self._connected += 1
                self.loop.watch(way.socket, client.on_readable)
                self._settle(listener, way.socket)
        return client

    def _settle(self, one: "UdpListener | RelaySocket", sock: socket.socket) -> None:
        """What came between its bind and its connect is read as if it had come to `one`."""
        one.read(sock, STRAYS_MAX)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)

    def _way(self, shared: socket.socket, sockaddr: "Any") -> Way:
        """A socket of its own, connected, at the address of `shared`; else through that one."""
        if self.loop.free() > self.loop.room // 4:
            try:
                sock = bound(socket.SOCK_DGRAM, shared.getsockname(), shared)
                try:
                    sock.setsockopt(*MTU_DISCOVER[sock.family], NEVER)
                    sock.connect(sockaddr)
                    return Way(sock, None, self._is_segmenting)
                except OSError:
                    sock.close()
            except OSError:
                self.counters["unconnected"] += 1
        return Way(shared, sockaddr, self._is_segmenting)

    def run(self, control: "Any", on_report: "Callable[[], None]") -> None:
        """Until stop() of `loop`; see Loop.run."""
        self.control = control
        try:
            self.loop.run(self._due, on_report)
        finally:
            self.close()

    async def run_beside(self, control: "Any") -> None:
        sys.setswitchinterval(SWITCH_S)
        work = asyncio.get_running_loop().run_in_executor(None, self.run, control, lambda: None)
        try:
            await asyncio.shield(work)
        finally:
            if not work.done():
                self.stop()
                await work

    def stop(self) -> None:
        self.loop.stop()

    def call(self, function: "Callable[[], None]") -> None:
        self.loop.call(function)

    def _due(self, now: int) -> float:
        wake_at: int | None = self.control.wake_at
        if wake_at is not None and wake_at <= now:
            self.control.wake(now)
            wake_at = self.control.wake_at
        if self.loop.resting or any(listener.clients for listener in self.tcp):
            if now >= self._sweep_at:
                self._sweep_at = now + SWEEP_MS
                self.loop.rise()
                for listener in self.tcp:
                    listener.sweep(now)
            wake_at = self._sweep_at if wake_at is None else min(wake_at, self._sweep_at)
        return -1 if wake_at is None else (wake_at - now) / 1000

    def close(self) -> None:
        """All sockets."""
        for relay in list(self.relays):
            self.close_relay(relay)
        for accepting in self.tcp:
            for client in list(accepting.clients.values()):
                client.close()
            self.loop.unwatch(accepting.socket)
        if self.streams is not None:
            self.streams.close()
        for listener in self.udp:
            self.loop.unwatch(listener.socket)
        self.loop.close()
