"""The relay's TCP sockets towards peers on CPython (relaying.Streams): listening, dialled, joined to a client.

What flows between two joined ones is in splices.py; who may have what, core/relay/tcp.py says. Bounds: BACKLOG waiting
peers of an address, LOOKUPS_MAX names looked up at a time, ADDRESSES_MAX addresses of one; who moves nothing for
IDLE_MS is closed. Connections: the machine's, and the descriptors of the process.
"""

import select
import socket
import threading
import time

from agent.errors import LimitError, PortError
from agent.port.cpython import clock
from agent.port.cpython.splices import PIPE_BYTES, READ_BYTES, Pipes, Splice
from agent.port.cpython.strangers import bound, plain, written

if False:
    from typing import Any

BACKLOG = 16
PAUSE_MS = 5
SWEEP_MS = 10_000
IDLE_MS = 600_000
LOOKUPS_MAX = 8
ADDRESSES_MAX = 8
CHUNK_BYTES_MIN = 1200


def open(pump: "Any", control: "Any") -> "Streams":
    """`control`: relaying.StreamControl."""
    made = pump.streams = Streams(pump, control)
    return made


def secure(pump: "Any", cert_path: str, key_path: str, tell: "Any") -> str:
    """Clients may come over TLS too, with this certificate; the name in it, "*" without one; `tell(text)`: see
    StreamsModule. PortError("tls"): the pump is closed then."""
    from agent.port.cpython.tls_clients import TlsClients, name_in  # ssl is large

    try:
        pump.tls = TlsClients(cert_path, key_path, tell)
    except PortError:
        pump.close()
        raise
    return name_in(cert_path)


class Streams:
    """`chunk_bytes`: at most so many at once, where a ceiling shapes them. `wake_at`: call `tick` then."""

    def __init__(self, pump: "Any", control: "Any") -> None:
        self.pump = pump
        self.control = control
        self.chunk_bytes = PIPE_BYTES
        self.memory = memoryview(bytearray(READ_BYTES))
        self.wake_at: int | None = None
        self.listeners: dict[int, socket.socket] = {}
        self.peers: dict[int, socket.socket] = {}
        self.joined: dict[int, Splice] = {}
        self.pipes = Pipes(pump.loop)
        self._takes: Any = None
        self._lookups = 0

    def limit(self, up: "Any", down: "Any", rate_bps: int) -> None:
        """take(user, wire_bytes, now) of each direction; a chunk is half of what their bucket holds."""
        self._takes = (up, down)
        self.chunk_bytes = max(CHUNK_BYTES_MIN, min(rate_bps // 640, READ_BYTES))

    def open_relay(self, relay: int, family: int, port: int) -> bool:
        """As of the pump, over TCP."""
        host = self.pump.options.relay_hosts[family == 6]
        if not host or self.pump.loop.free() <= 0:
            return False
        try:
            sock = bound(socket.SOCK_STREAM, (host, port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # for connections of ours from there
            sock.listen(BACKLOG)
        except OSError:
            return False
        self.listeners[relay] = sock
        self.pump.loop.watch(sock, lambda: self._accept(relay))
        return True

    def close_relay(self, relay: int) -> None:
        sock = self.listeners.pop(relay, None)
        if sock is not None:
            self.pump.loop.unwatch(sock)

    def _accept(self, relay: int) -> int:
        found = self.pump.loop.accept(self.listeners[relay])
        if found is None:
            return 0
        sock, address = found
        sock.setblocking(False)
        number = self.control.accepted(relay, plain(address), clock.now_ms()) if self.pump.loop.free() > 0 else 0
        if number:
            self.peers[number] = sock
            self.hold(sock, lambda: 0)
        else:
            sock.close()
        return 1

    def dial(self, relay: int, connection: int, peer: "tuple[bytes, int]") -> bool:
        if self.pump.loop.free() <= 0:
            return False
        try:
            sock = socket.socket(socket.AF_INET if len(peer[0]) == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        except OSError:  # the others of the process have taken them
            return False
        sock.setblocking(False)
        try:
            if relay:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sock.bind(self.listeners[relay].getsockname())
            sock.connect(written(peer))
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            return False
        self.peers[connection] = sock
        self.pump.loop.watch(sock, lambda: self._on_dialled(connection, sock))
        self.pump.loop.epoll.modify(sock, select.EPOLLOUT)
        return True

    def _on_dialled(self, connection: int, sock: socket.socket) -> int:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            sock.getpeername()
        except OSError:
            if not error:  # not yet
                return 0
        self.pump.loop.epoll.unregister(sock)
        (self.control.failed if error else self.control.connected)(connection, clock.now_ms())
        return 1

    def resolve(self, connection: int, host: str) -> None:
        """The addresses of a name, or of itself: control.resolved."""
        if self._lookups >= LOOKUPS_MAX:
            self.control.resolved(connection, [], clock.now_ms())
            return
        self._lookups += 1
        threading.Thread(target=self._look_up, args=(connection, host), daemon=True).start()

    def _look_up(self, connection: int, host: str) -> None:
        """In a thread of its own: the system's resolver waits."""
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            ips = [plain(row[4])[0] for row in found[:ADDRESSES_MAX]]
        except (OSError, UnicodeError):
            ips = []
        while True:
            try:
                self.pump.call(lambda: self._found(connection, ips))
                return
            except LimitError:
                time.sleep(0.1)

    def _found(self, connection: int, ips: list[bytes]) -> None:
        self._lookups -= 1
        self.control.resolved(connection, ips, clock.now_ms())

    def join(self, connection: int, key: "Any", greeting: bytes, user: str, usage: list[int]) -> bool:
        """False: the client has left."""
        client = self.pump._tcp_client(key)
        if client is None:
            return False
        peer = self.peers.pop(connection)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        splice = self.joined[connection] = Splice(self, connection, client.socket, peer)
        splice.shape(self._takes, user, usage)
        client.leave(lambda came, waiting: splice.begin(came, waiting + greeting))
        self.wake_at = self.wake_at or clock.now_ms() + SWEEP_MS
        return True

    def drop(self, connection: int) -> None:
        if connection in self.joined:
            self.joined[connection].abort()
        elif connection in self.peers:
            self.pump.loop.unwatch(self.peers.pop(connection))

    def close(self) -> None:
        for splice in list(self.joined.values()):
            splice.close()
        for sock in [*self.peers.values(), *self.listeners.values()]:
            self.pump.loop.unwatch(sock)
        self.peers, self.listeners = {}, {}

    def hold(self, end: "Any", function: "Any") -> None:
        """Of ours, and not waited for yet."""
        self.pump.loop.watch(end, function)
        self.pump.loop.epoll.unregister(end)

    def pause(self) -> None:
        self.wake_at = clock.now_ms() + PAUSE_MS
        self.control.arm()

    def tick(self, now: int) -> None:
        self.wake_at = None
        for splice in list(self.joined.values()):
            if splice.is_waiting():
                before = splice.up.total + splice.down.total
                splice.step()
                if splice.up.total + splice.down.total > before and splice.number in self.joined:
                    self.joined[splice.number] = self.joined.pop(splice.number)  # of one user, others have their turn
            elif now - splice.moved_at > IDLE_MS:
                splice.end()
        if self.joined and self.wake_at is None:
            self.wake_at = now + SWEEP_MS
