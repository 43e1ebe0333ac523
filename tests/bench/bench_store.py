"""How long a store with 16,384 shards takes from its creation to the first byte of one, on both interpreters; and the
memory of a MicroPython device that keeps so many.

From a checkpoint, and without one (every header is read). The slab files are sparse but for their headers and the one
shard that is asked for; they are in the page cache, so this is what the program costs, not what a slow card adds.
"""

import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.core.shards.header import Header, encode_header
from tests.bench.bench_idle import memory_mb
from tests.bench.report import Report, parser
from tests.bench.store_start import CORE
from tests.e2e.network import Network, until
from tests.programs import RUNTIMES, Program, interpreter

ROOT = Path(__file__).resolve().parents[2]
SHARDS, SLOT, SLAB_SLOTS = 16_384, 65536, 64
BARS_MS = {"cpython": 150, "micropython": 400}
RSS_MB_MAX, DEVICE_HEAP, SETTLE_S = 8, "1m", 5


def fill(folder: Path, core: str = CORE, shards: int = SHARDS) -> bytes:
    """Headers of so many shards; the name of the one whose payload is there."""
    payload = os.urandom(SLOT - 128)
    asked = shards // 3
    for slab in range(shards // SLAB_SLOTS):
        with (folder / f"slab.64.{slab}").open("wb") as file:
            file.truncate(SLAB_SLOTS * SLOT)
            for place in range(SLAB_SLOTS):
                number = slab * SLAB_SLOTS + place
                data = payload if number == asked else number.to_bytes(8, "big")
                shard = hashlib.sha256(data).digest()
                header = Header(16, len(data), place, 0, number + 1, bytes.fromhex(core), shard, 0)
                file.seek(place * SLOT)
                file.write(encode_header(header) + (data if number == asked else b""))
    return hashlib.sha256(payload).digest()


def start(runtime: str, folder: Path, shard: str) -> "dict[str, str]":
    # As a board of that size would have it: 12 bytes a shard and the rest of the device.
    program = interpreter(runtime) if runtime == "cpython" else [interpreter(runtime)[0], "-X", "heapsize=2m"]
    words = [*program, "tests/bench/store_start.py", str(folder), str(SHARDS), str(SLOT), shard]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in found.stdout.splitlines())


def footprint(report: Report, bed: Path) -> None:
    """Of a whole paired device, not only its store; the test interpreter lives in a CPython process of its own size."""
    with Network(bed) as network:
        core, device = network.core(), network.device("micropython")
        device.command = [f"heapsize={DEVICE_HEAP}" if "heapsize" in word else word for word in device.command]
        device.start()
        core.pair(device)
        device.stop()
        for old in (device.state / "shards").iterdir():
            old.unlink()
        fill(device.state / "shards", core.id)
        device.restart()
        until("its link", lambda: device.is_connected(core), 30)
        time.sleep(SETTLE_S)
        if device.status()["shards"]["shards"] != SHARDS:
            sys.exit("bench_store: the device does not have its shards; that is a defect, not a figure")
        empty = Program("empty", [interpreter("micropython")[0], "-c", "import time; time.sleep(60)"], bed)
        empty.start()
        time.sleep(1)
        whole, host = memory_mb(device.process.pid)["Rss"], memory_mb(empty.pid)["Rss"]
        empty.stop(signal.SIGKILL)
    figure = f"{whole - host:.1f} MB ({whole:.1f} - {host:.1f} of an empty host)"
    report.row(f"MicroPython, whole device, heap {DEVICE_HEAP}: RSS", figure, "<= 8 MB", whole - host <= RSS_MB_MAX)
    report.figure("rss_mb", {"whole": whole, "host": host})


def main() -> int:
    arguments = parser("bench_store", __doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    report = Report(f"A start with {SHARDS} shards until the first byte")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shards"
        folder.mkdir()
        shard = fill(folder).hex()
        for runtime in RUNTIMES:
            for what in ("every header read", "from the checkpoint"):
                if what == "from the checkpoint":
                    start(runtime, folder, "-")
                found = [start(runtime, folder, shard) for _ in range(options.rounds)]
                wanted = "True" if what == "from the checkpoint" else "False"
                if [row for row in found if row["ADOPTED"] != wanted]:
                    sys.exit(f"bench_store: {runtime} did not start as wanted: {what}; that is a defect, not a figure")
                figures = [float(row["MS"]) for row in found]
                bar = BARS_MS[runtime] if what == "from the checkpoint" else 0
                is_met = statistics.median(figures) <= bar if bar else None
                report.spread(f"{runtime}, {what}", figures, "ms", f"<= {bar} ms" if bar else "", is_met)
            for made in ("slab.index", "slab.memo"):
                (folder / made).unlink()
    with tempfile.TemporaryDirectory() as name:
        footprint(report, Path(name))
    report.close(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
