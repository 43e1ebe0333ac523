"""Clock of CPython (contract.Clock)."""

import time


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def unix_time() -> int:
    return int(time.time())


def unix_ms() -> int:
    return time.time_ns() // 1_000_000
