"""Ceilings in force = min(profile, owner).

The owner may lower a ceiling, never raise it; a core may ask for less than the result, never for more.
"""

# What this version holds by itself (of flash_bytes_day: what the shard store writes); who else holds something:
# agent/core/ceilings.py.
# (ceiling, what it is, divisor to the unit named there; 0: bytes): how `corelet up` and `status` show them.
ENFORCED = (
    ("shard_bytes", "of shards", 0),
    ("flash_bytes_day", "written to flash a day", 0),
    ("shard_bps", "Mbit/s of shards, both ways together", 1000000),
    ("relay_bps", "Mbit/s relayed each way", 1000000),
    ("allocations", "relay allocations", 1),
    ("connections", "connections", 1),
    ("log_bytes", "of logs", 0),
)
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def in_force(profile: dict[str, int], owner: dict[str, int]) -> dict[str, int]:
    """The smaller of the two for every ceiling of the profile."""
    return {name: min(profile[name], owner.get(name, profile[name])) for name in sorted(profile)}


def amount(count: int) -> str:
    """1536 -> "1.5 KiB", as the full core says it."""
    unit = 0
    while count >= 1024 ** (unit + 1) and unit + 1 < len(UNITS):
        unit += 1
    return f"{count / 1024**unit:.1f} {UNITS[unit]}" if unit else f"{count} B"


def counted(number: int, things: str) -> str:
    """(2, "cores") -> "2 cores"; (1, "cores") -> "1 core"."""
    return f"{number} {things[:-1] if number == 1 and things.endswith('s') else things}"


def shown(ceilings: dict[str, int]) -> list[str]:
    """One phrase for each ceiling that is enforced: "4.0 GiB of shards"."""
    return [
        counted(ceilings[name] // size, what) if size else amount(ceilings[name]) + " " + what
        for name, what, size in ENFORCED
        if name in ceilings
    ]
