"""Which device keeps which shard: weighted rendezvous hashing, gated on happiness. Pure; not a directory.

Every core computes the same order from the same roster, without a look-up. Weight is free quota, so fuller devices get
fewer shards; when a device leaves, only its own shards move (Thaler, Ravishankar 1998; weights by -w / ln(h)).
Happiness is Tahoe-LAFS's: the size of a maximum matching between shards and the devices that may hold them. Floats
order candidates here and are never signed.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

HASH_BITS = 52  # with the half added below, exactly what a float holds: never 0, never 1


def score(key: bytes, device: str, weight: float) -> float:
    """Larger is better; 0 for a device without room."""
    if weight <= 0:
        return 0.0
    digest = hashlib.sha256(len(key).to_bytes(2, "big") + key + device.encode("ascii")).digest()
    uniform = ((int.from_bytes(digest[:8], "big") >> (64 - HASH_BITS)) + 0.5) / (1 << HASH_BITS)
    return -weight / math.log(uniform)


def ranked(key: bytes, weights: Mapping[str, float]) -> list[str]:
    """Devices with room, best first for `key`; ties by name, so the order never depends on the mapping's."""
    able = [device for device, weight in weights.items() if weight > 0]
    return sorted(able, key=lambda device: (-score(key, device, weights[device]), device))


def place(key: bytes, weights: Mapping[str, float], shards: int) -> list[str]:
    """One device for each shard of a stripe, at most one shard per device; shorter when devices are too few."""
    return ranked(key, weights)[:shards]


def happiness(candidates: Sequence[Sequence[str]]) -> int:
    """How many shards can have a device of their own: maximum bipartite matching by augmenting paths (Kuhn).
    `candidates[i]` = devices that may hold shard i. Iterative, so that no roster can exhaust the stack."""
    holder: dict[str, int] = {}
    return sum(_augment(shard, candidates, holder) for shard in range(len(candidates)))


def _augment(start: int, candidates: Sequence[Sequence[str]], holder: dict[str, int]) -> bool:
    """Breadth-first search for a free device; on success the path's assignments are shifted along it."""
    reached_from: dict[str, int] = {}
    wave = [start]
    while wave:
        following = []
        for shard in wave:
            for device in candidates[shard]:
                if device in reached_from:
                    continue
                reached_from[device] = shard
                if device not in holder:
                    _shift(device, reached_from, holder, start)
                    return True
                following.append(holder[device])
        wave = following
    return False


def _shift(device: str, reached_from: Mapping[str, int], holder: dict[str, int], start: int) -> None:
    """Give `device` to the shard that reached it, that shard's old device to the one before, and so on to `start`."""
    had = {shard: name for name, shard in holder.items()}
    while True:
        shard = reached_from[device]
        holder[device] = shard
        if shard == start:
            return
        device = had[shard]
