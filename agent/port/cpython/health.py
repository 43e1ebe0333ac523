"""What the board measures about itself, with psutil (contract.Health), which is loaded at the first sample only."""

import importlib
import importlib.util
import os
import sys
import time

from agent.port import board

if False:
    from typing import Any

_last_cpu: list[tuple[float, float]] = []  # (busy, all) seconds at the last sample

# (feature, module, package): what the device cannot do without it.
NEEDS = (
    ("tls", "ssl", "OpenSSL support (Debian: python3 built with libssl)"),
    ("sha1", "_sha1", "hashlib with SHA-1"),
    ("aes", "Crypto", "the package pycryptodome (pip install pycryptodome)"),
    ("link", "paho", "the package paho-mqtt (pip install paho-mqtt)"),
    ("discovery", "zeroconf", "the package zeroconf (pip install zeroconf)"),
    ("telemetry", "psutil", "the package psutil (pip install psutil)"),
    ("codec", "cbor2", "the package cbor2 (pip install cbor2)"),
)


def _cpu_permille(psutil: "Any") -> int | None:
    times = psutil.cpu_times()
    everything = sum(times[:8])  # the guest columns are inside user and nice already
    busy = everything - times.idle - getattr(times, "iowait", 0.0)
    last = _last_cpu[0] if _last_cpu else None
    _last_cpu[:] = [(busy, everything)]
    if last is None or everything <= last[1]:
        return None
    return min(1000, max(0, int(1000 * (busy - last[0]) / (everything - last[1]))))


def _temperature_mc(psutil: "Any") -> "int | None":
    """The hottest sensor."""
    read = getattr(psutil, "sensors_temperatures", None)
    found = [sensor.current for group in (read() if read else {}).values() for sensor in group if sensor.current]
    return int(max(found) * 1000) if found else None


def sample(folder: str) -> dict[str, int]:
    try:
        psutil: Any = importlib.import_module("psutil")
    except ImportError:  # said at the start (missing_features); what is not measured is absent
        return {"uptime_s": int(time.clock_gettime(time.CLOCK_BOOTTIME))}
    memory, network = psutil.virtual_memory(), psutil.net_io_counters()
    values = {
        "cpu_permille": _cpu_permille(psutil),
        "memory_total_kib": memory.total // 1024,
        "memory_free_kib": memory.available // 1024,
        "process_kib": psutil.Process().memory_info().rss // 1024,
        "storage_free_bytes": psutil.disk_usage(folder).free,
        "temperature_mc": _temperature_mc(psutil),
        "net_rx_bytes": network.bytes_recv if network else None,
        "net_tx_bytes": network.bytes_sent if network else None,
        "uptime_s": int(time.clock_gettime(time.CLOCK_BOOTTIME)),
    }
    return {key: value for key, value in values.items() if value is not None}


def board_evidence() -> dict[str, str]:
    version = ".".join([str(part) for part in sys.version_info[:3]])
    return board.evidence(os.uname().machine, "cpython " + version)


def missing_features() -> list[tuple[str, str]]:
    missing = []
    for feature, module, package in NEEDS:
        if importlib.util.find_spec(module) is None:
            missing.append(
                (feature, f"This Python has no {feature}: install {package}; the feature is off until then.")
            )
    return missing
