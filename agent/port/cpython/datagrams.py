"""The fast path of the relay on CPython: what an open channel carries, without a look at the machine.

Sockets are connected (one for each client, one for each channel), so a datagram costs one `recv_into` of a shared slot
and a part of one `sendmsg`: datagrams of equal size leave together by UDP_SEGMENT (Linux >= 4.18; asked once, and
remembered for each way that refuses it). Not here: STUN, permissions, who may do what.
Bounds: BATCH datagrams at a time from one socket, PAYLOAD_BYTES_MAX bytes of payload; longer ones are dropped.
"""

import errno
import socket
import struct

from agent.port.cpython import clock

if False:
    from typing import Any

BATCH = 32
PAYLOAD_BYTES_MAX = 2048
HEAD_BYTES = 4  # ChannelData: number, length
SLOT_BYTES = HEAD_BYTES + PAYLOAD_BYTES_MAX + 4  # so that a longer one is seen to be longer
RUN_BYTES_MAX = 60000  # of one sendmsg; IPv4 ends at 65,507
UDP_SEGMENT = 103
NO_SEGMENTS = (errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EMSGSIZE, errno.EOPNOTSUPP)
PENDING = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)  # ICMP, of a datagram sent earlier

head_of = struct.Struct("!HH").unpack_from
_segment = struct.Struct("=H").pack


class Slots:
    """Memory for one batch, shared by all sockets of a pump: each datagram is gone before the next batch is read.
    `rows`: (index, whole slot, the part after its head)."""

    def __init__(self) -> None:
        pool = memoryview(bytearray(BATCH * SLOT_BYTES))
        whole = [pool[at : at + SLOT_BYTES] for at in range(0, len(pool), SLOT_BYTES)]
        self.rows = [(at, slot, slot[HEAD_BYTES:]) for at, slot in enumerate(whole)]


