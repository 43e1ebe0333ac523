"""Where releases come from: a folder, or the same files over plain HTTP/1.1. Nothing of it is trusted.

Endless and slow answers end: each request names its range, takes exactly that many bytes, and has REQUEST_MS_MAX for
all of them; who asks then goes on to the next source (ota/sources.py, ota/fetch.py). PortError("source"): not reached,
or not there; PortError("slow"); PeerError("source"): not HTTP, or other bytes than asked for; PeerError("uri").
"""

import socket

from ota import port
from ota.errors import CoreletError, LimitError, PeerError, PortError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PIECE_BYTES = 4096
HEAD_BYTES_MAX = 4096
REQUEST_MS_MAX = 60_000  # for at most 32 KiB
SILENCE_S_MAX = 15

_SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def open_source(place: str) -> "Folder | Http":
    """`place`: a folder, or http://HOST[:PORT][/PATH]. UsageError("source")."""
    if place.startswith("http://"):
        return Http(place)
    if "://" in place:
        raise UsageError("source", f"expected a folder or http:// (signatures protect, not TLS), got {place}")
    return Folder(place)


def check_uri(uri: str) -> str:
    """Relative, so that a manifest names files of this source only."""
    parts = uri.split("/")
    if "" in parts or "." in parts or ".." in parts or [one for one in uri if one not in _SAFE and one != "/"]:
        raise PeerError("uri", f"expected a relative path of a-z A-Z 0-9 . _ - and /, got {uri!r}")
    return uri


class Folder:
    def __init__(self, path: str) -> None:
        self._path = path

    def small(self, uri: str, bytes_max: int) -> "bytes | None":
        """A whole file; None: it is not there."""
        folder = port.Folder(self._path)
        return folder.small(uri, bytes_max) if folder.exists(check_uri(uri)) else None

    def read(self, uri: str, start: int, length: int) -> "Iterator[bytes]":
        """Exactly that range, in pieces."""
        path = self._path + "/" + check_uri(uri)
        with port.OnFile(path), open(path, "rb") as file:
            file.seek(start)
            while length:
                piece = file.read(min(length, PIECE_BYTES))
                if not piece:
                    raise PeerError("source", f"expected {length} bytes more, got the end of {path}")
                length -= len(piece)
                yield piece


class Http:
    def __init__(self, place: str) -> None:
        authority, _, path = place[7:].partition("/")
        host, _, number = authority.partition(":")
        is_port = not number or (number.encode().isdigit() and len(number) < 6 and 0 < int(number) < 65536)
        if not host or not is_port or [one for one in place if not 32 < ord(one) < 127]:
            raise UsageError("source", f"expected http://HOST[:PORT][/PATH] with a port below 65536, got {place}")
        self._host, self._port, self._path = host, int(number or "80"), ("/" + path).rstrip("/")

    def small(self, uri: str, bytes_max: int) -> "bytes | None":
        request = _Request(self._host, self._port)
        try:
            status, head = request.send(f"{self._path}/{check_uri(uri)}", "")
            if status == 404:
                return None
            length = _length(head)
            if length > bytes_max:
                raise LimitError("too_big", f"expected at most {bytes_max} bytes of {uri}, got {length}")
            if status != 200:
                raise PeerError("source", f"expected status 200 or 404 for {uri}, got {status}")
            return b"".join(request.body(length))
        finally:
            request.close()

    def read(self, uri: str, start: int, length: int) -> "Iterator[bytes]":
        request = _Request(self._host, self._port)
        try:
            status, head = request.send(f"{self._path}/{check_uri(uri)}", f"bytes={start}-{start + length - 1}")
            span = head.get("content-range", "").partition("/")[0]
            if status != 206 or span != f"bytes {start}-{start + length - 1}" or _length(head) != length:
                raise PeerError(
                    "source", f"expected bytes {start} to {start + length - 1} of {uri}, got status {status}"
                )
            yield from request.body(length)
        finally:
            request.close()


def _length(head: "dict[str, str]") -> int:
    text = head.get("content-length", "")
    if not text.isdigit() or len(text) > 9 or "transfer-encoding" in head:
        raise PeerError("source", "expected an answer with a length, got one without")
    return int(text)


class _Request:
    """One connection, one request."""

    def __init__(self, host: str, number: int) -> None:
        self._name = f"{host}:{number}"
        self._host = host
        self._began = port.now_ms()
        self._rest = b""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, number, 0, socket.SOCK_STREAM)[0]
            self._socket: Any = socket.socket(family, kind, protocol)
            self._socket.settimeout(SILENCE_S_MAX)
            self._socket.connect(address)
        except OSError as error:
            raise self._fault(error)

    def _fault(self, error: OSError) -> CoreletError:
        return PortError("source", f"expected an answer of {self._name}, got error {error.errno}; try again later")

    def send(self, path: str, span: str) -> "tuple[int, dict[str, str]]":
        """(status, fields by their lower-case names)."""
        text = f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n"
        data = (text + (f"Range: {span}\r\n" if span else "") + "\r\n").encode()
        try:
            while data:
                data = data[self._socket.send(data) :]
        except OSError as error:
            raise self._fault(error)
        while self._rest.find(b"\r\n\r\n") < 0:
            piece = self._receive()
            self._rest += piece
            if not piece or len(self._rest) > HEAD_BYTES_MAX + PIECE_BYTES:
                raise PeerError("source", f"expected HTTP from {self._name}, got something else")
        end = self._rest.find(b"\r\n\r\n")
        head, self._rest = self._rest[:end], self._rest[end + 4 :]
        try:
            first, *lines = head.decode().split("\r\n")
        except UnicodeError:
            first, lines = "", []
        words = first.split(" ")
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit() or len(words[1]) != 3:
            raise PeerError("source", f"expected HTTP/1.1 from {self._name}, got something else")
        return int(words[1]), {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}

    def body(self, length: int) -> "Iterator[bytes]":
        while length:
            piece = self._rest[:length] or self._receive()[:length]
            self._rest = b""
            if not piece:
                raise PeerError("source", f"expected {length} bytes more from {self._name}, got the end")
            length -= len(piece)
            yield piece

    def _receive(self) -> bytes:
        if not 0 <= port.now_ms() - self._began < REQUEST_MS_MAX:
            text = (
                f"expected an answer of {self._name} within {REQUEST_MS_MAX // 1000} s, it goes on; try another source"
            )
            raise PortError("slow", text)
        try:
            data: bytes = self._socket.recv(PIECE_BYTES)
        except OSError as error:
            raise self._fault(error)
        return data

    def close(self) -> None:
        self._socket.close()
