"""One question to a relay, as any client asks it: a STUN Binding request (RFC 8489), and how long the answer took.

It proves that the relay can be reached from where the core is; over TLS also that the name in its certificate leads
there, not that anybody trusts it: that is the client's to verify. Bounds: PROBE_S for one, TRIES datagrams of 20 bytes,
LOOK_UPS names at a time.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from agent.errors import PeerError
from agent.wire import stun
from tools.gateway.addresses import parsed

PROBE_S = 3.0
TRIES = 3
RETRY_S = 0.5
LOOK_UPS = 8
# A device chooses the name, and so who may never answer: no thread that shards are waiting for may hang there.
_NAMES = ThreadPoolExecutor(LOOK_UPS, "names")


async def measure(host: str, number: int, transport: str, name: str = "") -> float | None:
    """Seconds of a round trip; None without an answer. `transport`: "udp", or "tcp" and "tls" with their connection.
    `name`: of TLS, "" without one."""
    transaction = os.urandom(stun.TRANSACTION_BYTES)
    question = stun.encode(stun.BINDING, stun.REQUEST, transaction, [])
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(PROBE_S):
            if transport == "udp":
                answer, began = await _ask_udp(host, number, question)
            elif not name or await _leads_to(name, host):
                began = loop.time()
                answer = await _ask_tcp(host, number, question, _context() if transport == "tls" else None, name)
            else:
                return None
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    return loop.time() - began if _is_answer(answer, transaction) else None


def _is_answer(data: bytes, transaction: bytes) -> bool:
    with contextlib.suppress(PeerError):
        message = stun.decode(data)
        is_same = message.method == stun.BINDING and bytes(message.transaction) == transaction
        return is_same and message.kind == stun.SUCCESS
    return False


async def _leads_to(name: str, host: str) -> bool:
    """Else a device could send the clients of its core to anybody."""
    question = (name, None, 0, socket.SOCK_STREAM)
    try:
        rows = await asyncio.get_running_loop().run_in_executor(_NAMES, socket.getaddrinfo, *question)
    except UnicodeError:  # no name of the DNS
        return False
    return host in [str(parsed(row[4][0])) for row in rows]


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _ask_tcp(
    host: str, number: int, question: bytes, context: ssl.SSLContext | None = None, name: str = ""
) -> bytes:
    reader, writer = await asyncio.open_connection(
        host, number, ssl=context, server_hostname=(name or host) if context else None
    )
    try:
        writer.write(question)
        head = await reader.readexactly(stun.HEADER_BYTES)
        return head + await reader.readexactly(min(int.from_bytes(head[2:4], "big"), stun.MESSAGE_BYTES_MAX))
    finally:
        writer.close()


async def _ask_udp(host: str, number: int, question: bytes) -> tuple[bytes, float]:
    """The answer, and when the question that it is counted from was sent: one that was lost is not time of the way."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()

    class Asking(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _: object) -> None:
            if not came.done():
                came.set_result(data)

    endpoint, _ = await loop.create_datagram_endpoint(Asking, remote_addr=(host, number))
    try:
        for _ in range(TRIES):
            sent = loop.time()
            endpoint.sendto(question)
            done, _ = await asyncio.wait({came}, timeout=RETRY_S)
            if done:
                return came.result(), sent
        raise TimeoutError
    finally:
        endpoint.close()
