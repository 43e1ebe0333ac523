"""A TLS listener for devices of this core, which holds little for those who have not shown a certificate yet.

asyncio's own keeps a descriptor and a TLS machine for each who connects and says nothing, as many as like to. Here the
eldest of STRANGERS_MAX goes when one more comes, so silence shuts nobody out.

Bounds: STRANGERS_MAX handshakes at a time, HANDSHAKE_S each, GOODBYE_S for a peer's last word.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

from agent.port.cpython import tls
from tools.gateway.ca import CA

STRANGERS_MAX = 32
HANDSHAKE_S = 10
GOODBYE_S = 3
AGAIN_S = 1.0  # after a connection that could not be taken, as without a free descriptor
BUFFER_BYTES = 65536

LOG = logging.getLogger("corelet.door")

Admit = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """`sock` listens already. `admit(reader, writer)` runs in a task of its own; the certificate is one that `ca`
    has issued, and nothing more is known of it. Opened when made, until `close()`."""

    def __init__(self, sock: socket.socket, ca: CA, admit: Admit) -> None:
        self._sock = sock
        self._context = _context(ca)
        self._admit = admit
        self._strangers: dict[asyncio.Task[None], None] = {}  # in the order they came
        self._tasks: set[asyncio.Task[None]] = set()
        sock.setblocking(False)
        self._listening = asyncio.create_task(self._listen(), name="door")

    async def close(self) -> None:
        """No more come in; who is in is the caller's to end."""
        for task in (self._listening, *self._strangers):
            task.cancel()
        await asyncio.gather(self._listening, *self._strangers, return_exceptions=True)
        self._sock.close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                LOG.warning("a connection could not be taken: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            if len(self._strangers) >= STRANGERS_MAX:
                eldest = next(iter(self._strangers))
                del self._strangers[eldest]
                eldest.cancel()
            task = asyncio.create_task(self._meet(sock))
            self._strangers[task] = None
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _meet(self, sock: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            reader, writer = await self._shake_hands(sock)
        except OSError as error:
            LOG.debug("a handshake failed: %s", error)
            return
        finally:
            self._strangers.pop(task, None)
        await self._admit(reader, writer)

    async def _shake_hands(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(BUFFER_BYTES, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        with contextlib.ExitStack() as stack:
            stack.callback(sock.close)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=GOODBYE_S,
            )  # fmt: skip
            stack.pop_all()
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _context(ca: CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=ca.ca_der)
    tls.load_chain(context, *ca.issue_server([ca.server_name]))
    return context
