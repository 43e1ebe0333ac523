"""A TURN client of the bench's own (RFC 8489, 8656), so that no code of ours measures itself: allocate, permit, bind.

Not a client for anybody: one thread, blocking, long-term credentials, IPv4 over UDP.
"""

import hashlib
import hmac
import os
import socket
import struct
from typing import NamedTuple

COOKIE = 0x2112A442
ALLOCATE, REFRESH, PERMIT, BIND = 0x003, 0x004, 0x008, 0x009
USERNAME, INTEGRITY, CHANNEL_NUMBER, LIFETIME = 0x006, 0x008, 0x00C, 0x00D
PEER_ADDRESS, REALM, NONCE, RELAYED_ADDRESS, TRANSPORT = 0x012, 0x014, 0x015, 0x016, 0x019
SUCCESS, ERROR = 0x0100, 0x0110
UDP = b"\x11\0\0\0"
TRIES, TIMEOUT_S = 5, 1.0

Address = tuple[str, int]
Attributes = list[tuple[int, bytes]]


class Account(NamedTuple):
    user: str
    password: str
    realm: str

    def key(self) -> bytes:
        return hashlib.md5(f"{self.user}:{self.realm}:{self.password}".encode(), usedforsecurity=False).digest()


class TurnError(Exception):
    """The server refused, or said nothing."""


def pack(kind: int, transaction: bytes, attributes: Attributes, key: bytes = b"") -> bytes:
    body = b"".join(
        struct.pack("!HH", type_, len(value)) + value + bytes(-len(value) % 4) for type_, value in attributes
    )
    if key:
        head = struct.pack("!HHI", kind, len(body) + 24, COOKIE) + transaction
        body += struct.pack("!HH", INTEGRITY, 20) + hmac.digest(key, head + body, "sha1")
    return struct.pack("!HHI", kind, len(body), COOKIE) + transaction + body


def unpack(data: bytes) -> tuple[int, bytes, dict[int, bytes]]:
    kind, length, _ = struct.unpack("!HHI", data[:8])
    found: dict[int, bytes] = {}
    at = 20
    while at < 20 + length:
        type_, size = struct.unpack("!HH", data[at : at + 4])
        found.setdefault(type_, data[at + 4 : at + 4 + size])
        at += 4 + size + -size % 4
    return kind, data[8:20], found


def xored(address: Address) -> bytes:
    (host,) = struct.unpack("!I", socket.inet_aton(address[0]))
    return struct.pack("!BBHI", 0, 1, address[1] ^ COOKIE >> 16, host ^ COOKIE)


def plain(value: bytes) -> Address:
    _, _, port, host = struct.unpack("!BBHI", value)
    return socket.inet_ntoa(struct.pack("!I", host ^ COOKIE)), port ^ COOKIE >> 16


class Client:
    """One 5-tuple. `socket` is connected to the server; `relayed` is where peers send to."""

    def __init__(self, server: Address, account: Account) -> None:
        self.account = account
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(server)
        self.socket.settimeout(TIMEOUT_S)
        self.relayed: Address = ("", 0)
        self._nonce = b""

    def allocate(self) -> None:
        answer = self.ask(ALLOCATE, [(TRANSPORT, UDP)])
        self.relayed = plain(answer[RELAYED_ADDRESS])

    def bind(self, number: int, peer: Address) -> None:
        self.ask(BIND, [(CHANNEL_NUMBER, struct.pack("!HH", number, 0)), (PEER_ADDRESS, xored(peer))])

    def delete(self) -> None:
        self.ask(REFRESH, [(LIFETIME, bytes(4))])
        self.socket.close()

    def ask(self, method: int, attributes: Attributes) -> dict[int, bytes]:
        """The attributes of the success; the first 401 or 438 is answered with its nonce."""
        for _ in range(TRIES):
            kind, found = self._exchange(method, attributes)
            if kind == method | SUCCESS:
                return found
            code = found[0x009][2] * 100 + found[0x009][3]
            if code not in (401, 438) or found.get(NONCE, self._nonce) == self._nonce:
                raise TurnError(f"method {method:#x} was refused with {code}")
            self._nonce = found[NONCE]
        raise TurnError(f"method {method:#x} got no answer")

    def _exchange(self, method: int, attributes: Attributes) -> tuple[int, dict[int, bytes]]:
        transaction = os.urandom(12)
        if self._nonce:
            user, realm = self.account.user.encode(), self.account.realm.encode()
            attributes = [*attributes, (USERNAME, user), (REALM, realm), (NONCE, self._nonce)]
        request = pack(method, transaction, attributes, self.account.key() if self._nonce else b"")
        for _ in range(TRIES):
            self.socket.send(request)
            try:
                while True:
                    kind, came, found = unpack(self.socket.recv(2048))
                    if came == transaction:
                        return kind, found
            except TimeoutError:
                continue
        raise TurnError("no answer")
