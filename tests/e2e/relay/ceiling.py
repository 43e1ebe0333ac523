"""What a relay with a ceiling lets pass of what its users offer, read from the counters of the wire it is behind.

The clients are in one namespace with their peers, the relay in another: what leaves its interface is what it relays.
For tests/e2e/relay/test_ceiling.py and tests/bench/relay/ceiling.py.
"""

import contextlib
import time
from typing import NamedTuple

from tests.bench.relay.turn import Account
from tests.e2e.relay.caller import Caller, Peer
from tests.e2e.relay.servers import REALM, rest_credentials
from tests.e2e.relay.wire import FAR, HOME, Wire

RATE_BPS = 4_000_000  # in each direction
PORT = 3478
OPTIONS = f"--listen {HOME}:{PORT} --relay-ip {HOME} --allow-peers {FAR} --rate {RATE_BPS}"
PAYLOAD = 1000
TICK_S = 0.004
STARTING_S = 1.0  # the burst that a pause allows is over
WINDOW_S = 1.0
UP, DOWN = "up", "down"


class Flow:
    """One user with a channel. `share`: what it offers, as a part of the ceiling; `came`: bytes, on the IP level."""

    def __init__(self, user: str, share: float, way: str) -> None:
        name, password = rest_credentials(int(time.time()) + 3600, user)
        self.caller = Caller((HOME, PORT), Account(name, password, REALM))
        self.peer = Peer(FAR)
        self.way = way
        self.share = share
        self.sent = self.came = 0
        self.due = 0.0
        self.caller.allocate()
        assert self.caller.channel(0x4001, self.peer.address) == 0
        self.each = PAYLOAD + 28 + (4 if way == DOWN else 0)
        for sock in (self.caller.socket, self.peer.socket):
            sock.setblocking(False)

    def push(self, seconds: float) -> None:
        """What is due, then take in what came."""
        self.due += seconds * self.share * RATE_BPS / 8 / self.each
        for _ in range(int(self.due)):
            with contextlib.suppress(BlockingIOError):
                if self.way == UP:
                    self.caller.frame(0x4001, bytes(PAYLOAD))
                else:
                    self.peer.send(bytes(PAYLOAD), self.caller.relayed)
                self.sent += self.each
        self.due %= 1
        sock = self.peer.socket if self.way == UP else self.caller.socket
        with contextlib.suppress(BlockingIOError):
            while sock.recv(4096):
                self.came += self.each

    def close(self) -> None:
        self.caller.socket.close()
        self.peer.socket.close()


class Reading(NamedTuple):
    seconds: float
    rate: float  # of all, as a part of the ceiling
    worst: float  # the same of the busiest WINDOW_S
    least: float  # and of the idlest
    shares: list[float]  # of each flow, as a part of the ceiling
    kept: list[float]  # of each flow, as a part of what it sent

    def is_at(self, ceilings: int) -> bool:
        """The counter has answers to the clients too, a few hundred bytes."""
        return 0.95 * ceilings <= self.rate <= ceilings and self.worst <= ceilings


def measured(wire: Wire, offers: list[tuple[str, float, str]], at_least_s: float) -> Reading:
    with wire.inside("far"):
        flows = [Flow(*offer) for offer in offers]
    began = then = time.monotonic()
    samples: list[tuple[float, int]] = []
    while (now := time.monotonic()) < began + STARTING_S + at_least_s:
        for flow in flows:
            flow.push(now - then)
            if not samples:
                flow.sent = flow.came = 0
        then = now
        if now - began >= STARTING_S:
            samples.append((time.monotonic(), wire.sent("home", wire.home_link)))
        time.sleep(TICK_S)
    for flow in flows:
        flow.close()
    seconds = samples[-1][0] - samples[0][0]
    whole = RATE_BPS / 8 * seconds
    shares = [flow.came / whole for flow in flows]
    rate = (samples[-1][1] - samples[0][1]) / whole
    counts = windows(samples)
    worst = max((count / WINDOW_S for _, count in counts), default=0.0) * 8 / RATE_BPS
    least = min((count / passed for passed, count in counts), default=0.0) * 8 / RATE_BPS
    return Reading(seconds, rate, worst, least, shares, [flow.came / flow.sent for flow in flows])


def windows(samples: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """(seconds, bytes) of all that begin with a sample and end before the next one after WINDOW_S."""
    found, end = [], 0
    for when, count in samples:
        while end < len(samples) and samples[end][0] - when <= WINDOW_S:
            end += 1
        last, most = samples[end - 1]
        if last - when > WINDOW_S * 0.9:
            found.append((last - when, most - count))
    return found
