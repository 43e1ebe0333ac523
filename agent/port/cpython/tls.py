"""Mutual TLS on CPython: contexts from certificates in memory, and a connection made without blocking the loop.

Used by link.py and by the full core.
The name in the broker's certificate is checked, never its address: a home router hands out new ones.
"""

import asyncio
import base64
import os
import socket
import ssl
import tempfile
from typing import Any

from agent.errors import PortError
from agent.port import faults


class NamedContext(ssl.SSLContext):
    """A client context that checks `server_name`, whatever host its user connected to."""

    server_name = ""

    def wrap_socket(self, sock: Any, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        kwargs["server_hostname"] = self.server_name
        return super().wrap_socket(sock, *args, **kwargs)

    def wrap_bio(self, incoming: Any, outgoing: Any, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        kwargs["server_hostname"] = self.server_name
        return super().wrap_bio(incoming, outgoing, *args, **kwargs)


def client_context(server_name: str, ca_der: bytes, cert_pem: bytes, key_pem: bytes) -> NamedContext:
    """TLS 1.2 or newer. PortError("tls") when the certificates cannot be used."""
    try:
        context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = server_name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=ca_der)
        load_chain(context, cert_pem, key_pem)
    except (ssl.SSLError, ValueError) as error:
        raise PortError("tls", f"this device's certificates cannot be used ({error}); pair it again") from error
    return context


def load_chain(context: ssl.SSLContext, cert_pem: bytes, key_pem: bytes) -> None:
    """OpenSSL reads certificates from files only; this one exists in memory, or, on a kernel before 3.17, for a
    moment with mode 0600 and without a name that stays."""
    try:
        descriptor = os.memfd_create("corelet-tls")
        path = f"/proc/self/fd/{descriptor}"
        aside = ""
    except (OSError, AttributeError):
        descriptor, aside = tempfile.mkstemp()
        path = aside
    try:
        os.write(descriptor, cert_pem + b"\n" + key_pem)
        context.load_cert_chain(path)
    finally:
        os.close(descriptor)
        if aside:
            os.remove(aside)


def pem(kind: str, der: bytes) -> bytes:
    """`kind` such as "CERTIFICATE" or "EC PRIVATE KEY"."""
    text = base64.encodebytes(der)
    return b"-----BEGIN " + kind.encode() + b"-----\n" + text + b"-----END " + kind.encode() + b"-----\n"


async def connect(options: Any, what: str) -> ssl.SSLSocket:
    """A connected socket with the TLS handshake done, non-blocking."""
    key = pem("EC PRIVATE KEY", options.key_der)
    context = client_context(options.server_name, options.ca_der, pem("CERTIFICATE", options.cert_der), key)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PortError("dns", f"no address is known for the name {options.host}; check the network") from error
    failure = PortError("unreachable", f"{what} cannot be reached")
    for family, kind, proto, _, address in found:
        raw = socket.socket(family, kind, proto)
        try:
            raw.setblocking(False)
            await loop.sock_connect(raw, address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return await _handshake(context.wrap_socket(raw, do_handshake_on_connect=False))
        except OSError as error:
            raw.close()
            if isinstance(error, ssl.SSLError):
                raise fault(error, what) from error
            failure = faults.net_fault(error, what[0].upper() + what[1:])
        except BaseException:
            raw.close()
            raise
    raise failure


async def _handshake(sock: ssl.SSLSocket) -> ssl.SSLSocket:
    loop = asyncio.get_running_loop()
    try:
        while True:
            try:
                sock.do_handshake()
                return sock
            except ssl.SSLWantReadError:
                await _ready(loop.add_reader, loop.remove_reader, sock)
            except ssl.SSLWantWriteError:
                await _ready(loop.add_writer, loop.remove_writer, sock)
    except BaseException:
        sock.close()
        raise


async def _ready(add: Any, remove: Any, sock: ssl.SSLSocket) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(sock, future.set_result, None)
    try:
        await future
    finally:
        remove(sock)


def fault(error: ssl.SSLError, what: str) -> PortError:
    reason = getattr(error, "verify_message", "") or error.reason or str(error)
    return PortError("tls", f"{what}: TLS failed ({reason}). Is it the broker of the core that paired this device?")
