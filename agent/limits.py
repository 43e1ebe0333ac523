"""Ceilings in force = min(profile, owner).

The owner may lower a ceiling, never raise it; a core may ask for less than the result, never for more.
"""

# (ceiling, unit for people, divisor to that unit): how `corelet up` and `status` show them.
SHOWN = (
    ("memory_kib", "MiB of memory", 1024),
    ("cpu_permille", "% of one processor core", 10),
    ("shard_bytes", "MiB of shards", 1024 * 1024),
    ("flash_bytes_day", "MiB written to flash a day", 1024 * 1024),
    ("relay_bps", "Mbit/s relayed each way", 1000000),
    ("allocations", "relay allocations", 1),
    ("connections", "connections", 1),
    ("log_bytes", "KiB of logs", 1024),
)

# What this version holds by itself; the others wait for what they limit (relay, flash budget, cgroups).
ENFORCED = ("shard_bytes", "connections", "log_bytes")


def in_force(profile: dict[str, int], owner: dict[str, int]) -> dict[str, int]:
    """The smaller of the two for every ceiling of the profile."""
    return {name: min(profile[name], owner.get(name, profile[name])) for name in sorted(profile)}


def shown(ceilings: dict[str, int]) -> list[str]:
    """One phrase for each ceiling that is enforced, in the order of SHOWN: "4096 MiB of shards"."""
    return [
        str(ceilings[name] // size) + " " + unit for name, unit, size in SHOWN if name in ceilings and name in ENFORCED
    ]
