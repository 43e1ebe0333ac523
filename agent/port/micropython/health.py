"""What the board measures about itself, from /proc and /sys (contract.Health)."""

import os
import sys

from agent.errors import PortError
from agent.port import board
from agent.port.micropython import files

# _mpy's bits 10 and up: the machine code this interpreter takes (py/persistentcode.h).
ARCHITECTURES = " x86 x86_64 armv6 armv6m armv7m armv7em armv7em armv7em xtensa xtensawin".split(" ")
PACKAGE = "the OpenWrt package micropython-mbedtls (1.25 or newer), or a build with MICROPY_PY_SSL and MBEDTLS"
THERMAL_ZONES_MAX = 8
_last_cpu: "list[tuple[int, int]]" = []  # (busy, all) ticks at the last sample


def _fields(path: str, start: str) -> list[str]:
    """The words of the first line that begins with `start`, without it; [] when there is none."""
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(start):
                    return line[len(start) :].split()
    except OSError:
        return []
    return []


def _cpu_permille() -> int:
    """-1 when unknown. Columns: user nice system idle iowait irq softirq steal, guests inside user."""
    ticks = [int(word) for word in _fields("/proc/stat", "cpu ")[:8]]
    if len(ticks) < 5:
        return -1
    everything = sum(ticks)
    busy = everything - ticks[3] - ticks[4]
    last = _last_cpu[0] if _last_cpu else (0, everything)
    _last_cpu[:] = [(busy, everything)]
    if everything <= last[1]:
        return -1
    return min(1000, max(0, 1000 * (busy - last[0]) // (everything - last[1])))


def _temperature_mc() -> int:
    """The hottest zone; -1 when there is none."""
    hottest = -1
    for zone in range(THERMAL_ZONES_MAX):
        text = board.read_text(f"/sys/class/thermal/thermal_zone{zone}/temp")
        if text.isdigit():
            hottest = max(hottest, int(text))
    return hottest


def _network_bytes() -> tuple[int, int]:
    """(received, sent) over all interfaces, loopback included as psutil does."""
    received, sent = 0, 0
    try:
        with open("/proc/net/dev") as file:
            for line in file:
                _, colon, rest = line.partition(":")
                words = rest.split()
                if colon and len(words) > 8:
                    received += int(words[0])
                    sent += int(words[8])
    except OSError:
        return -1, -1
    return received, sent


def _kib(path: str, start: str) -> int:
    words = _fields(path, start)
    return int(words[0]) if words else -1


def _free_bytes(folder: str) -> int:
    try:
        return files.free_bytes(folder)
    except PortError:
        return -1


def sample(folder: str) -> dict[str, int]:
    received, sent = _network_bytes()
    free_kib = _kib("/proc/meminfo", "MemAvailable:")
    uptime = _fields("/proc/uptime", "")
    values = {
        "cpu_permille": _cpu_permille(),
        "memory_total_kib": _kib("/proc/meminfo", "MemTotal:"),
        "memory_free_kib": free_kib if free_kib >= 0 else _kib("/proc/meminfo", "MemFree:"),
        "process_kib": _kib("/proc/self/status", "VmRSS:"),
        "storage_free_bytes": _free_bytes(folder),
        "temperature_mc": _temperature_mc(),
        "net_rx_bytes": received,
        "net_tx_bytes": sent,
        "uptime_s": int(uptime[0].split(".")[0]) if uptime else -1,
    }
    return {key: values[key] for key in values if values[key] >= 0}


def board_evidence() -> dict[str, str]:
    code = (sys.implementation._mpy >> 10) & 15
    architecture = ARCHITECTURES[code] if code < len(ARCHITECTURES) else ""
    version = ".".join([str(part) for part in sys.implementation.version[:3]])
    return board.evidence(architecture, "micropython " + version)


def _has(module: str, name: str) -> bool:
    try:
        return name in dir(__import__(module))
    except ImportError:
        return False


def missing_features() -> list[tuple[str, str]]:
    missing = []
    for feature, module, name in (
        ("tls", "tls", "SSLContext"),
        ("sha1", "hashlib", "sha1"),
        ("aes", "cryptolib", "aes"),
    ):
        if not _has(module, name):
            text = f"This MicroPython has no {feature} ({module}.{name}): install {PACKAGE}; "
            missing.append((feature, text + "the feature is off until then."))
    if "system" not in dir(os):
        missing.append(("shell", "This MicroPython has no os.system: start it with umask 077, then none is needed."))
    return missing
