"""Whether the data listener has a fast lane, and of what: see quick.py, and hot.py or fresh.py behind it."""

from agent import port
from agent.service import http

if False:
    from collections.abc import Callable
    from typing import Any

    from agent.service.slabs import Slabs


def hot_bytes(memory_kib: int) -> int:
    """How much of a device's memory is for it: half of what is left; 0 in a heap that has no room for it."""
    if 0 < port.heap.kib() < port.heap.LANE_KIB:
        return 0
    return max(0, memory_kib - port.heap.IDLE_KIB) * 512


def make_hot(bytes_max: int, slabs: "Slabs") -> "Any":
    """hot.Hot, or fresh.Fresh where bodies have no room in memory; None without bytes. It hears what slots lose."""
    if not bytes_max:
        return None
    made: Any
    lane = port.lane()
    if lane.Block is not None:
        from agent.service.hot import Hot

        made = Hot(bytes_max, lane.Block)
    else:
        from agent.service.fresh import Fresh

        made = Fresh(slabs, lane.changed_s, port.heap.known_max() // 2)
    slabs.hot, slabs.store.space.gone = made, made.drop
    return made


def make_lane(parts: "Any", bandwidth: "Any", spawn: "Callable[..., Any]") -> "Any":
    """The port's lane for what `parts` (of Quick, the first one make_hot's) can answer, started by `spawn(name, run)`;
    None without."""
    hot, access, cores, claims = parts
    if hot is None:
        return None
    from agent.service.quick import Quick

    quick = Quick(hot, access, cores, claims, port.heap.known_max())
    if bandwidth is not None:
        bandwidth.take = port.lane().shared(bandwidth.take)
    lane = port.lane().Lane(quick.answer, http.LIMITS.head_ms)
    spawn("lane", lane.run)
    return lane
