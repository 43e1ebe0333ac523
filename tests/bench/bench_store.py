"""How long a store with 16,384 shards takes from its creation to the first byte of one, on both interpreters.

From a checkpoint, and without one (every header is read). The slab files are sparse but for their headers and the one
shard that is asked for; they are in the page cache, so this is what the program costs, not what a slow card adds.
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from agent.core.shards.header import Header, encode_header
from tests.bench.report import Report, parser
from tests.bench.store_start import CORE
from tests.programs import RUNTIMES, interpreter

ROOT = Path(__file__).resolve().parents[2]
SHARDS, SLOT, SLAB_SLOTS = 16_384, 65536, 64
BARS_MS = {"cpython": 150, "micropython": 400}


def fill(folder: Path) -> bytes:
    """Headers of SHARDS shards; the name of the one whose payload is there."""
    payload = os.urandom(SLOT - 128)
    asked = SHARDS // 3
    for slab in range(SHARDS // SLAB_SLOTS):
        with (folder / f"slab.64.{slab}").open("wb") as file:
            file.truncate(SLAB_SLOTS * SLOT)
            for place in range(SLAB_SLOTS):
                number = slab * SLAB_SLOTS + place
                data = payload if number == asked else number.to_bytes(8, "big")
                shard = hashlib.sha256(data).digest()
                header = Header(16, len(data), place, 0, number + 1, bytes.fromhex(CORE), shard, 0)
                file.seek(place * SLOT)
                file.write(encode_header(header) + (data if number == asked else b""))
    return hashlib.sha256(payload).digest()


def start(runtime: str, folder: Path, shard: str) -> "dict[str, str]":
    # As a board of that size would have it: 12 bytes a shard and the rest of the device.
    program = interpreter(runtime) if runtime == "cpython" else [interpreter(runtime)[0], "-X", "heapsize=2m"]
    words = [*program, "tests/bench/store_start.py", str(folder), str(SHARDS), str(SLOT), shard]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in found.stdout.splitlines())


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
    report.close(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
