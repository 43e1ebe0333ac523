"""A pump on loopback that runs beside the test, and a control that only writes down what it is told. Both
interpreters: one of them has no getsockname, so ports are guessed."""

import asyncio
import errno
import os
import socket

from agent import port
from agent.errors import PortError
from agent.port.options import PumpOptions

port.terminal.begin()  # as every program
if port.MICROPYTHON:  # no files here: their room is the pump's
    port.files = port.net.files = None
    port.heap.forget(("agent.port.micropython.files", "agent.port.folders"))
BODY = port.pump()  # the largest import first, while the heap is empty
CHANNEL = 0x4001
RELAY = 7
WAIT_S = 2
HEAP_SPARE_BYTES = 2048  # the heap of these tests is an eighth of a device's
BINDING = b"\x00\x01\x00\x00" + bytes(16)


def guess():
    return 20000 + int.from_bytes(os.urandom(2), "big") % 12000


def frame(payload, number=CHANNEL):
    return number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload


class Control:
    def __init__(self):
        self.wake_at = None
        self.received, self.strange, self.left, self.woken = [], [], [], []

    def receive(self, data, key, now):
        self.received.append((data, key))

    def from_peer(self, relay, peer, data, now):
        self.strange.append((relay, peer, data))

    def client_gone(self, key, now):
        self.left.append(key)

    def has_allocation(self, key):
        return True

    def wake(self, now):
        self.woken.append(now)
        self.wake_at = None


class End:
    """A UDP socket with a known port, or with `to` a TCP connection there."""

    def __init__(self, host, to=None):
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(self.family, socket.SOCK_DGRAM if to is None else socket.SOCK_STREAM)
        self.address = (BODY.packed(host), 0)
        if to is not None:
            self.sock.connect(socket.getaddrinfo(host, to)[0][-1])
        while to is None and not self.address[1]:
            number = guess()
            try:
                self.sock.bind(socket.getaddrinfo(host, number)[0][-1])
                self.address = (self.address[0], number)
            except OSError:
                continue
        self.sock.setblocking(False)

    def connect(self, host, number):
        self.sock.connect(socket.getaddrinfo(host, number)[0][-1])

    def now(self, most=2100):
        try:
            return self.sock.recv(most)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return None

    async def heard(self):
        """The next datagram, or piece of the stream."""
        found = None
        await until(lambda: self._keep() is not None)
        found, self.kept = self.kept, None
        return found

    def _keep(self):
        self.kept = self.now()
        return self.kept


async def until(check):
    for _ in range(WAIT_S * 200):
        if check():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


class Bed:
    def __init__(self, host="127.0.0.1", is_tcp=False, connected_max=8):
        self.host, self.control, self.usage = host, Control(), [0] * 6
        hosts = ("", host) if ":" in host else (host, "")
        self.pump = None
        while self.pump is None:
            self.number = guess()
            try:
                self.pump = BODY.open(PumpOptions([(host, self.number)], hosts, is_tcp, connected_max))
            except PortError:
                continue
        if port.MICROPYTHON:
            self.pump.heap_spare_bytes = HEAP_SPARE_BYTES
        self.ends = []

    async def run(self, test):
        """Beside `test(bed)`."""
        task = port.net.spawn(self.pump.run_beside(self.control))
        try:
            await test(self)
        finally:
            self.pump.stop()
            await task
            for end in self.ends:
                end.sock.close()

    async def told(self, function):
        """What it returns in the pump's thread."""
        answers = []
        self.pump.call(lambda: answers.append(function()))
        await until(lambda: answers)
        return answers[0]

    def end(self, to=None, is_tcp=False):
        end = End(self.host, to if is_tcp else None)
        self.ends.append(end)
        if to is not None and not is_tcp:
            end.connect(self.host, to)
        return end

    async def relay(self, number=RELAY):
        while True:
            where = guess()
            if await self.told(lambda where=where: self.pump.open_relay(number, 6 if ":" in self.host else 4, where)):
                return where

    async def open(self, key=None, client=None):
        """(client, peer) with a channel between them."""
        client = client or self.end(self.number)
        where = await self.relay()
        peer = self.end(where)
        key = key or (17, client.address, 0)
        await self.told(lambda: self.pump.open_channel(RELAY, CHANNEL, peer.address, key, self.usage))
        return client, peer


def beside(test, **options):
    async def main():
        await Bed(**options).run(test)

    asyncio.run(main())


async def tcp_client(bed):
    """(end, key) of a new connection."""
    count = len(bed.control.received)
    client = bed.end(bed.number, True)
    client.sock.send(BINDING)
    await until(lambda: len(bed.control.received) > count)
    data, key = bed.control.received[-1]
    assert data == BINDING and key[0] == 6
    return client, key