def has_segments(sock: socket.socket) -> bool:
    """An older kernel does not refuse the ancillary data: it would send the run as one datagram."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


class Way:
    """Where datagrams go: `address` is None on a connected socket."""

    __slots__ = ("address", "has_segments", "socket")

    def __init__(self, sock: socket.socket, address: "Any", is_segmenting: bool) -> None:
        self.socket = sock
        self.address = address
        self.has_segments = is_segmenting

    def send(self, run: "list[memoryview]", size: int) -> int:
        """Datagrams of `size` bytes each; how many the kernel took. Never waits: what does not fit is lost, as UDP."""
        count = len(run)
        if count < 2 or not size or not self.has_segments:
            return self._send_each(run)
        if count * size > RUN_BYTES_MAX:
            return self.send(run[: count // 2], size) + self.send(run[count // 2 :], size)
        segments = [(socket.IPPROTO_UDP, UDP_SEGMENT, _segment(size))]
        try:
            self.socket.sendmsg(run, segments, 0, self.address)
            return count
        except OSError as error:
            if error.errno in PENDING:
                return self._send_each(run)
            if error.errno in NO_SEGMENTS:  # larger than the path takes, or a driver without checksums
                self.has_segments = False
                return self._send_each(run)
        return 0

    def _send_each(self, run: "list[memoryview]") -> int:
        count = 0
        for data in run:
            count += self.send_one(data)
        return count

    def send_one(self, data: "bytes | memoryview") -> int:
        for _ in range(2):  # the first error may be an old one, and then nothing was sent
            try:
                if self.address is None:
                    self.socket.send(data)
                else:
                    self.socket.sendto(data, self.address)
                return 1
            except OSError as error:
                if error.errno not in PENDING:
                    return 0
        return 0


class Channel:
    """One bound and permitted channel. `client`: takes frames (UdpClient or a TCP one). `way`: to the peer.
    `usage`: the row of its user, [-, packets up, bytes up, packets down, bytes down, ...]."""

    __slots__ = ("client", "head", "number", "pump", "relay", "usage", "way")

    def __init__(self, relay: int, number: int, client: "Any", way: Way, pump: "Any") -> None:
        self.relay = relay
        self.number = number
        self.head = (number >> 8, number & 0xFF)
        self.client = client
        self.way = way
        self.pump = pump
        self.usage = [0, 0, 0, 0, 0]

    def up(self, run: "list[memoryview]", size: int) -> None:
        """Payloads to the peer."""
        gate = self.pump.gate_up
        if gate is not None:
            run = self.limited(gate, run, size)
        count = self.way.send(run, size)
        if count != len(run):
            self.pump.counters["lost"] += len(run) - count
        usage = self.usage
        usage[1] += count
        usage[2] += count * size

    def down(self, run: "list[memoryview]", size: int) -> None:
        """Frames (head and payload of `size` bytes) to the client."""
        gate = self.pump.gate_down
        if gate is not None:
            run = self.limited(gate, run, size)
        count = self.client.take(run, size)
        if count != len(run):
            self.pump.counters["lost"] += len(run) - count
        usage = self.usage
        usage[3] += count
        usage[4] += count * size

    def limited(self, gate: "Any", run: "list[memoryview]", size: int) -> "list[memoryview]":
        """What the ceiling lets pass."""
        count = gate(self.relay, len(run), size)
        self.pump.counters["ceiling"] += len(run) - count
        return run[:count]

    def on_readable(self) -> int:
        """The connected socket has datagrams of the peer; how many came."""
        receive = self.way.socket.recv_into
        high, low = self.head
        run: list[memoryview] = []
        size = -1
        at: int
        for at, slot, body in self.pump.slots.rows:  # noqa: B007 (`at` is how many came)
            try:
                came = receive(body)
            except OSError:  # no more, or the ICMP error of an earlier send
                break
            if came != size:
                if run:
                    self.down(run, size)
                    run = []
                size = came
                if came > PAYLOAD_BYTES_MAX:
                    self.pump.counters["too_big"] += 1
                    size = -1
                    continue
            slot[0] = high
            slot[1] = low
            slot[2] = came >> 8
            slot[3] = came & 0xFF
            run.append(slot[: came + HEAD_BYTES])
        else:
            at = BATCH
        if run:
            self.down(run, size)
        return at

    def deliver(self, slot: memoryview, came: int) -> None:
        """One payload that another socket received, behind the head of its slot."""
        slot[0], slot[1] = self.head
        slot[2] = came >> 8
        slot[3] = came & 0xFF
        self.down([slot[: came + HEAD_BYTES]], came)


class UdpClient:
    """A client on UDP with open channels. `way` is connected to it, or goes through the listener."""

    __slots__ = ("channels", "key", "pump", "way")

    def __init__(self, key: "Any", way: Way, pump: "Any") -> None:
        self.key = key
        self.way = way
        self.pump = pump
        self.channels: dict[int, Channel] = {}

    def take(self, run: "list[memoryview]", size: int) -> int:
        return self.way.send(run, size + HEAD_BYTES)

    def send(self, data: bytes) -> int:
        return self.way.send_one(data)

    def on_readable(self) -> int:
        """The connected socket has ChannelData or STUN of this client; how many datagrams came."""
        receive = self.way.socket.recv_into
        run: list[memoryview] = []
        channel: Any = None
        head, total, size = (0, 0), -1, 0
        at: int
        for at, slot, _ in self.pump.slots.rows:  # noqa: B007
            try:
                came = receive(slot)
            except OSError:
                break
            if came != total or head_of(slot) != head:
                if run:
                    channel.up(run, size)
                    run = []
                total = came
                head = head_of(slot)
                channel, size = self.channels.get(head[0]), head[1]
                if channel is None or size + HEAD_BYTES > came or size > PAYLOAD_BYTES_MAX:
                    self.pump.control.receive(bytes(slot[:came]), self.key, clock.now_ms())
                    total = -1
                    continue
            run.append(slot[HEAD_BYTES : size + HEAD_BYTES])
        else:
            at = BATCH
        if run:
            channel.up(run, size)
        return at

    def accept(self, slot: memoryview, came: int) -> bool:
        """One datagram that the listener received; False when no open channel takes it."""
        number, size = head_of(slot)
        channel = self.channels.get(number)
        if channel is None or size + HEAD_BYTES > came or size > PAYLOAD_BYTES_MAX:
            return False
        channel.up([slot[HEAD_BYTES : size + HEAD_BYTES]], size)
        return True
