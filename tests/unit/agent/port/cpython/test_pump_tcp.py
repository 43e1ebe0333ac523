"""The sockets of the relay on CPython: clients that come over TCP."""

import socket
import struct

from agent.errors import PortError
from agent.port.cpython import peers, tcp_clients
from agent.wire import stun
from tests.expect import raises
from tests.unit.agent.port.cpython.pumping import CHANNEL, RELAY, Bed, everything, frame

BINDING = stun.encode(stun.BINDING, stun.REQUEST, bytes(12), [])


class TcpBed(Bed):
    def __init__(self) -> None:
        super().__init__(is_tcp=True)

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.pump.tcp[0].socket.getsockname(), 2)
        self.step()
        return client

    def tcp_key(self, client: socket.socket) -> object:
        """The one with the source of `client`."""
        found = [key for key in self.pump.tcp[0].clients if key[1] == self.address(client)]  # type: ignore[index]
        return found[0]

    def channel(self, client: socket.socket) -> socket.socket:
        peer = self.end(self.relay())
        self.pump.open_channel(RELAY, CHANNEL, self.address(peer), self.tcp_key(client), self.usage)  # type: ignore[arg-type]
        return peer


def padded(payload: bytes) -> bytes:
    return frame(payload) + bytes(-len(payload) & 3)


def has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def test_frames_arrive_however_the_stream_is_cut() -> None:
    payloads = [b"a" * size for size in (1, 2, 3, 4, 5, 0, 160, 160, 1200)]
    for cut in (1, 3, 7, 100, 5000):
        with TcpBed() as bed, bed.connect() as client, bed.channel(client) as peer:
            stream = b"".join([padded(data) for data in payloads[:5]]) + BINDING
            stream += b"".join([padded(data) for data in payloads[5:]])
            for at in range(0, len(stream), cut):
                client.sendall(stream[at : at + cut])
                bed.step(1)
            bed.step()
            assert everything(peer) == payloads
            assert [data for data, _ in bed.control.received] == [BINDING]
            assert bed.usage[1:3] == [len(payloads), sum([len(data) for data in payloads])]


def test_frames_to_the_client_are_padded_with_zeros() -> None:
    with TcpBed() as bed, bed.connect() as client, bed.channel(client) as peer:
        peer.send(b"\xff" * 99)
        bed.step()
        assert client.recv(4096) == padded(b"\xff" * 99)
        for size in (5, 5, 5, 8, 0, 3):
            peer.send(bytes([size]) * size)
        bed.step()
        assert client.recv(4096) == b"".join([padded(bytes([size]) * size) for size in (5, 5, 5, 8, 0, 3)])
        assert bed.usage[3] == 7


def test_a_run_longer_than_a_batch() -> None:
    with TcpBed() as bed, bed.connect() as client, bed.channel(client) as peer:
        client.sendall(padded(b"abc") * 100)
        bed.step()
        assert everything(peer) == [b"abc"] * 100


def test_junk_ends_the_connection_and_nothing_else() -> None:
    with TcpBed() as bed, bed.connect() as client, bed.connect() as other:
        key = bed.tcp_key(client)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        bed.step()
        assert has_ended(client) and bed.control.left == [key] and bed.pump.counters["tcp_malformed"] == 1
        other.sendall(BINDING)
        bed.step()
        assert bed.control.received == [(BINDING, bed.tcp_key(other))]


def test_the_end_of_a_connection_takes_its_channels() -> None:
    with TcpBed() as bed:
        before = len(bed.pump.loop._ready)
        client = bed.connect()
        key = bed.tcp_key(client)
        with bed.channel(client) as peer:
            client.close()
            bed.step()
            assert bed.control.left == [key]
            peer.send(b"to nobody")
            bed.step()
            bed.pump.close_relay(RELAY)
        assert len(bed.pump.loop._ready) == before and not bed.pump.tcp[0].clients and not bed.pump.tcp[0].sources
        bed.pump.send(b"answer", key)  # type: ignore[arg-type]
        where = bed.relay()
        bed.pump.open_channel(RELAY, CHANNEL, (b"\x7f\0\0\1", where[1]), key, bed.usage)  # type: ignore[arg-type]
        assert not bed.pump.channels


