"""Clients of the relay that come over TCP (RFC 8656 section 3.1): STUN and ChannelData, padded to 4, one after another.

Not here: TCP towards peers (RFC 6062). Bounds: CONNECTIONS_MAX in all, of one address SOURCE_CONNECTIONS_MAX; who has
no allocation is closed after IDLE_MS; a client that reads slowly loses data: at most one batch waits for it.
"""

import select
import socket

from agent.errors import PeerError
from agent.port.cpython import clock
from agent.port.cpython.datagrams import BATCH, HEAD_BYTES, Channel, head_of
from agent.port.cpython.strangers import plain
from agent.wire import stun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONNECTIONS_MAX = 512
SOURCE_CONNECTIONS_MAX = 32
IDLE_MS = 30000
READ_BYTES = 65536
TYPICAL_BYTES = 1200  # of a frame, to guess how many came
WAITING_BYTES_MAX = 131072  # a batch, and answers behind it
SEND_BUFFER_BYTES = 131072  # the kernel's; it doubles this


class TcpListener:
    def __init__(self, sock: socket.socket, pump: "Any") -> None:
        self.socket = sock
        self.pump = pump
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.clients: dict[Any, TcpClient] = {}
        self.sources: dict[str, int] = {}

    def on_readable(self) -> int:
        for at in range(BATCH):
            try:
                sock, address = self.socket.accept()
            except OSError:  # no more, or it has left already
                return at
            sock.setblocking(False)
            if self.is_full(address[0]):
                self.pump.counters["tcp_refused"] += 1
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self.sources[address[0]] = self.sources.get(address[0], 0) + 1
            client = TcpClient(sock, address, self)
            self.clients[client.key] = client
            self.pump.loop.watch(sock, client.on_ready)
        return BATCH

    def is_full(self, host: str) -> bool:
        return (
            len(self.clients) >= CONNECTIONS_MAX
            or self.sources.get(host, 0) >= SOURCE_CONNECTIONS_MAX
            or self.pump.loop.free() <= 0
        )

    def next_number(self) -> int:
        """Of a connection, among all listeners."""
        self.pump.connections += 1
        return int(self.pump.connections)

    def forget(self, client: "TcpClient") -> None:
        del self.clients[client.key]
        host = client.host
        self.sources[host] -= 1
        if not self.sources[host]:
            del self.sources[host]

    def sweep(self, now: int) -> None:
        for client in list(self.clients.values()):
            if self.pump.control.has_allocation(client.key):
                client.idle_since = now
            elif now - client.idle_since > IDLE_MS:
                client.close()


class TcpClient:
    """`key`: the Client of the machine; its listener is the number of the connection. `waiting`: what the socket did
    not take yet; while there is some, data for the client is dropped."""

    __slots__ = ("channels", "host", "idle_since", "key", "listener", "pump", "rest", "socket", "waiting")

    def __init__(self, sock: socket.socket, address: "Any", listener: TcpListener) -> None:
        self.socket = sock
        self.host = address[0]
        self.listener = listener
        self.pump = listener.pump
        self.key = (6, plain(address), listener.next_number())
        self.idle_since = clock.now_ms()
        self.channels: dict[int, Channel] = {}
        self.rest = b""
        self.waiting = b""

    def close(self) -> None:
        if self.socket.fileno() >= 0:
            self.pump.loop.unwatch(self.socket)
            self.listener.forget(self)
            self.pump.control.client_gone(self.key, clock.now_ms())

    def on_ready(self) -> int:
        if self.waiting:
            self._write(b"")
        buffer, kept = self.listener.buffer, len(self.rest)
        buffer[:kept] = self.rest
        try:
            came = self.socket.recv_into(buffer[kept:])
        except BlockingIOError:
            return 0
        except OSError:
            came = 0
        if not came:
            self.close()
            return 0
        try:
            self.rest = bytes(buffer[self._split(buffer[: kept + came]) : kept + came])
        except PeerError:
            self.pump.counters["tcp_malformed"] += 1
            self.close()
        return came // TYPICAL_BYTES + 1

    def _split(self, data: memoryview) -> int:
        """Carry out all whole frames; where the rest begins. PeerError("stun")."""
        at = 0
        run: list[memoryview] = []
        last: Channel | None = None
        last_size = -1
        while len(data) - at >= HEAD_BYTES:
            number, size = head_of(data, at)
            end = at + stun.frame_length(data[at : at + HEAD_BYTES])
            if end > len(data):
                break
            channel = self.channels.get(number)
            if last is not None and (channel is not last or size != last_size or len(run) == BATCH):
                last.up(run, last_size)
                run = []
            last, last_size = channel, size
            if channel is None:
                self.pump.control.receive(bytes(data[at:end]), self.key, clock.now_ms())
            else:
                run.append(data[at + HEAD_BYTES : at + HEAD_BYTES + size])
            at = end
        if last is not None:
            last.up(run, last_size)
        return at

    def take(self, run: "list[memoryview]", size: int) -> int:
        """Frames of equal size, without their padding."""
        if self.waiting:
            return 0
        padding = bytes(-size & 3)
        data = padding.join(run) + padding
        return len(run) if self._write(data) else 0

    def send(self, data: bytes) -> int:
        """An answer: it waits its turn."""
        if len(self.waiting) + len(data) > WAITING_BYTES_MAX:
            return 0
        return 1 if self._write(data) or self._keep(data) else 0

    def _keep(self, data: bytes) -> bool:
        if self.socket.fileno() < 0:
            return False
        self._wait(self.waiting + data)
        return True

    def _write(self, data: bytes) -> bool:
        """Whether `data` is on its way; when the socket takes a part of it, the rest waits."""
        before = len(self.waiting)
        try:
            sent = self.socket.send(self.waiting or data)
        except BlockingIOError:
            return False
        except OSError:
            self.waiting = b""
            return False  # its end is read soon
        if before:
            self._wait(self.waiting[sent:])
            return False
        if sent < len(data):
            self._wait(data[sent:])
        return True

    def _wait(self, data: bytes) -> None:
        if bool(data) != bool(self.waiting):
            wanted = select.EPOLLIN | select.EPOLLOUT if data else select.EPOLLIN
            self.pump.loop.epoll.modify(self.socket, wanted)
        self.waiting = data
