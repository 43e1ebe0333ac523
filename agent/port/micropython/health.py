"""What the board measures about itself, from /proc and /sys (contract.Health)."""

from agent.errors import PortError
from agent.port.micropython import files

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
    most = -1
    for zone in range(THERMAL_ZONES_MAX):
        words = _fields(f"/sys/class/thermal/thermal_zone{zone}/temp", "")
        if words and words[0].isdigit():
            most = max(most, int(words[0]))
    return most


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
    from agent.port.micropython import evidence  # of use at the start only (heap.ON_DEMAND)

    return evidence.board_evidence()


def missing_features() -> list[tuple[str, str]]:
    from agent.port.micropython import evidence

    return evidence.missing_features()
