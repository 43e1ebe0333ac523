"""How late relayed packets are: python -m tests.bench.relay.late --help

Clients and peers send by turns, at a steady pace, none of them waits for another. A packet carries when it was sent;
when it came is the kernel's own word (SO_TIMESTAMPNS), so a moment without a processor on this side does not count.
"""

import argparse
import json
import os
import select
import socket
import struct
import time

from tests.bench.relay.load import CHANNEL, Flow, account_of, parser, server_of

SO_TIMESTAMPNS = 35
STAMP = struct.Struct("=q")
TIMESPEC = struct.Struct("@ll")
NS = 1_000_000_000
SKIP_NS = 5_000_000  # who is later than this sends what it missed never: a burst would be another load
WARM_S, DRAIN_S = 1.0, 0.5
PRIORITY = 1


class Late:
    """`ages`: of what came, in ns. `skipped`: what we were too slow to send."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.rate = options.rate
        server, account = server_of(options), account_of(options)
        self.flows = [Flow(server, account, options.bytes) for _ in range(options.flows)]
        self.padding = os.urandom(options.bytes - STAMP.size)
        self.head = struct.pack("!HH", CHANNEL, options.bytes)
        self.ways = [(sock, head) for flow in self.flows for sock, head in ((flow.up, self.head), (flow.down, b""))]
        self.epoll = select.epoll()
        self.sockets: dict[int, tuple[socket.socket, int]] = {}
        for flow in self.flows:
            for sock, at in ((flow.up, len(self.head)), (flow.down, 0)):
                sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                self.epoll.register(sock, select.EPOLLIN)
                self.sockets[sock.fileno()] = (sock, at)
        self.sent = self.skipped = 0
        self.ages: list[int] = []

    def take(self) -> None:
        """All that has come."""
        for number, _ in self.epoll.poll(0):
            sock, at = self.sockets[number]
            try:
                while True:
                    data, ancillary, _, _ = sock.recvmsg(2048, 64)
                    seconds, rest = TIMESPEC.unpack(ancillary[0][2])
                    self.ages.append(seconds * NS + rest - STAMP.unpack_from(data, at)[0])
            except BlockingIOError:
                continue

    def run(self, seconds: float) -> None:
        gap = NS // self.rate
        due = time.monotonic_ns()
        until, at = due + int(seconds * NS), 0
        while (now := time.monotonic_ns()) < until:
            if now - due > SKIP_NS:
                self.skipped += (now - due) // gap
                due = now
            while due <= now:
                sock, head = self.ways[at]
                sock.send(head + STAMP.pack(time.time_ns()) + self.padding)
                self.sent += 1
                at = (at + 1) % len(self.ways)
                due += gap
            self.take()
            time.sleep(max(0, due - time.monotonic_ns()) / NS)

    def rest(self) -> None:
        until = time.monotonic() + DRAIN_S
        while time.monotonic() < until:
            self.take()
            time.sleep(0.01)

    def measured(self, seconds: float) -> dict[str, float]:
        self.run(WARM_S)
        self.rest()
        self.sent = self.skipped = 0
        self.ages.clear()
        began = time.monotonic()
        self.run(seconds)
        passed = time.monotonic() - began
        self.rest()
        for flow in self.flows:
            flow.close()
        ages = sorted(self.ages) or [0]
        parts = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
        found: dict[str, float] = {f"{name}_ms": ages[int(len(ages) * part)] / 1e6 for name, part in parts.items()}
        found |= {"max_ms": ages[-1] / 1e6, "kpps": self.sent / passed / 1000}
        return found | {"sent": self.sent, "lost": self.sent - len(self.ages), "skipped": self.skipped}


def main() -> None:
    words = parser("late", __doc__)
    words.add_argument("--flows", type=int, default=16)
    words.add_argument("--bytes", type=int, default=160, help="payload")
    words.add_argument("--rate", type=int, default=5000, help="relayed packets a second")
    words.add_argument("--seconds", type=float, default=10.0)
    words.add_argument("--core", type=int, default=1, help="the CPU core of the load")
    options = words.parse_args()
    os.sched_setaffinity(0, {options.core})
    if os.geteuid() == 0:  # a clock is not one of those that wait for a processor
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    print(json.dumps(Late(options).measured(options.seconds)))


if __name__ == "__main__":
    main()
