"""Mutual TLS to a core as a stream (contract.DialModule): asyncio's own, with a small buffer."""

import asyncio
import ssl
from typing import Any

from agent.errors import PortError
from agent.port import faults
from agent.port.cpython import tls

BUFFER_BYTES = 16384


class Conn:
    """contract.Conn."""

    def __init__(self, options: Any, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.source = (options.host, options.port)
        self._reader, self._writer = streams

    async def read(self, bytes_max: int) -> bytes:
        try:
            return await self._reader.read(bytes_max)
        except OSError as error:
            raise faults.closed(self.source[0]) from error

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise faults.closed(self.source[0]) from error

    def close(self) -> None:
        self._writer.close()


async def connect(options: Any) -> Conn:
    what = f"the core at {options.host} port {options.port}"
    key = tls.pem("EC PRIVATE KEY", options.key_der)
    context = tls.client_context(options.server_name, options.ca_der, tls.pem("CERTIFICATE", options.cert_der), key)
    try:
        streams = await asyncio.open_connection(options.host, options.port, ssl=context, limit=BUFFER_BYTES)
    except ssl.SSLError as error:
        raise PortError("tls", f"{what}: TLS failed ({error.reason}).") from error
    except OSError as error:
        raise faults.net_fault(error, what) from error
    streams[1].transport.set_write_buffer_limits(BUFFER_BYTES)
    return Conn(options, streams)
