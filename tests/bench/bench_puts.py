"""Durable puts of 64 KiB: how many a second, and what they write to the flash, beside one file for each shard.

Needs root: a file system of its own (ext4) on a loop device, whose block counters count only this. WA: bytes written to
the device, until `sync` has returned, for each byte that was put.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.report import Report, parser
from tests.bench.store_puts import READY
from tests.programs import interpreter

ROOT = Path(__file__).resolve().parents[2]
PUTS = 1024
PAYLOAD = 65536 - 128
WA_MAX, TIMES_MIN = 1.02, 8
COUNTED_MIN = 0.9922  # the store leaves a 128th of its day to the file system


@contextmanager
def own_disk(folder: Path) -> "Iterator[tuple[Path, Path]]":
    """(mount point, its block counters)."""
    image, mount = folder / "image", folder / "mount"
    mount.mkdir(exist_ok=True)
    image.unlink(missing_ok=True)
    image.touch()
    os.truncate(image, 400 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    loop = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    device = loop.stdout.strip()
    try:
        subprocess.run(["mount", device, mount], check=True)
        try:
            yield mount, Path("/sys/block") / Path(device).name / "stat"
        finally:
            subprocess.run(["umount", mount], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def written(mount: Path, counters: Path) -> int:
    """Bytes, once all is out."""
    subprocess.run(["sync", "-f", mount], check=True)
    return int(counters.read_text().split()[6]) * 512


def measure(runtime: str, waiting: int, words: "list[str]") -> "tuple[float, float, float]":
    """(puts a second, WA, flash bytes counted for each that was written)."""
    with tempfile.TemporaryDirectory() as name, own_disk(Path(name)) as (mount, counters):
        command = [
            *interpreter(runtime),
            "tests/bench/store_puts.py",
            str(mount / "s"),
            str(PUTS),
            str(waiting),
            *words,
        ]
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin and process.stdout
        if process.stdout.readline().strip() != READY:
            sys.exit("bench_puts: it did not start; that is a defect, not a figure")
        before = written(mount, counters)
        found = dict(line.split() for line in process.communicate("go\n")[0].splitlines())
        count = written(mount, counters) - before
        return PUTS / float(found["S"]), count / (PUTS * PAYLOAD), int(found.get("COUNTED", 0)) / count


def main() -> int:
    arguments = parser("bench_puts", __doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    report = Report(f"{PUTS} durable puts of 64 KiB")
    if os.geteuid():
        report.notes.append("Needs root, for a file system on a loop device: nothing was measured.")
        report.close(options.json)
        return 0
    ratios = []
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(options.rounds):
        for what, runtime, waiting, words in (
            ("a file each, 1", "cpython", 1, ["FILES"]),
            ("a file each, 32 waiting", "cpython", 32, ["FILES"]),
            ("store on CPython, 32 waiting", "cpython", 32, []),
            ("store on CPython, 1", "cpython", 1, []),
            ("store on MicroPython, 32 waiting", "micropython", 32, []),
        ):
            report.say(what)
            rows.setdefault(what, []).append(measure(runtime, waiting, words))
        speeds = [rows[what][-1][0] for what in list(rows)[:3]]
        ratios.append((speeds[2] / speeds[0], speeds[2] / speeds[1]))
    for what, found in rows.items():
        report.spread(f"{what}: puts", [row[0] for row in found], "a second")
        amplification = [row[1] for row in found]
        is_store = what.startswith("store")
        is_met = statistics.median(amplification) <= WA_MAX if is_store else None
        text = " ".join(f"{value:.4f}" for value in amplification)
        report.row(f"{what}: WA", text, f"<= {WA_MAX}" if is_store else "", is_met)
        if is_store:
            least = min(row[2] for row in found)
            text = f"{least:.4f} at least"
            report.row(f"{what}: counted for each byte written", text, f">= {COUNTED_MIN}", least >= COUNTED_MIN)
    for place, what in enumerate(("one file at a time", "files, 32 waiting")):
        times = [ratio[place] for ratio in ratios]
        is_met = statistics.median(times) >= TIMES_MIN
        report.spread(f"store on CPython, 32 waiting, against {what}", times, "x", f">= {TIMES_MIN}", is_met)
    report.close(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
