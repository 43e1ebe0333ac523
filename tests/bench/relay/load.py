"""One load against one TURN server, in a process of its own: python -m tests.bench.relay.load --help

Every message goes client -> server -> peer and back, so one round trip is two relayed packets (1 in + 1 out each).
What the server pays is read from the scheduler's account of its process, over the measured window only. The load is
made with plain UDP sockets; bursts leave by UDP_SEGMENT, which loopback cuts into datagrams on our core.
"""

import argparse
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.relay.turn import Account, Client

CHANNEL = 0x4000
SEGMENT = (socket.IPPROTO_UDP, 103)  # UDP_SEGMENT
SLOTS = [memoryview(bytearray(2048)) for _ in range(32)]
BUFFER_BYTES = 1 << 20
# A stall is a loss, not a moment without a core: else there would be ever more under way.
WARM_S, STALL_S, DRAIN_S, POLL_S = 0.3, 0.5, 0.3, 0.05


def cpu_ns(pid: int) -> int:
    """Run time of all threads, as the scheduler counts it."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def send_all(sock: socket.socket, message: bytes, count: int) -> None:
    """`count` times the same datagram, in one call."""
    if count == 1:
        sock.send(message)
    else:
        sock.sendmsg([message] * count, [(*SEGMENT, struct.pack("=H", len(message)))])


def drain(sock: socket.socket) -> int:
    """How many datagrams came."""
    count = 0
    try:
        for slot in SLOTS:
            sock.recv_into(slot)
            count += 1
    except BlockingIOError:
        return count
    return count


class Flow:
    """One client with one channel to one peer of its own, which sends everything back."""

    def __init__(self, server: tuple[str, int], account: Account, payload_bytes: int) -> None:
        self.peer = self._socket()
        self.peer.bind((server[0], 0))
        self.client = Client(server, account)
        self.client.allocate()
        self.client.bind(CHANNEL, self.peer.getsockname())
        self.peer.connect(self.client.relayed)
        self.payload = os.urandom(payload_bytes)
        self.framed = struct.pack("!HH", CHANNEL, payload_bytes) + self.payload
        self.up, self.down = self.client.socket, self.peer
        self.sent = self.at_peer = self.back = self.lost = 0
        self.last = time.monotonic()
        for sock in (self.up, self.down):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.verify()

    @staticmethod
    def _socket() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def verify(self) -> None:
        """One message, both ways, byte for byte."""
        for sender, data, receiver, wanted in (
            (self.up, self.framed, self.down, self.payload),
            (self.down, self.payload, self.up, self.framed),
        ):
            sender.send(data)
            ready = select.select([receiver], [], [], 2)[0]
            if not ready or receiver.recv(2048) != wanted:
                raise SystemExit("the server does not relay what was sent")

    def push(self, count: int) -> None:
        if count:
            self.sent += count
            send_all(self.up, self.framed, count)

    def on_peer(self) -> None:
        count = drain(self.down)
        self.at_peer += count
        if count:
            send_all(self.down, self.payload, count)

    def on_client(self) -> int:
        count = drain(self.up)
        self.back += count
        self.last = time.monotonic()
        return count

    @property
    def relayed(self) -> int:
        return self.at_peer + self.back

    def close(self) -> None:
        self.up.settimeout(1)
        self.client.delete()
        self.down.close()


class Load:
    """`options`: see main. A profile is a function that runs until a deadline."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        server, account = server_of(options), account_of(options)
        self.flows = [Flow(server, account, options.bytes) for _ in range(options.flows)]
        self.epoll = select.epoll()
        self.ready: dict[int, Callable[[], Any]] = {}
        self.returns: dict[int, Flow] = {}
        for flow in self.flows:
            self.epoll.register(flow.up, select.EPOLLIN)
            self.epoll.register(flow.down, select.EPOLLIN)
            self.ready[flow.up.fileno()] = flow.on_client
            self.ready[flow.down.fileno()] = flow.on_peer
            self.returns[flow.up.fileno()] = flow

    def pump(self, timeout_s: float) -> None:
        for number, _ in self.epoll.poll(timeout_s):
            self.ready[number]()

    def saturate(self, until: float) -> None:
        """Closed loop: each flow has `window` messages under way; what is lost is put back after a stall."""
        for flow in self.flows:
            flow.last = time.monotonic()
            flow.push(max(0, self.options.window - (flow.sent - flow.back - flow.lost)))
        while time.monotonic() < until:
            for number, _ in self.epoll.poll(POLL_S):
                count = self.ready[number]()
                if count and number in self.returns:
                    self.returns[number].push(count)
            self.put_back()

    def put_back(self) -> None:
        now = time.monotonic()
        for flow in self.flows:
            if now - flow.last > STALL_S:
                missing = flow.sent - flow.back - flow.lost
                flow.lost += missing
                flow.last = now
                flow.push(self.options.window)

    def pace(self, until: float) -> None:
        """Open loop: `rate` relayed packets a second, in bursts of `burst` over the flows in turn."""
        burst = self.options.burst
        gap = 2 * burst / self.options.rate
        due, index = time.monotonic(), 0
        while (now := time.monotonic()) < until:
            while due <= now:
                self.flows[index].push(burst)
                index = (index + 1) % len(self.flows)
                due += gap
            self.pump(0)

    def totals(self) -> tuple[int, int, int]:
        relayed = sum(flow.relayed for flow in self.flows)
        return relayed, sum(flow.sent for flow in self.flows), sum(flow.back for flow in self.flows)

    def run(self) -> dict[str, float]:
        profile = self.pace if self.options.rate else self.saturate
        profile(time.monotonic() + WARM_S)
        relayed, pid = self.totals()[0], self.options.pid
        started, before = time.monotonic(), cpu_ns(pid)
        profile(started + self.options.seconds)
        used, seconds, packets = cpu_ns(pid) - before, time.monotonic() - started, self.totals()[0] - relayed
        rss = rss_kib(pid)
        until = time.monotonic() + DRAIN_S
        while time.monotonic() < until:
            self.pump(0.01)
        _, sent, back = self.totals()
        for flow in self.flows:
            flow.close()
        return {
            "cpu_us": used / 1000 / packets,
            "kpps": packets / seconds / 1000,
            "lost": sent - back,
            "sent": sent,
            "rss_kib": rss,
            "busy": used / 1e9 / seconds,
        }


