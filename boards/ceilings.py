"""The ceilings by their names, and the sizes of slots: what a core asks of births too, which needs no profile."""

# What the owner may lower and nobody can raise; in the order a person reads them.
CEILINGS = tuple(
    (
        "memory_kib cpu_permille shard_bytes flash_bytes_day shard_bps relay_bps network_up_bps "
        "network_down_bps network_up_mib_month network_down_mib_month allocations connections descriptors "
        "process_count throttle_celsius stop_celsius log_bytes"
    ).split()
)
SLOT_CLASSES = (65536, 262144, 1048576)  # bytes
