"""The bandwidth ceiling, read from the counters of the wire: reached within 5 %, never passed, shared fairly.

The clients are in one namespace with their peers, the relay in another: what leaves its interface is what it relays.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.bench.relay.turn import Account
from tests.e2e.relay.caller import Caller, Peer
from tests.e2e.relay.servers import IS_FULL, REALM, Server, on_both, rest_credentials
from tests.e2e.relay.wire import FAR, HOME, Wire

pytestmark = pytest.mark.alone
RATE_BPS = 4_000_000  # in each direction
SECONDS, SECONDS_ALONE = (60, 60) if IS_FULL else (5, 2)
PORT = 3478
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
    return Reading(seconds, rate, busiest(samples), shares, [flow.came / flow.sent for flow in flows])


def busiest(samples: list[tuple[float, int]]) -> float:
    """Of all windows of WINDOW_S that begin with a sample and end before the next one after them."""
    worst, end = 0.0, 0
    for when, count in samples:
        while end < len(samples) and samples[end][0] - when <= WINDOW_S:
            end += 1
        last, most = samples[end - 1]
        if last - when > WINDOW_S * 0.9:
            worst = max(worst, (most - count) * 8 / RATE_BPS / WINDOW_S)
    return worst


@pytest.fixture
def wire(tmp_path: Path, kind: str) -> Iterator[Wire]:
    own = f"--listen {HOME}:{PORT} --relay-ip {HOME} --allow-peers {FAR} --rate {RATE_BPS}"
    with Wire() as made, Server(kind, tmp_path, own=own, before=made.words("home")) as server:
        yield made
        assert server.report()["dropped"].get("ceiling", 0) > 0


@pytest.mark.parametrize("way", (UP, DOWN) if IS_FULL else (UP,))
@on_both
def test_one_user_alone_gets_all_of_it(wire: Wire, kind: str, way: str) -> None:
    reading = measured(wire, [("ann", 2.0, way)], SECONDS_ALONE)
    assert reading.is_at(1), reading


@on_both
def test_the_modest_lose_nothing_to_the_greedy(wire: Wire, kind: str) -> None:
    """In both directions at once."""
    offers = [("greedy", 2.5), ("modest", 0.25), ("wanting", 0.6)]
    reading = measured(wire, [(user, share, way) for way in (UP, DOWN) for user, share in offers], SECONDS)
    assert reading.is_at(2), reading
    for at in (0, len(offers)):
        greedy, modest, wanting = reading.shares[at : at + len(offers)]
        assert reading.kept[at + 1] >= 0.98, reading
        assert abs(greedy - wanting) <= 0.03, reading  # the rest in equal parts
