"""Raspberry Pi Zero 2 W: 512 MB, SD card, Wi-Fi only."""

PROFILE = {
    "id": "raspberry-pi-zero-2w",
    "summary": "Raspberry Pi Zero 2 W: 512 MB, SD card, Wi-Fi",
    "kind": "sbc",
    "soc": "BCM2710A1",
    "arch": "aarch64",
    "endian": "little",
    "cores": 4,
    "mhz": 1000,
    "ram_kib": 524_288,
    "storage_kind": "sd",
    "state_free_kib_min": 131_072,
    "runtime": "cpython",
    "runtime_min": "3.11",
    "heap_kib": 1024,
    "needs": "CPython >= 3.11 and 128 MiB of free space on the card",
    "needs_features": ("tls",),
    "memory_kib": 65_536,
    "cpu_permille": 250,  # a quarter of one of four cores
    "shard_bytes": 4_294_967_296,
    "flash_bytes_day": 4_294_967_296,  # a consumer card of 32 GB for ten years
    "shard_bps": 20_000_000,  # what one 2.4 GHz radio carries
    "relay_bps": 10_000_000,  # one 2.4 GHz radio carries both directions
    "allocations": 64,
    "connections": 32,
    "log_bytes": 1_048_576,
    "slot_bytes": (65536, 262144, 1048576),
    "store_layout": "slabs",
    "sources": {
        "soc": "Linux DTS bcm2837-rpi-zero-2-w",
        "cores": "Linux DTS bcm2837-rpi-zero-2-w",
        "mhz": "unverified",
        "ram_kib": "Linux DTS bcm2837-rpi-zero-2-w",
    },
}
