"""Cache policies on traces: the product's in a cache of equal objects, the referee's beside it, and an older rule.

`referee` runs libcachesim (GPL-3.0 or later, an independent implementation; a wheel from PyPI) as a program of its own.
`cloud_physics` reads data/cloudphysics.z: the objects of the 113,872 requests of data/cloudPhysicsIO.oracleGeneral.bin
in github.com/1a1a11a/libCacheSim, numbered by first appearance, 2 bytes little endian each, zlib. `oracle_general`
reads such a file itself (records of 24 bytes: time 4, object 8, size 4, next 8).
"""

import hashlib
import random
import struct
import subprocess
import sys
import zlib
from array import array
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from agent.core.shards.cache_s3fifo import S3Fifo
from agent.core.shards.cache_sieve import FLASH, RAM, Sieve

TRACE = Path(__file__).parent / "data" / "cloudphysics.z"
_REFEREE = """
import sys
import libcachesim
cache = getattr(libcachesim, sys.argv[1])(cache_size=int(sys.argv[2]))
request = libcachesim.Request()
request.obj_size = 1
data = sys.stdin.buffer.read()
found = bytearray()
for at in range(0, len(data), 4):
    request.obj_id = int.from_bytes(data[at : at + 4], "little") + 1
    found.append(cache.get(request))
sys.stdout.buffer.write(found)
"""


class Outcome(NamedTuple):
    """Shares of all requests."""

    hits: float
    writes: float
    each: bytes  # 1 for a hit

    @property
    def wear(self) -> float:
        """Flash bytes written for a byte that was served from the cache."""
        return self.writes / self.hits


class Notes:
    """What index.py is to the policies."""

    def __init__(self, slots: int) -> None:
        self._words = array("I", bytes(4 * slots))

    def note(self, slot: int) -> int:
        return self._words[slot]

    def set_note(self, slot: int, value: int) -> None:
        self._words[slot] = value


def plain_sieve(slots: int) -> Sieve:
    return Sieve(Notes(slots), 0)


def product_sieve(slots: int) -> Sieve:
    """As cache.py makes it where memory is small."""
    return Sieve(Notes(slots), slots)


def plain_s3fifo(slots: int) -> S3Fifo:
    """As in the paper: a tenth of the `slots` is the small queue, so the flash has only nine."""
    return S3Fifo(Notes(slots), slots * 9 // 10, slots // 10)


def product_s3fifo(slots: int) -> S3Fifo:
    """As cache.py makes it: 1 % of the slots in memory."""
    return S3Fifo(Notes(slots), slots, slots // 100)


def run(policy: Any, requests: "list[int]", slots: int) -> Outcome:
    """Every request asks, and on a miss offers."""
    where: dict[int, int] = {}
    content, free, writes, each = [0] * slots, list(range(slots - 1, -1, -1)), 0, bytearray()

    def place(name: int) -> None:
        nonlocal writes
        if free:
            slot = free.pop()
        else:
            slot = policy.victim()
            del where[content[slot]]
        content[slot] = name
        where[name] = slot
        policy.insert(slot)
        writes += 1

    for name in requests:
        slot = where.get(name, -1)
        is_hit = slot >= 0 or (policy.ram_max and policy.held(name) is not None)
        each.append(bool(is_hit))
        if slot >= 0:
            policy.touch(slot)
        elif not is_hit:
            key = _key(name)
            goes = policy.admit(key, bool(free))
            if goes == FLASH:
                place(name)
            elif goes == RAM:
                for promoted, _ in policy.hold(name, key, True):
                    place(promoted)
    return Outcome(sum(each) / len(requests), writes / len(requests), bytes(each))


def second_miss_lru(requests: "list[int]", slots: int) -> Outcome:
    """LRU that takes in what was missed twice, with a memory for twice its size (Saturn's level 2)."""
    kept: OrderedDict[int, bool] = OrderedDict()
    ghost: OrderedDict[int, bool] = OrderedDict()
    writes, each = 0, bytearray()
    for name in requests:
        each.append(name in kept)
        if name in kept:
            kept.move_to_end(name)
        elif ghost.pop(name, False):
            writes += 1
            kept[name] = True
            if len(kept) > slots:
                kept.popitem(last=False)
        else:
            ghost[name] = True
            if len(ghost) > 2 * slots:
                ghost.popitem(last=False)
    return Outcome(sum(each) / len(requests), writes / len(requests), bytes(each))


def referee(policy: str, requests: "list[int]", slots: int) -> bytes:
    """1 for each hit of libcachesim's `policy`. Raises CalledProcessError without it."""
    data = array("I", requests).tobytes()
    command = [sys.executable, "-c", _REFEREE, policy, str(slots)]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def zipf(count: int, objects: int, alpha: float, seed: int, once_permille: int = 0) -> "list[int]":
    """Some of them asked for only once."""
    chance = random.Random(seed)
    weights = [1 / (rank + 1) ** alpha for rank in range(objects)]
    drawn = chance.choices(range(objects), weights, k=count)
    return [objects + number if chance.randrange(1000) < once_permille else each for number, each in enumerate(drawn)]


def cloud_physics() -> "list[int]":
    return array("H", zlib.decompress(TRACE.read_bytes())).tolist()


def oracle_general(path: Path) -> "list[int]":
    """Object numbers by first appearance."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(record[1], len(numbers)) for record in struct.iter_unpack("<IQIq", path.read_bytes())]


def _key(name: int) -> int:
    """40 bits, as evenly distributed as those of a shard's name."""
    return int.from_bytes(hashlib.blake2b(name.to_bytes(8, "big"), digest_size=5).digest(), "big")
