"""Invariant: whatever a router answers, the machine raises PeerError("portmap" | "igd" | "reach") or nothing; it sends
only to the gateway and to SSDP's group, at most one question for an answer; its tables hold no more than the wants; and
a good router that comes afterwards maps them all.

Seeded; CORELET_FULL=1 runs FULL times as much.
"""

import os
import random

from agent.core.relay.reach import Reach
from agent.errors import PeerError
from tests.unit.agent.core.relay.test_reach import GATEWAY, NONCE, OWN, WANTS, Router, carry

FULL = 40
ROUNDS = (FULL if os.environ.get("CORELET_FULL") == "1" else 1) * 150
STEPS = 80
SERVED = ("PCP", "NAT-PMP", "UPnP")
WORDS = (b"LOCATION: http://11.22.33.9:80/x\r\n", b"<errorCode>718</errorCode>", b"HTTP/1.1 200 OK\r\n\r\n", b"http://")


def spoiled(seed: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(seed.choice((0, 0, 1, 3, 9))):
        at = seed.randrange(len(made) + 1)
        made[at : at + seed.randrange(4)] = seed.choice((seed.randbytes(seed.randrange(5)), seed.choice(WORDS)))
    return bytes(made[: seed.randrange(len(made) + 1)] if seed.random() < 0.1 else made)


def play(seed: random.Random) -> Reach:
    reach = Reach(seed.randbytes, NONCE, WANTS, 7200)
    reach.set_network(OWN, GATEWAY, 0)
    router = Router(tuple(name for name in SERVED if seed.random() < 0.6))
    now = 0
    for _ in range(STEPS):
        now = max(now, reach.wake_at or now) if seed.random() < 0.5 else now + seed.randrange(300)
        reach.wake(now)
        router.address = seed.choice((b"\x0b\x16\x21\x01", seed.randbytes(4)))
        router.epoch_s, router.lifetime_s = seed.randrange(1 << 32), seed.choice((0, 1, 120, 7200, 0xFFFFFFFF))
        router.result = seed.choice((0, 0, 0, 3, 8))
        for data, destination in reach.drain_outgoing():
            assert destination[1] == GATEWAY or destination == (17, "239.255.255.250", 1900)
            answer = router.answer(data, destination) or seed.randbytes(seed.randrange(80))
            source = (17, GATEWAY, 1900) if destination[1] != GATEWAY else destination
            try:
                reach.receive(spoiled(seed, answer), source, now)
            except PeerError as error:
                assert error.code in ("portmap", "igd", "reach", "conflict", "permanent") and len(error.text) < 400
        assert len(reach.outgoing) <= 2  # a question, and the removal of what is no use
        assert len(reach.drain_events()) <= 2 * len(WANTS) and len(reach._mapped) <= len(WANTS) >= len(reach._ports)
    return reach


def test_whatever_a_router_answers() -> None:
    mapped = 0
    for number in range(ROUNDS):
        reach = play(random.Random(number))
        mapped += reach.state == "mapped"
        reach.drain_outgoing()
        now = 10**9
        for _ in range(3):
            carry(reach, Router(SERVED), now)
            now = reach.wake_at or now
        assert reach.state == "mapped" and all(reach.external(*want) for want in WANTS), number
    assert mapped, "the nonsense never led anywhere"
