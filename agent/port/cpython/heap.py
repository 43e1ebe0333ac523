"""What CPython's heap has room for (contract.Heap): all that a board may ask for."""

SLOT_BYTES_MAX = 1 << 20
PLACES_MAX = 4096
RELAY_KIB = 0


def kib() -> int:
    return 0
