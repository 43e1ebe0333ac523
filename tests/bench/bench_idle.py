"""What a paired device costs while nothing happens, measured from outside: /proc of its process.

The devices are restarted after pairing, so that what only pairing needs (pycryptodome) is not loaded; /proc/PID/maps
proves it. A wake-up is a voluntary context switch of any thread (paho's own thread would be one of its own).
"""

import os
import sys
import time
from pathlib import Path

from tests.bench.bed import Bed, alone, settle
from tests.bench.report import Report, parser
from tests.programs import switches
from tools.demonstration import HEAP

SETTLE_S = 20  # after a start mDNS announces itself again and again for a while
RSS_MB_MAX = 36.0  # CPython
WAKE_UPS_MAX = {"CPython": 2.0, "MicroPython": 1.0}
TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")


def ticks(pid: int) -> int:
    """CPU ticks, user and system, of the process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def memory_mb(pid: int) -> dict[str, float]:
    """Rss, Pss and Anonymous in MB of 1024 KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return {name: sizes[name] for name in ("Rss", "Pss", "Anonymous")}


def mapped_crypto(pid: int) -> int:
    """Mapped files of pycryptodome; its folder is called Crypto."""
    names = {line.split(None, 5)[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}
    return sum("/Crypto/" in name or "/Cryptodome/" in name for name in names)


def tell(report: Report, kind: str, pid: int, before: tuple[int, int], seconds: float) -> None:
    rate = (switches(pid) - before[0]) / seconds
    used_ms = (ticks(pid) - before[1]) * TICK_MS
    memory, mapped = memory_mb(pid), mapped_crypto(pid)
    limit = WAKE_UPS_MAX[kind]
    is_cpython = kind == "CPython"
    sizes = f"{memory['Rss']:.1f} MB (PSS {memory['Pss']:.1f}, anonymous {memory['Anonymous']:.1f})"
    if is_cpython:
        report.row(f"{kind}: RSS", sizes, f"<= {RSS_MB_MAX:.0f} MB", memory["Rss"] <= RSS_MB_MAX)
        report.row(f"{kind}: pycryptodome mapped", f"{mapped} files", "0 files", mapped == 0)
        report.row(f"{kind}: wake-ups", f"{rate:.2f}/s", f"<= {limit:.0f}/s", rate <= limit)
    else:
        report.row(f"{kind}: heap it was given", HEAP)
        report.row(f"{kind}: RSS", sizes)
        report.row(f"{kind}: wake-ups", f"{rate:.2f}/s", f"< {limit:.0f}/s", rate < limit)
    report.row(f"{kind}: CPU", f"{used_ms} ms in {seconds:.0f} s")
    figures = {"wake_ups_s": rate, "cpu_ms": used_ms, "seconds": seconds, "crypto_files": mapped, **memory}
    report.figure(kind, figures)


def main() -> int:
    arguments = parser("bench_idle", __doc__)
    arguments.add_argument("--seconds", type=int, default=60)
    options = arguments.parse_args()
    is_alone = alone("tests.bench.bench_idle")
    report = Report(f"A paired device, idle for {options.seconds} s")
    if not is_alone:
        report.notes.append(
            "Not in a network of its own (needs root, iproute2): other mDNS traffic on loopback is counted too."
        )
    with Bed(report) as bed:
        bed.begin()
        bed.pair_all()
        bed.restart()
        settle(report, SETTLE_S)
        pids = {kind: bed.devices[name].pid for name, kind in bed.kinds.items()}
        before = {kind: (switches(pid), ticks(pid)) for kind, pid in pids.items()}
        started = time.monotonic()
        report.say(f"watching them do nothing for {options.seconds} s ...")
        time.sleep(options.seconds)
        for kind, pid in pids.items():
            tell(report, kind, pid, before[kind], time.monotonic() - started)
    report.notes.append(
        "MicroPython's RSS is that of the PyPI test package, which runs inside a CPython process (about 12 MB of it);"
        " a native build of 64 bits was measured at 2 to 3 MB with a smaller agent."
    )
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
