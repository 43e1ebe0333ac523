"""GL.iNet GL-MT300N-V2 (Mango): a pocket router with 16 MiB of NOR flash; shards live on USB storage or extroot."""

PROFILE = {
    "id": "gl-mt300n-v2",
    "summary": "GL.iNet GL-MT300N-V2: small MIPS router, 128 MB, USB storage",
    "kind": "router",
    "soc": "MT7628AN",
    "arch": "mips32",
    "endian": "little",
    "cores": 1,
    "mhz": 580,
    "ram_kib": 131_072,
    "storage_kind": "spi-nor",
    "state_free_kib_min": 65_536,  # the NOR flash has under 1 MiB free: this is how USB storage or extroot shows
    "runtime": "micropython",
    "runtime_min": "1.25",
    "heap_kib": 512,  # half of it is free with the whole device loaded
    "needs": "a TLS-enabled interpreter >= 1.25 (package micropython-mbedtls) and USB storage or extroot for its state",
    "needs_features": ("tls",),
    "memory_kib": 8192,
    "cpu_permille": 200,
    "shard_bytes": 268_435_456,
    "flash_bytes_day": 536_870_912,
    "shard_bps": 40_000_000,
    "relay_bps": 4_000_000,
    "allocations": 16,
    "connections": 8,
    "log_bytes": 65_536,
    "slot_bytes": (65536,),  # larger slots would not fit the heap
    "store_layout": "slabs",  # USB storage and extroot are not UBIFS or JFFS2
    "sources": {
        "soc": "OpenWrt DTS mt7628an_glinet_gl-mt300n-v2",
        "cores": "SoCXin/MT7628",
        "mhz": "SoCXin/MT7628",
        "ram_kib": "the maker's firmware backup repository",
    },
}
