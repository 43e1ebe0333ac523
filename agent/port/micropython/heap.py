"""What MicroPython's heap has room for (contract.Heap), whatever the board allows."""

import gc

SLOT_BYTES_MAX = 65536  # a small heap and small slots belong together (design section 7)
RELAY_KIB = 576  # 80 KiB of modules, and what pairing and allocations take then
PLACES_MAX = 8  # each takes 3 KiB, also one that is told 503


def kib() -> int:
    total: int = gc.mem_alloc() + gc.mem_free()  # type: ignore[attr-defined]
    return total // 1024
