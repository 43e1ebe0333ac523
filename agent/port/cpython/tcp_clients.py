"""Clients of the relay that come over TCP (RFC 8656 section 3.1): STUN and ChannelData, padded to 4, one after another.

A first byte of TLS makes it one over TLS (tls_clients.py), a first word CONNECT a stream that splices.py joins to a
peer, as ConnectionBind does too; both where the owner has enabled them. Bounds: CONNECTIONS_MAX in all, of one source
SOURCE_CONNECTIONS_MAX; who has no allocation is closed after IDLE_MS, in a handshake too; a client that reads slowly
loses data: at most one batch waits for it.
"""

import select
import socket

from agent.errors import PeerError
from agent.port.cpython import clock
from agent.port.cpython.datagrams import BATCH, HEAD_BYTES, Channel, head_of
from agent.port.cpython.strangers import plain
from agent.wire import stun

if False:
    from typing import Any

CONNECTIONS_MAX = 512
SOURCE_CONNECTIONS_MAX = 32
SOURCE_BYTES = 7  # an address of IPv4, a /56 of IPv6: who has one has all of it
IDLE_MS = 30000
READ_BYTES = 65536
HANDSHAKE = 0x16  # ContentType of TLS, RFC 8446 section 5.1
CONNECT = b"CONNECT "
CONNECT_BYTES_MAX = 4096
TYPICAL_BYTES = 1200  # of a frame, to guess how many came
WAITING_BYTES_MAX = 131072  # a batch, and answers behind it
# What waits in the kernel before it is sent, and gets stale. Not SO_SNDBUF: that would slow the streams down for ever.
NOT_SENT = 25  # TCP_NOTSENT_LOWAT
SEND_BUFFER_BYTES = 131072


class TcpListener:
    def __init__(self, sock: socket.socket, pump: "Any") -> None:
        self.socket = sock
        self.pump = pump
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.clients: dict[Any, TcpClient] = {}
        self.sources: dict[bytes, int] = {}

    def on_readable(self) -> int:
        for at in range(BATCH):
            found = self.pump.loop.accept(self.socket)
            if found is None:
                return at
            sock, address = found
            sock.setblocking(False)
            source = plain(address)[0][:SOURCE_BYTES]
            if self.is_full(source):
                self.pump.counters["tcp_refused"] += 1
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, NOT_SENT, SEND_BUFFER_BYTES)
            self.sources[source] = self.sources.get(source, 0) + 1
            client = TcpClient(sock, address, self)
            self.clients[client.key] = client
            self.pump.loop.watch(sock, client.on_ready)
        return BATCH

    def is_full(self, source: bytes) -> bool:
        return (
            len(self.clients) >= CONNECTIONS_MAX
            or self.sources.get(source, 0) >= SOURCE_CONNECTIONS_MAX
            or self.pump.loop.free() <= 0
        )

    def next_number(self) -> int:
        """Of a connection, among all listeners."""
        self.pump.connections += 1
        return int(self.pump.connections)

    def forget(self, client: "TcpClient") -> None:
        del self.clients[client.key]
        source = client.key[1][0][:SOURCE_BYTES]
        self.sources[source] -= 1
        if not self.sources[source]:
            del self.sources[source]

    def sweep(self, now: int) -> None:
        for client in list(self.clients.values()):
            if self.pump.control.has_allocation(client.key):
                client.idle_since = now
            elif now - client.idle_since > IDLE_MS:
                client.close()


class TcpClient:
    """`key`: the Client of the machine; its listener is the number of the connection. `waiting`: what the socket did
    not take yet; while there is some, data for the client is dropped."""

    __slots__ = (
        "channels", "idle_since", "is_new", "is_tunnel", "key", "listener", "on_left", "pump", "rest", "socket",
        "waiting",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: "Any", listener: TcpListener) -> None:
        self.socket = sock
        self.listener = listener
        self.pump = listener.pump
        self.key = (6, plain(address), listener.next_number())
        self.idle_since = clock.now_ms()
        self.channels: dict[int, Channel] = {}
        self.rest = b""
        self.waiting = b""
        self.is_new = True  # nothing of it was understood
        self.is_tunnel = False
        self.on_left: Any = None

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
            data = buffer[: kept + came]
            if not self.is_new or not self._is_other(data):
                self.rest = bytes(data[self._split(data) :])
        except PeerError:
            self.pump.counters["tcp_malformed"] += 1
            self.close()
        if self.on_left is not None:
            on_left, self.on_left = self.on_left, None
            on_left(self.rest, self.waiting)
        return came // TYPICAL_BYTES + 1

    def _is_other(self, data: memoryview) -> bool:
        """Whether the first bytes are no STUN: then they are taken care of. PeerError("stun")."""
        tls, streams = self.pump.tls, self.pump.streams
        if tls is not None and data[0] == HANDSHAKE and isinstance(self.socket, socket.socket):
            if not tls.has_room():
                raise PeerError("stun", "There are too many clients over TLS.")
            self.socket = tls.accepted(self.socket, bytes(data))
            self.rest = b""
            self.on_ready()
            return True
        self.is_new = streams is not None and CONNECT.startswith(bytes(data[: len(CONNECT)]))
        if not self.is_new:
            return False
        head, end, self.rest = bytes(data).partition(b"\r\n\r\n")
        if not end:
            self.rest = head
            if len(head) > CONNECT_BYTES_MAX:
                raise PeerError("stun", "A CONNECT with a short head was expected.")
            return True
        self.is_new, self.is_tunnel = False, True
        self.pump.loop.epoll.unregister(self.socket)  # what follows is for the peer
        self.pump.control.tunnel(head + end, self.key, clock.now_ms())
        return True

    def leave(self, on_left: "Any") -> None:
        """It is a stream from now on: on_left(what came of it, what waits for the client)."""
        self.socket.setsockopt(socket.IPPROTO_TCP, NOT_SENT, 0)
        if not self.is_tunnel:
            self.pump.loop.epoll.unregister(self.socket)
        del self.pump.loop._ready[self.socket.fileno()]
        self.listener.forget(self)
        if self.is_tunnel:
            on_left(self.rest, self.waiting)
        else:  # its frames are being read
            self.on_left = on_left

    def _split(self, data: memoryview) -> int:
        """Carry out all whole frames; where the rest begins. PeerError("stun")."""
        at = 0
        run: list[memoryview] = []
        last: Channel | None = None
        last_size = -1
        while len(data) - at >= HEAD_BYTES and self.on_left is None:
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
        count = 1 if self._write(data) or self._keep(data) else 0
        if self.is_tunnel:  # a refusal
            self.close()
        return count

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
        if bool(data) != bool(self.waiting) and not self.is_tunnel:  # which is in no epoll
            wanted = select.EPOLLIN | select.EPOLLOUT if data else select.EPOLLIN
            self.pump.loop.epoll.modify(self.socket, wanted)
        self.waiting = data