def test_a_client_that_does_not_read_loses_data_and_then_reads_whole_frames() -> None:
    with TcpBed() as bed, bed.connect() as client, bed.channel(client) as peer:
        payload = bytes(range(250)) * 4
        for _ in range(1500):
            peer.send(payload)
            bed.step(1)
        one = next(iter(bed.pump.tcp[0].clients.values()))
        assert 0 < len(one.waiting) <= tcp_clients.WAITING_BYTES_MAX and bed.pump.counters["lost"] > 100
        for _ in range(10000):
            bed.pump.send(BINDING, one.key)
        assert len(one.waiting) <= tcp_clients.WAITING_BYTES_MAX
        stream = b""
        client.settimeout(0.2)
        try:
            while True:
                stream += client.recv(1 << 20)
                bed.step(1)
        except TimeoutError:
            assert not one.waiting
        frames = answers = 0
        while stream:
            size = stun.frame_length(stream[:4])
            assert stream[:size] in (frame(payload), BINDING)
            frames, answers = frames + (stream[:1] == b"\x40"), answers + (stream[:1] == b"\0")
            stream = stream[size:]
        assert 0 < frames == bed.usage[3] and answers
        peer.send(b"again")
        bed.step()
        assert client.recv(100) == padded(b"again")


def test_who_has_no_allocation_is_closed_after_a_while() -> None:
    with TcpBed() as bed, bed.connect() as idle, bed.connect() as busy:
        bed.control.allocated.add(bed.tcp_key(busy))
        begun = next(iter(bed.pump.tcp[0].clients.values())).idle_since
        for after in (1, tcp_clients.IDLE_MS - 1000):
            bed.pump._due(begun + after)
        assert len(bed.pump.tcp[0].clients) == 2
        assert bed.pump._due(begun + tcp_clients.IDLE_MS * 2) > 0
        assert has_ended(idle) and len(bed.pump.tcp[0].clients) == 1


def test_connections_are_bounded_for_each_source() -> None:
    with TcpBed() as bed:
        kept = [bed.connect() for _ in range(tcp_clients.SOURCE_CONNECTIONS_MAX)]
        with bed.connect() as other:
            assert has_ended(other) and bed.pump.counters["tcp_refused"] == 1
        kept.pop().close()
        bed.step()
        with bed.connect() as other:
            other.sendall(BINDING)
            bed.step()
            assert len(bed.control.received) == 1
        for one in kept:
            one.close()


def test_who_has_a_network_of_ipv6_is_one_source() -> None:
    """A /56, as for what is answered to strangers (core/relay/budget.py)."""
    with TcpBed() as bed:
        listener, ends = bed.pump.tcp[0], []

        class Accepting:
            def __init__(self, hosts: list[str]) -> None:
                self.hosts = hosts

            def accept(self) -> tuple[socket.socket, tuple[str, int]]:
                if not self.hosts:
                    raise BlockingIOError
                ends.append(socket.create_connection(own.getsockname(), 2))
                return own.accept()[0], (self.hosts.pop(0), len(ends))

        own = listener.socket
        hosts = [f"2001:db8::{number:x}:0:0:0:1" for number in range(tcp_clients.SOURCE_CONNECTIONS_MAX)]
        listener.socket = Accepting([*hosts, "2001:db8:0:ff::2", "2001:db8:0:100::1"])  # type: ignore[assignment]
        listener.on_readable()
        listener.on_readable()
        listener.socket = own
        assert len(listener.clients) == len(hosts) + 1 and bed.pump.counters["tcp_refused"] == 1
        for end in ends:
            end.close()
        bed.step(len(ends))
        assert not listener.sources


def test_connections_are_bounded_by_descriptors() -> None:
    with TcpBed() as bed:
        bed.pump.loop.room = len(bed.pump.loop._ready)
        with bed.connect() as client:
            assert has_ended(client)


def test_who_asks_for_a_tunnel_and_is_gone_costs_nothing_but_its_own_connection() -> None:
    with TcpBed() as bed, bed.connect() as client:
        heads: list[bytes] = []

        def refuse(head: bytes, key: object, _: int) -> None:
            heads.append(head)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # by RST
            bed.pump.send(b"HTTP/1.1 407 \r\n\r\n", key)  # type: ignore[arg-type]

        bed.pump.streams = socket.socket()  # anything that can be closed: TCP to peers is enabled
        bed.control.tunnel = refuse  # type: ignore[attr-defined]
        client.sendall(b"CONNECT a:1 HTTP/1.1\r\n\r\n")
        bed.step()
        assert len(heads) == 1 and len(bed.control.left) == 1 and not bed.pump.tcp[0].clients


def test_a_certificate_that_is_none_leaves_nothing_open() -> None:
    bed = TcpBed()
    where = bed.pump.tcp[0].socket.getsockname()
    assert raises(PortError, peers.secure, bed.pump, "/no/cert", "/no/key", print).code == "tls"
    bed.client.close()
    assert bed.pump.loop.epoll.closed
    raises(OSError, socket.create_connection, where, 2)
