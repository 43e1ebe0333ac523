"""Connections that devices have dialled to the core, because it cannot reach them: TLS here, the device serves HTTP.

A device proves itself by its link certificate; one that is not paired, or was forgotten, is hung up on. To the shard
client they are connections like any other: httpcore asks its network backend for one, and gets the next that waits.

Bounds: WAITING_MAX connections of one device that wait for use, each WAITING_S; HTTP over at most WAITING_MAX at a
time; those of the door for strangers.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import httpx

from agent.errors import CoreletError
from tools.gateway.ca import CA
from tools.gateway.links import broker, heads
from tools.gateway.links.door import Door

WAITING_MAX = 2
WAITING_S = 90.0
SUFFIX = ".dialled"

LOG = logging.getLogger("corelet.dialled")


class Stream(httpcore.AsyncNetworkStream):
    """One dialled connection as httpcore wants it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def is_ended(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 (httpcore's contract)
        with _translated(httpcore.ReadTimeout, httpcore.ReadError):
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 (httpcore's contract)
        with _translated(httpcore.WriteTimeout, httpcore.WriteError):
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()

    def get_extra_info(self, info: str) -> Any:
        """An idle connection that became readable has ended."""
        return self.is_ended if info == "is_readable" else None


@contextlib.contextmanager
def _translated(late: type[Exception], broken: type[Exception]) -> Any:
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:
        raise broken(str(error)) from error


class _Waiting(httpcore.AsyncNetworkBackend):
    """Of one device: what it has dialled and nobody uses yet. `is_used_since`: loop time of its last sign of life."""

    def __init__(self) -> None:
        self.streams: deque[tuple[Stream, float]] = deque()
        self.all: set[Stream] = set()
        self._came = asyncio.Event()
        self.client = heads.client(self, max_connections=WAITING_MAX, keepalive_expiry=WAITING_S)

    def add(self, stream: Stream) -> bool:
        self.all = {each for each in self.all if not each.is_ended}
        if len(self.all) > WAITING_MAX:
            return False
        self.all.add(stream)
        self.streams.append((stream, asyncio.get_running_loop().time()))
        self._came.set()
        return True

    async def sweep(self) -> None:
        """End what has waited for so long that a router may have forgotten it: the device dials anew."""
        now = asyncio.get_running_loop().time()
        while self.streams and (self.streams[0][0].is_ended or now - self.streams[0][1] > WAITING_S):
            await self.streams.popleft()[0].aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's contract)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> heads.Rationed:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    await self.sweep()
                    if self.streams:
                        return heads.Rationed(self.streams.popleft()[0])
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no dialled connection is free") from error

    async def close(self) -> None:
        await self.client.aclose()
        for stream in self.all:
            await stream.aclose()


class Dialled:
    """`is_known(device)`: whether it belongs to this core. `port` is 0 until it listens."""

    def __init__(self, ca: CA, is_known: Callable[[str], bool]) -> None:
        self._ca = ca
        self._is_known = is_known
        self._devices: dict[str, _Waiting] = {}
        self._door: Door | None = None
        self.port = 0

    async def start(self, host: str, number: int) -> None:
        """On `number`, or when that is taken on any free port: devices are told which."""
        for each in (number, 0):
            with contextlib.suppress(CoreletError):
                sock = broker.listen(host, each)
                self.port = sock.getsockname()[1]
                self._door = Door(sock, self._ca, self._admit)
                return
        LOG.warning("devices that cannot be reached cannot dial in: no port is free")

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer)
        try:
            device = self._ca.check(writer.get_extra_info("ssl_object").getpeercert(True))
        except CoreletError as error:
            LOG.info("a connection was refused: %s", error.text)
            device = ""
        if not device or not self._is_known(device) or not self._of(device).add(stream):
            await stream.aclose()

    def _of(self, device: str) -> _Waiting:
        if device not in self._devices:
            self._devices[device] = _Waiting()
        return self._devices[device]

    def has(self, device: str) -> bool:
        """Whether it has dialled and is there still."""
        found = self._devices.get(device)
        return found is not None and any(not stream.is_ended for stream in found.all)

    def client(self, device: str) -> httpx.AsyncClient:
        """Its requests go over what it has dialled."""
        return self._of(device).client

    async def drop(self, device: str) -> None:
        """It was forgotten."""
        if device in self._devices:
            await self._devices.pop(device).close()

    async def sweep(self) -> None:
        """To be called every few seconds."""
        for found in self._devices.values():
            await found.sweep()

    async def close(self) -> None:
        if self._door is not None:
            await self._door.close()
        for device in list(self._devices):
            await self.drop(device)
