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


def hold(backend: str, ceiling: str, value: int) -> bool:
    if backend == "self":
        return True
    if (backend, ceiling) != ("setrlimit(2)", "descriptors"):
        return False
    import resource  # at the start only

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if not 0 <= hard <= value:
        try:  # the hard one too: the relay takes all that it may have (loop.py)
            resource.setrlimit(resource.RLIMIT_NOFILE, (value, value))
        except (OSError, ValueError):  # a jail that refuses: it does not hold then
            return False
    return 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= value
