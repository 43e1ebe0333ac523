"""Mutual TLS on MicroPython's Unix port: a client that proves its own name and checks the broker's.

Uses the module `tls` (1.25 has no `ssl`): TLS 1.2 with Mbed TLS, ECDHE with P-256. The certificate must be issued by
the core's CA and carry `server_name`; the address is never compared, because a home router hands out new ones.

`poll` sweeps every millisecond as soon as a TLS object is registered with it, so only the RAW socket is waited for,
and only after read() or write() returned None: until then decrypted bytes may be left inside (research note,
micropython.md section 6). An idle connection then costs nothing.

Certificate dates are compared with the board's clock; ours are valid from 1970 to 9999, so any clock will do.
"""

import gc

import tls  # type: ignore[import-not-found]

from agent.errors import PortError
from agent.port.micropython import net, streams

if False:
    from typing import Any

CONNECT_MS_MAX = 10_000


class TlsConn:
    """Like contract.Conn. `is_open`: the handshake is over, the broker's name and certificate were checked."""

    def __init__(self, conn: "streams.Conn", sock: "Any", what: str) -> None:
        self.is_open = False
        self.source = conn.source
        self._conn = conn
        self._sock = sock
        self._what = what
        self._waiter = streams.Waiter(conn._sock)  # type: ignore[arg-type]

    async def read(self, bytes_max: int) -> bytes:
        """1 to bytes_max bytes; b"" at the end. PortError("closed") or PortError("tls")."""
        while self._sock is not None:
            try:
                data: bytes | None = self._sock.read(bytes_max)
            except (OSError, ValueError) as error:
                raise self._fault(error)
            if data is not None:
                return data
            await self._waiter.wait(streams.READ)  # type: ignore[misc]
        raise PortError("closed", self._what + " closed the connection.")

    async def write(self, data: bytes) -> None:
        """All of it. The first write does the handshake, which waits for the other side's answers."""
        view = memoryview(data)
        while len(view):
            if self._sock is None:
                raise PortError("closed", self._what + " closed the connection.")
            try:
                count = self._sock.write(view)
            except (OSError, ValueError) as error:
                raise self._fault(error)
            if count:
                self.is_open = True
                view = view[count:]
            else:
                await self._waiter.wait(streams.WRITE if self.is_open else streams.READ)  # type: ignore[misc]

    def close(self) -> None:
        if self._sock is not None:
            self._waiter.wake()
            sock, self._sock = self._sock, None
            try:
                sock.close()  # writes close_notify, which a dead connection refuses
            except (OSError, ValueError):
                self._what += " (broken)"
            self._conn.close()

    def _fault(self, error: Exception) -> PortError:
        if self.is_open and isinstance(error, OSError):
            return PortError("closed", self._what + " closed the connection.")
        text = (
            f"{self._what}: TLS failed ({_line(error)}). Is it the broker of the core that this device was paired with?"
        )
        return PortError("tls", text)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())  # Mbed TLS says it on several lines


async def connect(options: "Any") -> TlsConn:
    """Connected TCP and a TLS object that has not spoken yet. `options`: agent/port/options.py LinkOptions.
    PortError: those of net.connect_tcp, and "tls" when the certificates cannot be used."""
    conn = await net.connect_tcp(options.host, options.port, CONNECT_MS_MAX)
    gc.collect()  # Mbed TLS allocates outside this heap, but the arguments of the handshake are inside
    try:
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
        context.load_verify_locations(options.ca_der)
        context.load_cert_chain(options.cert_der, options.key_der)
        sock = context.wrap_socket(conn._sock, server_hostname=options.server_name, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        conn.close()
        raise PortError("tls", f"This device's certificates cannot be used ({error}); pair it again.")
    return TlsConn(conn, sock, f"The broker at {options.host} port {options.port}")
