"""Driver of the mDNS responder on MicroPython's Unix port (contract.Announcer): sockets, time, nothing else.

Waits on asyncio's poll queue; idle, nothing wakes it. Datagrams above DATAGRAM_BYTES_MAX are cut by the kernel and
dropped as malformed.
"""

import asyncio
import errno
import random
import socket

from agent.errors import PeerError, PortError
from agent.port.micropython import clock, net
from agent.port.micropython.multicast import MulticastSocket
from agent.port.micropython.neighbours import Link
from agent.port.micropython.responder import LINKS_MAX, Responder
from agent.port.micropython.streams import READ

if False:
    from typing import Any

    from agent.port.options import Service

DATAGRAM_BYTES_MAX = 2048
DRAIN_MAX = 4  # datagrams between two turns of the loop: a flood of them must leave it to others
START_MS = 5000
GOODBYES = 2
GOODBYE_GAP_MS = 125
FAULT_WAIT_MS = 1000
WAIT_MS_MAX = 3600000


def open(service: "Service") -> "Announcer":
    return Announcer(service)


def _chance(limit: int) -> int:
    return random.getrandbits(16) % limit


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class Announcer:
    """contract.Announcer. `trouble`: one sentence about a link that does not work, "" when all do."""

    def __init__(self, service: "Service") -> None:
        self.instance = service.instance
        self.host = service.host
        self.trouble = ""
        self.dropped = 0
        self._service = service
        self._machine = Responder(service, _chance)
        self._ports: dict[str, MulticastSocket] = {}
        self._tasks: list[Any] = []
        self._timer: Any = None
        self._settled = asyncio.Event()
        self._moved = asyncio.Event()

    async def start(self) -> None:
        """Returns when the names are settled, or after START_MS when somebody keeps disputing them."""
        self._timer = net.spawn(self._keep_time())
        await self.set_addresses(self._service.addresses)
        if not self._ports:
            return
        try:
            await net.wait_for(self._settled.wait(), START_MS)
        except PortError:
            self.trouble = "The name is disputed on this network; discovery keeps trying."

    async def update(self, txt: list[tuple[str, str]], subtypes: list[str]) -> None:
        self._service = _with(self._service, txt, subtypes)
        self._machine.update(self._service, clock.now_ms())
        self._flush()

    async def set_addresses(self, addresses: list[str]) -> None:
        self._close_ports()
        links: list[Link] = []
        self.trouble = ""
        found = net.interfaces()
        for interface in sorted({name for name, address, _ in found if name and address in addresses}):
            here = [(_packed(address), bits) for name, address, bits in found if name == interface]
            wanted = [_packed(address) for name, address, _ in found if name == interface and address in addresses]
            for size in (4, 16):
                own = [one for one in wanted if len(one) == size]
                if own and len(links) < LINKS_MAX:
                    key = f"{interface}/{size}"
                    if self._open(key, interface, own[0]):
                        links.append(Link(key, wanted, here))
        self._machine.set_links(links, clock.now_ms())
        self._flush()

    def _open(self, key: str, interface: str, own: bytes) -> bool:
        try:
            self._ports[key] = MulticastSocket(interface, own)
        except PortError as error:
            self.trouble = error.text
            return False
        self._tasks.append(net.spawn(self._listen(key, self._ports[key])))
        return True

    async def close(self) -> None:
        for turn in range(GOODBYES):
            if turn and self._ports:
                await asyncio.sleep(GOODBYE_GAP_MS / 1000)
            self._machine.goodbye()
            self._flush()
        self._close_ports()
        if self._timer is not None:
            self._timer.cancel()

    def _close_ports(self) -> None:
        for task in self._tasks:
            task.cancel()
        for port in self._ports.values():
            port.close()
        self._tasks, self._ports = [], {}

    async def _listen(self, key: str, port: MulticastSocket) -> None:
        while True:
            await port.waiter.wait(READ)  # type: ignore[misc]
            for _ in range(DRAIN_MAX):
                try:
                    data, source = port.sock.recvfrom(DATAGRAM_BYTES_MAX)
                except OSError as error:
                    if error.errno != errno.EAGAIN:
                        self.trouble = f"Receiving on {key} failed with error {error.errno}; trying again."
                        await asyncio.sleep(FAULT_WAIT_MS / 1000)
                    break
                self._take(key, data, source)
            self._flush()

    def _take(self, key: str, data: bytes, source: bytes) -> None:
        parts = socket.sockaddr(source)  # type: ignore[attr-defined]
        try:
            self._machine.receive(data, (key, parts[1], parts[2]), clock.now_ms())
        except PeerError:
            self.dropped += 1  # a datagram has no connection to close and nobody to tell

    def _flush(self) -> None:
        for event in self._machine.drain_events():
            self.instance, self.host = event.instance, event.host
            self._settled.set()
        for data, (key, address, port) in self._machine.drain_outgoing():
            place = self._ports.get(key)
            if place is not None:
                try:
                    place.send(data, address, port)
                except OSError as error:
                    self.trouble = f"Nothing can be sent on {key} (error {error.errno}): has it a multicast route?"
        self._moved.set()

    async def _keep_time(self) -> None:
        while True:
            self._moved.clear()
            due = self._machine.wake_at
            wait_ms = WAIT_MS_MAX if due is None else min(WAIT_MS_MAX, due - clock.now_ms())
            try:
                if wait_ms > 0:
                    await net.wait_for(self._moved.wait(), wait_ms)
                    continue
            except PortError:  # the time has come
                pass
            self._machine.wake(clock.now_ms())
            self._flush()


def _with(service: "Service", txt: list[tuple[str, str]], subtypes: list[str]) -> "Service":
    return type(service)(service.kind, service.instance, service.host, service.port, service.addresses, txt, subtypes)
