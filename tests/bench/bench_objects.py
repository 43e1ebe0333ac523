"""Storing and reading a file through a full core and three devices, beside what the same disk does with plain copies.

The peer writes the file three times and flushes each copy (2/3 coding writes 1.5 times the file, once per device). It
does not encrypt, hash, code, or cross a network, and all its copies die with one disk: the ratio is the price of that.
"""

import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from tests.bench.bed import Bed, alone
from tests.bench.report import Report, parser, rounds
from tools.demonstration import sha256

MB = 1_000_000
COPIES = 3


def sample(file: Path, size_bytes: int) -> None:
    """Random bytes: nothing on the way can save itself work."""
    with file.open("wb") as stream:
        for start in range(0, size_bytes, MB):
            stream.write(os.urandom(min(MB, size_bytes - start)))


def copied_and_flushed(file: Path, target: Path) -> None:
    shutil.copyfile(file, target)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def timed(action: object, *words: object) -> float:
    started = time.monotonic()
    action(*words)  # type: ignore[operator]
    return time.monotonic() - started


def measure(bed: Bed, file: Path, count: int) -> dict[str, list[float]]:
    """MB/s of `put`, `get` and the plain copies, round by round beside each other."""
    size, digest = file.stat().st_size / MB, sha256(file)
    speeds: dict[str, list[float]] = {"put": [], "get": [], "copy": []}
    for number in range(count):
        copy = bed.folder / "copy"
        speeds["put"].append(size / timed(bed.say_core, "put", str(file), "--name", f"bench-{number}"))
        speeds["get"].append(size / timed(bed.say_core, "get", f"bench-{number}", "-o", str(copy)))
        if sha256(copy) != digest:
            raise SystemExit("bench_objects: what came back differs; that is a defect, not a figure")
        copy.unlink()
        targets = [bed.folder / f"plain-{each}" for each in range(COPIES)]
        speeds["copy"].append(size / sum(timed(copied_and_flushed, file, target) for target in targets))
        for target in targets:
            target.unlink()
        bed.say_core("rm", f"bench-{number}")
        bed.report.say(
            f"round {number + 1}: " + ", ".join(f"{key} {each[-1]:.1f} MB/s" for key, each in speeds.items())
        )
    return speeds


def main() -> int:
    arguments = parser("bench_objects", __doc__)
    arguments.add_argument("--megabytes", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    alone("tests.bench.bench_objects")
    report = Report(f"A file of {options.megabytes} MB over three devices ({options.rounds} rounds)")
    with Bed(report) as bed:
        bed.begin()
        bed.pair_all()
        file = bed.folder / "file"
        sample(file, options.megabytes * MB)
        start_s = statistics.median(rounds(3, lambda: timed(bed.say_core, "status")))
        speeds = measure(bed, file, options.rounds)
    put, get, copy = (statistics.median(speeds[key]) for key in ("put", "get", "copy"))
    report.spread("put", speeds["put"], "MB/s")
    report.spread("get", speeds["get"], "MB/s")
    report.spread(f"{COPIES} plain copies, each flushed", speeds["copy"], "MB/s")
    report.row("put beside plain copies", f"{put / copy:.3f} times as fast")
    report.row("get beside put", f"{get / put:.2f} times as fast")
    report.row("of each put and get: the command itself", f"{start_s:.2f} s")
    report.figure("command_s", start_s)
    kinds = ", ".join(sorted(bed.kinds.values()))
    report.notes.append(
        f"put and get encrypt, code 2/3, hash and flush over three devices on this machine ({kinds}; the MicroPython"
        " one holds as much as the others and is the slowest). Core, devices and bench share its processors."
    )
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
