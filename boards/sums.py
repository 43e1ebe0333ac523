"""Whether the numbers of a profile fit each other, and what a machine that is smaller than its board lowers.

`check` finds what a profile promises beyond what the board has: slots beyond the flash, memory beyond its share of the
RAM, writes beyond the wear of the medium. `lower` lowers ceilings to what was probed, and never raises one.
No I/O. A nominal size of 0 is unknown until it is probed, and then nothing is said about it here.
"""

from agent.errors import UsageError

if False:
    from boards.schema import Profile


def wear(size: int, profile: "Profile") -> int:
    """Bytes that may be written to a medium of this size each day, so that it lasts `lifetime_years`."""
    amount = size * 1024 * profile["pe_cycles_assumed"] // profile["write_amp_assumed"]
    return int(amount // (profile["lifetime_years"] * 365))


def check(profile: "Profile", ceilings: "tuple[str, ...]") -> None:
    """`ceilings`: the names of all that there are. UsageError("profile") with the key, its value, the range and why."""
    slot, count = profile["system_slot_kib"], profile["system_slots"]
    memory = profile["ram_kib"] * profile["ram_share_permille"] // 1000
    flash, state = profile["flash_size_kib"], profile["state_size_kib"]
    up, other = profile["network_up_bps"], profile["network_down_bps"]
    amount = wear(state, profile)
    # An allocation has its client's descriptor and its peer's; logs, slabs, links and discovery have some 32.
    files = profile["connections"] + 2 * profile["allocations"] + 32
    for known, key, low, high, unit, why in (
        (count, "system_slot_kib", 1, 1 << 24, "KiB", "there are slots"),
        (flash and count, "system_slot_kib", 1, flash // (count or 1), "KiB", "all slots together fit the flash"),
        (flash, "state_size_kib", 0, flash - count * slot, "KiB", "what the slots leave of the flash"),
        (count, "code_kib_max", 0, slot, "KiB", "our code fits a slot"),
        (memory, "memory_kib", 0, memory, "KiB", "ram_share_permille of ram_kib"),
        (1, "heap_kib", 0, profile["memory_kib"], "KiB", "the heap is part of memory_kib"),
        (state, "state_free_kib_min", 0, state, "KiB", "it fits state_size_kib"),
        (state, "shard_bytes", 0, state * 1024 - profile["log_bytes"], "bytes", "state_size_kib without log_bytes"),
        (state, "flash_bytes_day", 0, amount, "bytes/day", "the wear of state_size_kib in lifetime_years"),
        (1, "relay_bps", 0, min(up, other), "bit/s", "relayed traffic both arrives and leaves"),
        (1, "shard_bps", 0, up + other, "bit/s", "network_up_bps and network_down_bps together"),
        (1, "throttle_celsius", 0, profile["stop_celsius"] - 1, "degrees Celsius", "it slows before it stops"),
        (1, "descriptors", files, 1 << 20, "descriptors", "for connections, allocations and what is its own"),
    ):
        if known and not low <= profile[key] <= high:
            _refuse(profile, key, profile[key], f"{low}..{high} {unit}: {why}")
    for name in profile["ceilings_required"]:
        if name not in ceilings:
            _refuse(profile, "ceilings_required", name, "names of ceilings: " + ", ".join(ceilings))


def _refuse(profile: "Profile", key: str, value: object, allowed: str) -> None:
    raise UsageError("profile", f"board {profile['id']}: {key} is {value!r}; allowed: {allowed}")


def lower(profile: "Profile", ceilings: "dict[str, int]", ram_kib: int, size: int) -> "dict[str, int]":
    """The ceilings on a machine with so much memory and a state folder on a file system of so many KiB (0: unknown):
    the smaller of nominal and probed decides."""
    found = dict(ceilings)
    ram_kib = min(ram_kib or profile["ram_kib"], profile["ram_kib"] or ram_kib)
    if ram_kib:
        found["memory_kib"] = min(found["memory_kib"], ram_kib * profile["ram_share_permille"] // 1000)
    size = min(size or profile["state_size_kib"], profile["state_size_kib"] or size)
    if size:
        found["shard_bytes"] = min(found["shard_bytes"], max(0, size * 1024 - found["log_bytes"]))
        found["flash_bytes_day"] = min(found["flash_bytes_day"], wear(size, profile))
    return found
