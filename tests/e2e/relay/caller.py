"""A TURN client that may misbehave, over UDP and TCP, and the echoing peer that it calls.

It is the bench's client (tests/bench/relay/turn.py, which shares no code with the relay) with a word for each wrong.
"""

import os
import socket
import struct

from tests.bench.relay.turn import (
    BIND,
    CHANNEL_NUMBER,
    LIFETIME,
    NONCE,
    PEER_ADDRESS,
    PERMIT,
    REALM,
    REFRESH,
    SUCCESS,
    TRIES,
    USERNAME,
    Account,
    Address,
    Attributes,
    Client,
    pack,
    plain,
    unpack,
    xored,
)
from tests.e2e.relay import servers

ACCOUNT = Account(servers.USER, servers.PASSWORD, servers.REALM)
SEND, DATA_INDICATION = 0x0016, 0x0017
DATA, ERROR_CODE = 0x013, 0x009
QUIET_S = 0.2


class Stream:
    """A TCP connection that gives one frame for each recv, as a UDP socket does."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.send = sock.sendall
        self.close = sock.close
        self.settimeout = sock.settimeout
        self.getsockname = sock.getsockname

    def recv(self, _: int) -> bytes:
        head = self._exactly(4)
        number, length = struct.unpack("!HH", head)
        if number < 0x4000:
            return head + self._exactly(length + 16)
        return (head + self._exactly(length + -length % 4))[: 4 + length]

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the relay closed the connection")
            data += piece
        return data


class Caller(Client):
    """`source`: the host to come from."""

    def __init__(self, server: Address, account: Account = ACCOUNT, source: str = "", is_tcp: bool = False) -> None:
        kind = socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM
        sock = socket.socket(socket.AF_INET, kind)
        sock.bind((source, 0))
        sock.settimeout(3)
        sock.connect(server)
        self.socket = Stream(sock) if is_tcp else sock  # type: ignore[assignment]
        self.account = account
        self.relayed = ("", 0)
        self._nonce = b""

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def learn(self) -> "Caller":
        """A nonce."""
        self.code(REFRESH, [])
        return self

    def code(self, method: int, attributes: Attributes) -> int:
        """0, or with what number the relay refuses; a new nonce is taken up."""
        number = 401
        for _ in range(TRIES):
            kind, found = self._exchange(method, attributes)
            if kind == method | SUCCESS:
                return 0
            number = found[ERROR_CODE][2] * 100 + found[ERROR_CODE][3]
            if number not in (401, 438) or found.get(NONCE, self._nonce) == self._nonce:
                return number
            self._nonce = found[NONCE]
        return number

    def request(self, method: int, attributes: Attributes, nonce: bytes = b"") -> bytes:
        """One whole request with a proof, not sent."""
        user, realm = self.account.user.encode(), self.account.realm.encode()
        proof = [(USERNAME, user), (REALM, realm), (NONCE, nonce or self._nonce)]
        return pack(method, os.urandom(12), [*attributes, *proof], self.account.key())

    def put(self, data: bytes) -> int:
        """Send bytes as they are; 0, or the number of the refusal that came."""
        self.socket.send(data)
        kind, _, found = unpack(self.socket.recv(2048))
        return found[ERROR_CODE][2] * 100 + found[ERROR_CODE][3] if kind & SUCCESS and ERROR_CODE in found else 0

    def permit(self, host: str) -> int:
        return self.code(PERMIT, [(PEER_ADDRESS, xored((host, 0)))])

    def channel(self, number: int, peer: Address) -> int:
        return self.code(BIND, [(CHANNEL_NUMBER, struct.pack("!HH", number, 0)), (PEER_ADDRESS, xored(peer))])

    def refresh(self, seconds: int) -> int:
        return self.code(REFRESH, [(LIFETIME, struct.pack("!I", seconds))])

    def indicate(self, peer: Address, data: bytes) -> None:
        self.socket.send(pack(SEND, os.urandom(12), [(PEER_ADDRESS, xored(peer)), (DATA, data)]))

    def frame(self, number: int, data: bytes) -> None:
        """ChannelData."""
        is_stream = isinstance(self.socket, Stream)
        self.socket.send(struct.pack("!HH", number, len(data)) + data + bytes(-len(data) % 4 if is_stream else 0))

    def came(self, seconds: float = QUIET_S) -> bytes:
        """What comes next, whatever it is; b"" when nothing does."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096)
        except TimeoutError:
            return b""
        finally:
            self.socket.settimeout(3)


class Peer:
    """Somebody whom clients call."""

    def __init__(self, host: str = servers.HOST) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.address: Address = self.socket.getsockname()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def came(self, seconds: float = QUIET_S) -> tuple[bytes, Address]:
        self.socket.settimeout(seconds)
        try:
            data, address = self.socket.recvfrom(4096)
        except TimeoutError:
            return b"", ("", 0)
        return data, address

    def send(self, data: bytes, to: Address) -> None:
        self.socket.sendto(data, to)


def indicated(data: bytes) -> tuple[Address, bytes]:
    """(peer, payload) of a Data indication."""
    kind, _, found = unpack(data)
    assert kind == DATA_INDICATION, data
    return plain(found[PEER_ADDRESS]), found[DATA]
