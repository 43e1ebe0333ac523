"""What tells boards apart, read from /proc and /sys; the same on both interpreters, which add their own facts."""

import sys

EVIDENCE_CHARS_MAX = 120
ARCH_FILE = "/proc/sys/kernel/arch"


def read_text(path: str) -> str:
    """A small file of /proc or /sys on one line; "" when absent. NULs (device tree lists) become blanks."""
    try:
        with open(path, "rb") as file:
            data = file.read(1024)
    except OSError:
        return ""
    kept = bytes([byte if 32 <= byte < 127 else 32 for byte in data])
    return kept.decode().strip()[:EVIDENCE_CHARS_MAX]


def cpuinfo_machine() -> str:
    """The board's name as MIPS and ARM kernels give it; "" on x86."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip().lower() in ("machine", "model", "hardware") and not value.strip().isdigit():
                    return value.strip()[:EVIDENCE_CHARS_MAX]
    except OSError:
        return ""
    return ""


def _read_line(path: str, start: str) -> str:
    """What follows `start` on the first line that begins with it; "" when there is none."""
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(start):
                    return line[len(start) :].strip()[:EVIDENCE_CHARS_MAX]
    except (OSError, ValueError):  # ValueError: it is not UTF-8
        return ""
    return ""


def evidence(architecture: str, runtime: str) -> dict[str, str]:
    """contract.Health.board_evidence; what is not known is absent."""
    found = {
        "dt_compatible": read_text("/proc/device-tree/compatible"),
        "dmi_product": read_text("/sys/class/dmi/id/product_name"),
        "cpuinfo_machine": cpuinfo_machine(),
        "os_release_id": _read_line("/etc/os-release", "ID=").strip("\"'"),
        "ram_kib": _read_line("/proc/meminfo", "MemTotal:").split(" ")[0],
        "endian": sys.byteorder,
        "architecture": read_text(ARCH_FILE) or architecture,
        "runtime": runtime,
    }
    return {key: found[key] for key in found if found[key]}
