"""`both`: a test of the store runs in both layouts. To be imported first: what it loads is compiled while the heap is
empty."""

import gc

from agent.core.shards import log_store  # noqa: F401

from tests.unit.agent.core.shards.rig import Rig  # isort: skip


def both(test):
    def run():
        for layout in ("slabs", "log"):
            Rig.layout = layout
            gc.collect()
            try:
                test()
            finally:
                Rig.layout = "slabs"

    return run
