"""What the relay carries on MicroPython, socket by socket: channels, UDP clients, unconnected sockets. For
pump.py.

A datagram costs one recv, whose bytes are fresh on the heap (readinto would glue several datagrams together), and one
write out of them, or behind a head in the one buffer of the pump. Not here: STUN, permissions, who may do what.
Bounds: BATCH datagrams at a time from one socket, PAYLOAD_BYTES_MAX of payload; longer ones are dropped.
"""

import errno
import socket

from micropython import const  # type: ignore[import-not-found]

from agent.port import faults
from agent.port.micropython import clock
from agent.port.micropython.streams import V4_MAPPED

if False:
    from typing import Any

    from agent.port import relaying
    from agent.port.micropython.pump import Pump

BATCH = const(16)
PAYLOAD_BYTES_MAX = const(2048)
HEAD_BYTES = const(4)  # ChannelData: number, length
READ_BYTES = const(2096)  # stun.MESSAGE_BYTES_MAX
PENDING = (errno.ECONNREFUSED, errno.EHOSTUNREACH) + faults.NET_UNREACHABLE  # ICMP, of a datagram sent earlier


def plain(sockaddr: bytes) -> tuple[bytes, int]:
    """As the machine has it."""
    parts = socket.sockaddr(sockaddr)  # type: ignore[attr-defined]
    ip = parts[1]
    return (ip[12:] if ip[:12] == V4_MAPPED else ip), parts[2]


class Way:
    """Where datagrams go. `write(data, offset, size)`: None when the socket does not take it now; OSError."""

    def __init__(self, sock: socket.socket, sockaddr: bytes, is_own: bool) -> None:
        self.socket = sock
        self.is_own = is_own  # connected
        self.write: Any = sock.write if is_own else self._write  # type: ignore[attr-defined]
        self.sockaddr = sockaddr

    def _write(self, data: "bytes | bytearray", offset: int, size: int) -> int:
        return self.socket.sendto(memoryview(data)[offset : offset + size], self.sockaddr)

    def put(self, data: "bytes | bytearray", offset: int, size: int) -> bool:
        """Asked twice: the first error may be an old one, and then nothing was sent. `write` sends no empty ones."""
        for _ in range(2):
            try:
                if size:
                    return self.write(data, offset, size) is not None
                self.socket.sendto(b"", self.sockaddr)
                return True
            except OSError as error:
                if error.errno not in PENDING:
                    break
        return False


class Channel:
    """One bound and permitted channel between `client` (UdpClient, TcpClient) and `way`, to the peer. `usage`: the row
    of its user, [-, packets up, bytes up, packets down, bytes down, ...]."""

    def __init__(self, ids: tuple[int, int], client: "Any", way: Way, usage: list[int], pump: "Pump") -> None:
        self.relay, self.number = ids
        self.client = client
        self.way = way
        self.write = way.write
        self.usage = usage
        self._pump = pump

    def up(self, data: bytes, offset: int, size: int) -> None:
        """One payload to the peer."""
        gate = self._pump.gate_up
        if gate is None or gate(self.relay, 1, size):
            self._carry(self.way, data, offset, size, 1)
        else:
            self._pump.counters["ceiling"] += 1

    def down(self, data: bytes) -> None:
        """One payload to the client."""
        pump, gate, size = self._pump, self._pump.gate_down, len(data)
        if size > PAYLOAD_BYTES_MAX:
            pump.counters["too_big"] += 1
        elif gate is None or gate(self.relay, 1, size):
            out, number = pump.out, self.number
            out[0] = number >> 8
            out[1] = number & 0xFF
            out[2] = size >> 8
            out[3] = size & 0xFF
            out[HEAD_BYTES : HEAD_BYTES + size] = data
            self._carry(self.client.way, out, 0, size + HEAD_BYTES, 3)
        else:
            pump.counters["ceiling"] += 1

    def _carry(self, way: Way, data: "bytes | bytearray", offset: int, size: int, column: int) -> None:
        try:
            is_taken = way.write(data, offset, size) is not None if size else way.put(data, offset, size)
        except OSError:
            is_taken = way.put(data, offset, size)
        if is_taken:
            usage = self.usage
            usage[column] += 1
            usage[column + 1] += size if column == 1 else size - HEAD_BYTES
        else:
            self._pump.counters["lost"] += 1

    def on_ready(self, _: int) -> None:
        """The connected socket has datagrams of the peer. What `down` does, with nothing looked up twice."""
        receive, out, length = self.way.socket.recv, self._pump.out, len
        write, is_free = self.client.way.write, self._pump.gate_down is None
        out[0] = self.number >> 8
        out[1] = self.number & 0xFF
        count = total = 0
        last = -1
        for _ in range(BATCH):
            try:
                data = receive(READ_BYTES)
            except OSError:  # no more, or the ICMP error of an earlier send
                break
            size = length(data)
            if size > PAYLOAD_BYTES_MAX or not is_free:
                self.down(data)
                continue
            if size != last:
                last = size
                out[2] = size >> 8
                out[3] = size & 0xFF
            end = size + HEAD_BYTES
            out[HEAD_BYTES:end] = data
            try:
                taken = write(out, 0, end)
            except OSError:
                taken = None
            if taken is None:
                self.down(data)
            else:
                count += 1
                total += size
        self.usage[3] += count
        self.usage[4] += total