def parser(program: str, what: str | None) -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog=f"tests.bench.relay.{program}", description=what)
    words.add_argument("--server", required=True, metavar="ADDR:PORT")
    words.add_argument("--pid", type=int, required=True, help="the server's process")
    words.add_argument("--user", default="user")
    words.add_argument("--password", default="pass")
    words.add_argument("--realm", default="test.local")
    return words


def server_of(options: argparse.Namespace) -> tuple[str, int]:
    host, _, port = options.server.rpartition(":")
    return host, int(port)


def account_of(options: argparse.Namespace) -> Account:
    return Account(options.user, options.password, options.realm)


def main() -> None:
    words = parser("load", __doc__)
    words.add_argument("--flows", type=int, default=16)
    words.add_argument("--window", type=int, default=16, help="messages under way for each flow")
    words.add_argument("--bytes", type=int, default=160, help="payload")
    words.add_argument("--rate", type=int, default=0, help="relayed packets a second; 0: as fast as it goes")
    words.add_argument("--burst", type=int, default=1)
    words.add_argument("--seconds", type=float, default=2.0)
    words.add_argument("--core", type=int, default=1, help="the CPU core of the load")
    options = words.parse_args()
    os.sched_setaffinity(0, {options.core})
    print(json.dumps(Load(options).run()))


if __name__ == "__main__":
    main()
