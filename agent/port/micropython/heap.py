"""What MicroPython's heap has room for (contract.Heap), whatever the board allows."""

SLOT_BYTES_MAX = 65536  # a small heap and small slots belong together (design section 7)
PLACES_MAX = 8  # each takes 3 KiB, also one that is told 503
