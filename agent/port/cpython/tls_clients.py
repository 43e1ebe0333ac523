"""TLS to the relay's clients (`turns:`) on CPython: what looks like a socket that does not block, over one.

Which connection speaks it, tcp_clients.py sees by its first byte. Files that were renewed, as ACME clients do, are
taken from the next client on; while they are no certificate and its key, those before them stay in use. Bounds: TLS
1.2 and newer, CLIENTS_MAX; who does not end the handshake is closed as anybody without an allocation; RAW_BYTES at a
time, and all that they hold is read; REST_BYTES_MAX wait to be written.
"""

import errno
import os
import socket
import ssl

from agent.errors import PortError

if False:
    from typing import Any, Callable

CLIENTS_MAX = 128
RAW_BYTES = 32768
REST_BYTES_MAX = 524288  # more than tcp_clients.py and splices.py have on their way


class TlsClients:
    """`live`: how many there are. `tell(text)`: for the log."""

    def __init__(self, cert_path: str, key_path: str, tell: "Callable[[str], object]") -> None:
        self.live = 0
        self._tell = tell
        self._paths = (cert_path, key_path)
        self._seen = _stamps(self._paths)
        self._context = _context(cert_path, key_path)

    def has_room(self) -> bool:
        return self.live < CLIENTS_MAX

    def accepted(self, sock: socket.socket, came: bytes) -> "TlsSocket":
        """`came`: the first bytes. Ask has_room before."""
        self._renew()
        self.live += 1
        return TlsSocket(sock, self._context, came, self)

    def _renew(self) -> None:
        seen = _stamps(self._paths)
        if seen == self._seen:
            return
        self._seen = seen  # what is written while it is read is seen the next time
        try:
            self._context = _context(*self._paths)
            self._tell("the renewed TLS certificate is in use")
        except PortError as error:
            self._tell(f"the TLS certificate stays the one before: {error.text}")


def _stamps(paths: tuple[str, str]) -> "list[Any]":
    """What changes when a file does."""
    found = []
    for path in paths:
        try:
            about = os.stat(path)
            found.append((about.st_ino, about.st_mtime_ns, about.st_size))
        except OSError as error:
            found.append((error.errno or 0, 0, 0))
    return found


def _context(cert_path: str, key_path: str) -> ssl.SSLContext:
    """PEM files. PortError("tls")."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    try:
        context.load_cert_chain(cert_path, key_path, lambda: b"")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        text = f"{cert_path} and {key_path} must be a certificate and its key in PEM, without a password"
        raise PortError("tls", f"{text} ({error})") from error
    return context


def name_in(cert_path: str) -> str:
    """The first dNSName that is a whole one: what clients must know us by. "*" without one."""
    rows = ssl._ssl._test_decode_cert(cert_path).get("subjectAltName", ())  # type: ignore[attr-defined] # nothing else can
    return next((name for kind, name in rows if kind == "DNS" and "*" not in name), "*")


class TlsSocket:
    """`recv_into`, `send`, `shutdown` as of a socket that does not block."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, came: bytes, clients: TlsClients) -> None:
        self._socket = sock
        self._clients = clients
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._rest = b""  # of what is encrypted
        self._ahead = 0  # bytes that the caller will send again because the socket did not take all
        self._in.write(came)

    def fileno(self) -> int:
        return self._socket.fileno()

    def setsockopt(self, *values: "Any") -> None:
        self._socket.setsockopt(*values)

    def recv_into(self, view: memoryview) -> int:
        """Also makes the handshake go on."""
        got = self._read(view)
        if got >= 0:
            return got
        came = self._socket.recv(RAW_BYTES)
        if not came:
            return 0
        self._in.write(came)
        got = self._read(view)
        if got < 0:
            raise BlockingIOError
        return got

    def _read(self, view: memoryview) -> int:
        """-1: more is needed."""
        got = 0
        try:
            while got < len(view):
                count: Any = self._tls.read(len(view) - got, view[got:])
                if not count:
                    break
                got += count
        except ssl.SSLWantReadError:
            got = got or -1
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return got  # its end; what came before counts
        finally:
            self._flush()
        return got

    def send(self, data: "bytes | memoryview") -> int:
        """When the socket does not take everything, the last byte is left to the caller, who waits then and comes
        again with it: so it is known here when all has gone."""
        if not self._flush():
            raise BlockingIOError
        new = data[self._ahead :]
        if new:
            self._tls.write(new)
        self._ahead = 0 if self._flush() else 1
        return len(data) - self._ahead

    def _flush(self) -> bool:
        self._rest += self._out.read()
        try:
            while self._rest:
                self._rest = self._rest[self._socket.send(self._rest) :]
        except BlockingIOError:
            if len(self._rest) > REST_BYTES_MAX:  # it asks and asks, and does not read
                raise OSError(errno.ENOBUFS, "a client over TLS does not read")
            return False
        return True

    def shutdown(self, how: int) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # it waits for the other's, which nobody needs
            pass
        if self._flush():
            self._socket.shutdown(how)

    def close(self) -> None:
        self._clients.live -= 1
        self._socket.close()