class UdpClient:
    """A client on UDP with open channels."""

    def __init__(self, key: "relaying.ClientKey", way: Way, pump: "Pump") -> None:
        self.key = key
        self.way = way
        self.channels: dict[int, Channel] = {}
        self._pump = pump

    def on_ready(self, _: int) -> None:
        """The connected socket has ChannelData or STUN of this client. As `accept`, with nothing looked up twice."""
        receive, channels, length = self.way.socket.recv, self.channels, len
        is_free = self._pump.gate_up is None
        for _ in range(BATCH):
            try:
                data = receive(READ_BYTES)
            except OSError:
                return
            count = length(data)
            channel = channels.get(data[0] << 8 | data[1]) if count > HEAD_BYTES else None
            if channel is not None and is_free:
                size = data[2] << 8 | data[3]
                if 0 < size <= count - 4 <= PAYLOAD_BYTES_MAX:
                    try:
                        taken = channel.write(data, 4, size)
                    except OSError:
                        taken = None
                    if taken is not None:
                        usage = channel.usage
                        usage[1] += 1
                        usage[2] += size
                        continue
            if not self.accept(data):  # what the control made of it may have closed this socket
                return

    def accept(self, data: bytes) -> bool:
        """Whether an open channel took it; if not, it is the control's."""
        if len(data) >= HEAD_BYTES:
            channel = self.channels.get(data[0] << 8 | data[1])
            size = data[2] << 8 | data[3]
            if channel is not None and size + HEAD_BYTES <= len(data) <= PAYLOAD_BYTES_MAX + HEAD_BYTES + 3:
                channel.up(data, HEAD_BYTES, size)
                return True
        self._pump.control.receive(data, self.key, clock.now_ms())
        return False


class Crowd:
    """An unconnected socket, for all who have none of their own. `known`: sockaddr -> function(data);
    `on_stranger(address, data)`."""

    def __init__(self, sock: socket.socket, sockaddr: bytes, on_stranger: "Any") -> None:
        self.socket = sock
        self.sockaddr = sockaddr
        self.known: dict[bytes, Any] = {}
        self._on_stranger = on_stranger

    def on_ready(self, _: int) -> None:
        self.read(self.socket, BATCH)

    def read(self, sock: socket.socket, count: int) -> None:
        for _ in range(count):
            try:
                data, source = sock.recvfrom(READ_BYTES)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EBADF):  # no more, or closed by what came before
                    return
                continue
            known = self.known.get(source)
            if known is not None:
                known(data)
            else:
                self._on_stranger(plain(source), data)
