"""Clock of MicroPython's Unix port (contract.Clock).

`ticks_ms` wraps (every 12.4 days on 32-bit interpreters), so the differences are added up. Somebody
must ask at least every 6 days; an idle device asks every few seconds.
"""

import time

_state = [0, -1]  # [milliseconds so far, last ticks; -1 = never asked]


def now_ms() -> int:
    ticks = time.ticks_ms()  # type: ignore[attr-defined]
    if _state[1] < 0:
        _state[0] = ticks
    else:
        _state[0] += time.ticks_diff(ticks, _state[1])  # type: ignore[attr-defined]
    _state[1] = ticks
    return _state[0]


def unix_time() -> int:
    return int(time.time())


def unix_ms() -> int:
    return time.time_ns() // 1_000_000
