"""What MicroPython's heap has room for (contract.Heap), whatever the board allows."""

import gc
import sys

SLOT_BYTES_MAX = 65536  # a small heap and small slots belong together (design section 7)
RELAY_KIB = 752  # 768k on the command line: what the tests of a whole device with its relay run in; 640k failed some
PAIRING_BYTES = 57344  # 36 KiB of modules, and what it computes; a MemoryError after all is told as well
CACHE_BYTES_MAX = 0  # shards that are only cached are on the flash or nowhere
PIECE_BYTES = (2048, 4096)
LANE_KIB = 768  # a heap that holds the fast lane beside the device: 20 KiB of modules, its buffer, what it remembers
IDLE_KIB = 0
PLACES_MAX = 8  # each takes 3 KiB, also one that is told 503
# What only pairing and signatures (crypto.py) or a start need (health.py, files.py).
_SELDOM = ("board", "folders", "micropython.ladder", "micropython.ccm", "micropython.evidence")
ON_DEMAND = tuple(["agent.port." + name for name in _SELDOM] + ["ota.p256"])


def kib() -> int:
    total: int = gc.mem_alloc() + gc.mem_free()  # type: ignore[attr-defined]
    return total // 1024


def has_room(size: int) -> bool:
    gc.collect()
    return gc.mem_free() >= size  # type: ignore[attr-defined,no-any-return]


def forget(prefixes: "tuple[str, ...]") -> None:
    for name in list(sys.modules):
        if name.startswith(prefixes + ON_DEMAND):
            del sys.modules[name]
            package, _, part = name.rpartition(".")
            if package in sys.modules and hasattr(sys.modules[package], part):
                delattr(sys.modules[package], part)
    gc.collect()


def shards_max() -> int:
    """Measured with a core connected: at 512k 2,048 work and 4,096 leave no room for a put; at 1m 16,384 work."""
    return max(16, (kib() - 442) * 32)


def hold(backend: str, _name: str, value: int) -> bool:
    """The heap is all that grows; the interpreter itself has 2.9 MB beside it, measured."""
    return backend == "self" or backend == "micropython" and kib() + 3072 <= value


def known_max() -> int:
    return kib() // 2  # 200 bytes each; half as many shards in fresh.py, 500 bytes each
