"""TCP and Unix streams of CPython (contract.Conn, contract.Listener): asyncio's `sock_*` calls.

Not asyncio streams: they buffer 64 KiB per connection.
"""

import asyncio
import contextlib
import errno
import socket

from agent.port import faults

if False:
    from typing import Any

LOCAL_SOURCE = ("local", 0)


def address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or 'any address'}:{port}"


def source_of(address: "Any") -> tuple[str, int]:
    if not isinstance(address, tuple):
        return LOCAL_SOURCE
    host = address[0][7:] if address[0].startswith("::ffff:") and "." in address[0] else address[0]
    return host, address[1]


class Conn:
    """contract.Conn."""

    def __init__(self, sock: socket.socket, source: tuple[str, int]) -> None:
        self.source = source
        self._sock = sock
        self._what = "The peer" if source == LOCAL_SOURCE else address_text(*source)
        self._use = _Use(sock, self._what)
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read(self, bytes_max: int) -> bytes:
        with self._use:
            try:
                return await asyncio.get_running_loop().sock_recv(self._sock, bytes_max)
            except OSError as error:
                raise faults.closed(self._what) from error

    async def write(self, data: bytes) -> None:
        with self._use:
            try:
                await asyncio.get_running_loop().sock_sendall(self._sock, data)
            except OSError as error:
                raise faults.closed(self._what) from error

    def lend(self) -> socket.socket:
        """To somebody who waits for it elsewhere; a close meanwhile is a shutdown. PortError("closed")."""
        self._use.__enter__()
        return self._sock

    def take_back(self) -> None:
        self._use.__exit__()

    def close(self) -> None:
        self._use.close()


class _Use:
    """Counts who waits for a socket. asyncio never wakes a task whose descriptor was closed, so a close with
    somebody waiting is a shutdown, and the last one who leaves closes."""

    def __init__(self, sock: socket.socket, what: str) -> None:
        self._sock = sock
        self._what = what
        self._users = 0
        self._is_closed = False

    def __enter__(self) -> None:
        if self._is_closed:
            raise faults.closed(self._what)
        self._users += 1

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if self._is_closed and not self._users:
            self._sock.close()

    def close(self) -> None:
        self._is_closed = True
        if not self._users:
            self._sock.close()
            return
        with contextlib.suppress(OSError):  # never connected, or the peer has gone: it is readable then
            self._sock.shutdown(socket.SHUT_RDWR)


class Listener:
    """contract.Listener. `port` is 0 for a local one."""

    def __init__(self, sock: socket.socket, port: int) -> None:
        self.port = port
        self._sock = sock
        self._use = _Use(sock, "The listener")
        sock.setblocking(False)

    async def accept(self) -> Conn:
        while True:
            with self._use:
                try:
                    sock, address = await asyncio.get_running_loop().sock_accept(self._sock)
                    return Conn(sock, source_of(address))
                except ConnectionError:  # the client went away while it was in the queue
                    continue
                except OSError as error:
                    if error.errno == errno.EINVAL:  # shut down by close()
                        raise faults.closed("The listener") from error
                    raise faults.net_fault(error, f"Port {self.port}") from error

    def close(self) -> None:
        self._use.close()
