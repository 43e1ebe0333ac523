"""What flows between a client and a peer: through memory first, through a pipe when it is much, and what is left."""

import contextlib
import errno
import fcntl
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from agent.errors import PortError, UsageError
from agent.port.cpython import peers, splices, tls_clients
from agent.port.cpython.loop import Loop
from agent.service import relay_streams
from tests.expect import raises


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """None: it is absent."""
    kept = getattr(owner, name)
    delattr(owner, name) if value is None else setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


class Control:
    def __init__(self) -> None:
        self.over: list[int] = []

    def ended(self, connection: int, now: int) -> None:
        self.over.append(connection)

    def arm(self) -> None:
        """`wake_at` is looked at by the test."""


class Bed:
    """`streams` with one splice: what goes into `client` comes out of `peer`, and back."""

    def __init__(self, takes: Any = None, came: bytes = b"") -> None:
        self.loop = Loop()
        self.control = Control()
        self.streams = peers.Streams(self, self.control)
        self.client, inside = socket.socketpair()
        self.peer, outside = socket.socketpair()
        for end in (inside, outside, self.client, self.peer):
            end.setblocking(False)
        self.usage = [0] * 6
        self.splice = self.streams.joined[1] = splices.Splice(self.streams, 1, inside, outside)
        self.splice.shape(takes, "ann", self.usage)
        self.streams.chunk_bytes = 1200 if came else self.streams.chunk_bytes
        self.splice.begin(came, b"")

    def __enter__(self) -> "Bed":
        return self

    def __exit__(self, *_: object) -> None:
        self.streams.close()
        for end in (self.client, self.peer):
            end.close()
        self.loop.close()

    def step(self) -> None:
        for descriptor, _ in self.loop.epoll.poll(0.01):
            if descriptor in self.loop._ready:
                self.loop._ready[descriptor]()

    def carry(self, total: int, piece: int = 100_000) -> int:
        """How many of `total` bytes came, pushed and pulled to the end."""
        sent = came = 0
        for _ in range(100 + total // 1000):
            try:
                sent += self.client.send(bytes(min(piece, total - sent))) if sent < total else 0
            except BlockingIOError:
                pass
            self.step()
            try:
                came += len(self.peer.recv(1 << 20))
            except BlockingIOError:
                pass
            if came == total:
                break
        return came


def test_little_takes_no_pipe_and_much_does() -> None:
    with Bed() as bed:
        assert bed.carry(splices.LAZY_BYTES - 1000, 10_000) == splices.LAZY_BYTES - 1000
        assert bed.splice.up.pipe is None and bed.streams.pipes._live == 0
        assert bed.carry(2_000_000) == 2_000_000
        assert bed.splice.up.pipe is not None and bed.splice.down.pipe is None
        assert bed.loop.free() == bed.loop.room - len(bed.loop._ready) - 2
        assert bed.usage[2] == splices.LAZY_BYTES - 1000 + 2_000_000 and bed.usage[4] == 0
    assert bed.streams.pipes._live == 0 and bed.loop.taken == 0


def test_without_a_pipe_it_goes_on() -> None:
    """No splice, no room, no descriptors; and a pipe that may not be larger is one all the same."""

    def no_descriptors(*_: object) -> None:
        raise OSError(errno.EMFILE, "no descriptors")

    def no_right(*_: object) -> None:
        raise PermissionError

    for owner, name, value in (
        (os, "splice", None),
        (splices, "PIPES_MAX", 0),
        (Loop, "free", lambda loop: loop.room // 2),
        (os, "pipe2", no_descriptors),
        (fcntl, "fcntl", no_right),
    ):
        with Bed() as bed, replaced(owner, name, value):
            assert bed.carry(1_000_000) == 1_000_000, name
            assert (bed.splice.up.pipe is not None) == (name == "fcntl"), name


def test_what_is_not_taken_waits_and_stops_its_source() -> None:
    with Bed() as bed:
        sent = 0
        for _ in range(200):
            try:
                sent += bed.client.send(bytes(100_000))
            except BlockingIOError:
                pass
            bed.step()
        assert sent < 4_000_000 and bed.splice.up.held > 0  # it could not be more
        got = 0
        for _ in range(400):
            try:
                got += len(bed.peer.recv(1 << 20))
            except BlockingIOError:
                bed.step()
        assert got == sent and bed.splice.up.held == 0


def test_the_ceiling_is_asked_before_and_waited_for() -> None:
    is_open: list[bool] = []
    with Bed((lambda user, count, now: bool(is_open), lambda user, count, now: True)) as bed:
        bed.client.send(b"slow")
        bed.step()
        assert bed.splice.is_waiting() and bed.streams.wake_at is not None and bed.usage[2] == 0
        raises(BlockingIOError, bed.peer.recv, 10)
        is_open.append(True)
        bed.streams.tick(bed.streams.wake_at)
        assert bed.peer.recv(10) == b"slow" and not bed.splice.is_waiting()


def test_streams_of_one_user_take_turns() -> None:
    budget = [0]

    def take(user: str, count: int, now: int) -> bool:
        budget[0] -= 1
        return budget[0] >= 0

    with Bed((take, take)) as bed:
        client, inside = socket.socketpair()
        peer, outside = socket.socketpair()
        with client, peer:
            for end in (inside, outside):
                end.setblocking(False)
            other = bed.streams.joined[2] = splices.Splice(bed.streams, 2, inside, outside)
            other.shape((take, take), "ann", bed.usage)
            other.begin(b"", b"")
            bed.streams.chunk_bytes = 1000
            for end in (bed.client, client):
                end.send(bytes(20_000))
            for _ in range(10):
                bed.step()
                budget[0] = 1
                bed.streams.tick(0)
            assert bed.splice.up.total == other.up.total == 5000


def test_who_is_still_is_closed() -> None:
    with Bed() as bed:
        now = bed.splice.moved_at
        bed.streams.tick(now + peers.IDLE_MS)
        assert bed.control.over == [] and bed.streams.wake_at == now + peers.IDLE_MS + peers.SWEEP_MS
        bed.streams.tick(now + peers.IDLE_MS + 1)
        assert bed.control.over == [1] and not bed.streams.joined and bed.peer.recv(1) == b""


def test_a_half_closed_one_does_not_keep_the_loop_awake() -> None:
    with Bed() as bed:
        bed.client.shutdown(socket.SHUT_WR)
        for _ in range(3):
            bed.step()
        assert bed.peer.recv(1) == b"" and bed.loop.epoll.poll(0) == []
        bed.peer.send(b"answer")
        bed.step()
        assert bed.client.recv(10) == b"answer"
        bed.peer.close()
        bed.step()
        assert bed.client.recv(1) == b"" and bed.control.over == [1] and not bed.streams.joined


def test_tls_is_1_2_or_newer() -> None:
    """Whatever the system's OpenSSL would allow."""
    assert raises(PortError, tls_clients.TlsClients, "/no/cert", "/no/key", print).code == "tls"
    with replaced(ssl.SSLContext, "load_cert_chain", lambda *_: None):
        assert tls_clients.TlsClients("cert", "key", print)._context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_ports_as_they_are_written() -> None:
    assert relay_streams.listed("443, 8000-8100") == [(443, 443), (8000, 8100)]
    for text in ("", "x", "0", "65536", "9-8", "1-", "-1", "443,", "1-2-3", "+4"):
        assert raises(UsageError, relay_streams.listed, text).code == "usage", text
    assert raises(UsageError, relay_streams.listed, ",".join(["1"] * 17)).code == "usage"


def test_without_descriptors_nothing_is_dialled_and_nothing_ends() -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many")

    with Bed() as bed, replaced(peers.socket, "socket", none):
        assert not bed.streams.dial(0, 2, (b"\x7f\0\0\1", 9)) and 2 not in bed.streams.peers


def test_a_relayed_address_rests_while_there_are_no_descriptors() -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many")

    came: list[int] = []
    listening = socket.create_server(("127.0.0.1", 0))
    with Bed() as bed:
        bed.control.accepted = lambda relay, *_: came.append(relay)  # type: ignore[attr-defined]
        bed.streams.listeners[7] = listening
        bed.loop.watch(listening, lambda: bed.streams._accept(7))
        with socket.create_connection(listening.getsockname()):
            with replaced(socket.socket, "accept", none):
                bed.step()
            assert bed.loop.epoll.poll(0) == [] and not came
            bed.loop.rise()
            bed.step()
            assert came == [7] and not bed.loop.resting


def test_what_tls_has_to_say_to_who_does_not_read_is_bounded() -> None:
    """A client may ask for new keys (RFC 8446 section 4.6.3), each answered, and read nothing."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs, replaced(ssl.SSLContext, "load_cert_chain", lambda *_: None):
        one = tls_clients.TlsClients("cert", "key", print).accepted(ours, b"")
        one._rest = bytes(tls_clients.REST_BYTES_MAX)
        assert not one._flush() and len(one._rest) < tls_clients.REST_BYTES_MAX  # the kernel has some of it
        one._rest += bytes(tls_clients.REST_BYTES_MAX)
        assert raises(OSError, one._flush).errno == errno.ENOBUFS


def test_what_came_with_the_request_is_paid_for_too_piece_by_piece() -> None:
    asked: list[int] = []

    def take(_: str, count: int, __: int) -> bool:
        asked.append(count)
        return len(asked) != 3  # the ceiling is met once

    with Bed((take, lambda *_: True), bytes(3000)) as bed:
        assert [count // 100 for count in asked] == [12, 12, 6] and bed.splice.is_waiting() and bed.streams.wake_at
        assert raises(BlockingIOError, bed.peer.recv, 1)
        bed.streams.tick(0)
        assert len(bed.peer.recv(4000)) == 3000 and not bed.splice.is_waiting()
