"""Any Linux machine nobody has described yet: modest ceilings that hurt nobody."""

PROFILE = {
    "id": "generic-linux",
    "summary": "Any Linux machine without a profile of its own",
    "kind": "vm",
    "soc": "unknown",
    "arch": "any",
    "endian": "any",
    "cores": 0,
    "mhz": 0,
    "ram_kib": 0,
    "storage_kind": "any",
    "state_free_kib_min": 32_768,
    "runtime": "any",
    "runtime_min": "0.0",
    "heap_kib": 512,
    "needs": "32 MiB of free space for its state",
    "needs_features": (),
    "memory_kib": 65_536,  # an idle CPython device needs 36 MiB
    "cpu_permille": 250,
    "shard_bytes": 4_294_967_296,  # slab files grow to it, a few MiB at a time
    "flash_bytes_day": 8_589_934_592,  # an SD card of 32 GB lasts ten years at this rate
    "shard_bps": 200_000_000,
    "relay_bps": 20_000_000,
    "allocations": 64,
    "connections": 64,
    "log_bytes": 1_048_576,
    "slot_bytes": (65536, 262144, 1048576),
    "store_layout": "slabs",
    "sources": {
        "soc": "probed",
        "cores": "probed",
        "mhz": "probed",
        "ram_kib": "probed",
    },
}
