"""What CPython's heap has room for (contract.Heap): all that a board may ask for."""

SLOT_BYTES_MAX = 1 << 20
PLACES_MAX = 4096
RELAY_KIB = PAIRING_BYTES = 0
CACHE_BYTES_MAX = 1 << 30
PIECE_BYTES = (16384, 16384)
LANE_KIB = 0
IDLE_KIB = 40_960


def known_max() -> int:
    return 1024


def shards_max() -> int:
    return 0


def kib() -> int:
    return 0


def forget(_prefixes: tuple[str, ...]) -> None:
    """There is room for all."""


def has_room(_size: int) -> bool:
    return True
