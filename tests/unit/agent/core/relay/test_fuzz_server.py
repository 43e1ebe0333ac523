"""Invariant: whatever clients, peers and the driver do, nothing raises, every table stays within its bound, and neither
ToPeer nor an open Channel ever goes to a peer that the policy refuses; when all has ended the tables are empty.

Seeded; CORELET_FULL=1 takes seven times as many steps.
"""

import gc
import os

from agent.core.relay.server import Relay  # noqa: F401  before the rest: the heap is small

gc.collect()
from tests.unit.agent.core.relay import relaying  # noqa: E402, F401  # isort: skip

gc.collect()  # the import before leaves splinters
from tests.unit.agent.core.relay.fuzzing import Fuzz  # noqa: E402  # isort: skip

STEPS = 20000 if os.getenv("CORELET_FULL") == "1" else 3000


def test_sequences() -> None:
    for seed in range(1, 5):
        Fuzz(seed).run(STEPS)
