"""What the cache policies make of traces: hits, and flash bytes written for each byte served, beside libcachesim.

Equal objects, a cache of 5,000 of them. `second-miss LRU` is the rule to beat: it takes in what was missed twice.
"""

import importlib.util
from pathlib import Path

from tests.bench.report import Report, parser
from tests.vectors import caching

SLOTS = 5000
COUNT, OBJECTS = 400_000, 100_000


def measure(report: Report, name: str, requests: "list[int]") -> None:
    report.say(f"{name}: {len(requests)} requests ...")
    has_referee = importlib.util.find_spec("libcachesim") is not None
    rule = caching.second_miss_lru(requests, SLOTS)
    report.row(f"{name}, second-miss LRU", f"hits {rule.hits:.4f}, written/served {rule.wear:.4f}")
    plain = caching.run(caching.plain_sieve(SLOTS), requests, SLOTS)
    if has_referee:
        theirs = caching.referee("Sieve", requests, SLOTS)
        same = sum(ours == other for ours, other in zip(plain.each, theirs, strict=True))
        text = f"{same} of {len(requests)} as libcachesim"
        report.row(f"{name}, plain SIEVE", text, "equal", same == len(requests))
        hits = sum(caching.referee("S3FIFO", requests, SLOTS)) / len(requests)
        found = caching.run(caching.plain_s3fifo(SLOTS), requests, SLOTS * 9 // 10)
        text = f"hits {found.hits:.4f}, libcachesim {hits:.4f}"
        report.row(f"{name}, plain S3-FIFO", text, "within 0.01", abs(found.hits - hits) <= 0.01)
    else:
        report.notes.append("libcachesim is not installed: nothing was compared with it.")
    for what, policy in (("S3-FIFO", caching.product_s3fifo(SLOTS)), ("SIEVE", caching.product_sieve(SLOTS))):
        found = caching.run(policy, requests, SLOTS)
        text = f"hits {found.hits:.4f}, written/served {found.wear:.4f}"
        report.row(f"{name}, product's {what}", text, f"< {rule.wear:.4f}", found.wear < rule.wear)


def main() -> int:
    arguments = parser("bench_cache", __doc__)
    arguments.add_argument("--trace", type=Path, help="a trace in libCacheSim's oracleGeneral format instead of ours")
    options = arguments.parse_args()
    report = Report("The cache policies on traces")
    requests = caching.oracle_general(options.trace) if options.trace else caching.cloud_physics()
    measure(report, "cloudPhysics" if options.trace is None else options.trace.name, requests)
    for name, alpha, seed, once in (
        ("Zipf 0.9 + 30 % once", 0.9, 1, 300),
        ("Zipf 0.7", 0.7, 2, 0),
        ("Zipf 1.0", 1.0, 3, 0),
    ):
        measure(report, name, caching.zipf(COUNT, OBJECTS, alpha, seed, once))
    report.close(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
