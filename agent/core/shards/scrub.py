"""Which record is verified next, and when: all of them within PERIOD_MS, a small store more often. No I/O.

`mark`: where the scrub is, (slot bytes, slab number, place): it means the same after a restart, when positions of slabs
may be others. Slabs come in the order of their names, records as they lie in them.
"""

from agent.core.shards.index import SLOTS_A_SLAB_MAX, Index
from agent.core.shards.space import Space

PERIOD_MS = 30 * 24 * 3_600_000
PAUSE_MS_MAX = 600_000
START = (0, 0, 0)


class Scrub:
    def __init__(self, index: Index, space: Space) -> None:
        self.mark = START
        self._index = index
        self._space = space

    def pause_ms(self) -> int:
        """Until the next one."""
        return min(PAUSE_MS_MAX, PERIOD_MS // max(1, self._index.records))

    def take(self) -> int:
        """The slot to verify now, and the mark moves there; -1 when nothing is kept."""
        slabs = sorted([slab.name + (slab.position,) for slab in self._space.slabs if slab is not None])
        for mark in (self.mark, START):
            for slot_bytes, number, position in slabs:
                for slot in self._index.records_in(position):
                    here = (slot_bytes, number, slot % SLOTS_A_SLAB_MAX)
                    if here > mark or (mark == START and here >= mark):
                        self.mark = here
                        return slot
        return -1
