"""Two namespaces that a test makes: `home`, where the relay is, and `far`, all the rest of the world behind one wire.

with Wire() as wire:
    with wire.inside("far"): ...            # sockets made here live there
    with wire.sniffing("far", wire.far_link) as seen: ...

Needs root; nothing of the host is touched and nothing leaves. `home` is 5.5.5.1/24, `far` 5.5.5.2 and its router.
"""

import contextlib
import ctypes
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.e2e import needs
from tests.e2e.lan import run

HOME, FAR = "5.5.5.1", "5.5.5.2"
Address = tuple[str, int]
ETH_P_IP = 0x0800
CLONE_NEWNET = 0x40000000
PACKET_OUTGOING = 4
PACKET_BYTES = 14  # of Ethernet, which counters of an interface contain
_numbers = itertools.count()


class Wire:
    def __init__(self) -> None:
        needs.root()
        needs.program("ip", "iproute2")
        mark = f"{os.getpid() % 100000}{next(_numbers)}"
        self.names = {"home": f"rh{mark}", "far": f"rf{mark}"}
        self.home_link, self.far_link = f"wh{mark}", f"wf{mark}"

    def __enter__(self) -> "Wire":
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        home, far = self.names["home"], self.names["far"]
        run("ip", "link", "add", self.home_link, "netns", home, "type", "veth", "peer", "name", self.far_link)
        run("ip", "link", "set", self.far_link, "netns", far)
        for name, link, own in ((home, self.home_link, HOME), (far, self.far_link, FAR)):
            run("ip", "-n", name, "addr", "add", own + "/24", "dev", link)
            # Of a run that leaves as one (UDP_SEGMENT) the counters would see one header.
            run("ip", "-n", name, "link", "set", link, "gso_max_segs", "1", "up")
        run("ip", "-n", home, "route", "add", "default", "via", FAR)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names.values():
            run("ip", "netns", "del", name)

    def words(self, where: str) -> tuple[str, ...]:
        """Before a program that shall live there."""
        return needs.program("ip", "iproute2"), "netns", "exec", self.names[where]

    def add(self, where: str, *hosts: str) -> None:
        """More addresses, on the loopback interface."""
        for host in hosts:
            run("ip", "-n", self.names[where], "addr", "add", host + "/32", "dev", "lo")

    @contextlib.contextmanager
    def inside(self, where: str) -> Iterator[None]:
        """This thread."""
        libc = ctypes.CDLL(None, use_errno=True)
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/run/netns/{self.names[where]}", os.O_RDONLY)
        try:
            assert libc.setns(other, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert libc.setns(own, CLONE_NEWNET) == 0
            os.close(other)
            os.close(own)

    @contextlib.contextmanager
    def sniffing(self, where: str, link: str) -> Iterator[set[Address]]:
        """Destinations of all UDP over IPv4 that came in by `link` until the end."""
        seen: set[Address] = set()
        with self.inside(where):
            sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        sniffer.bind((link, ETH_P_IP))
        sniffer.settimeout(0.1)
        is_over = threading.Event()

        def watch() -> None:
            while True:
                try:
                    packet, source = sniffer.recvfrom(65536)
                except TimeoutError:
                    if is_over.is_set():
                        return
                    continue
                at = (packet[0] & 15) * 4
                if packet[9] == 17 and source[2] != PACKET_OUTGOING:
                    seen.add((socket.inet_ntoa(packet[16:20]), int.from_bytes(packet[at + 2 : at + 4], "big")))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            is_over.set()
            thread.join()
            sniffer.close()

    def sent(self, where: str, link: str) -> int:
        """Bytes of IP that left by `link`, ever."""
        with self.inside(where):
            lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
        fields = next(line.partition(":")[2].split() for line in lines if line.strip().startswith(link + ":"))
        return int(fields[8]) - PACKET_BYTES * int(fields[9])
