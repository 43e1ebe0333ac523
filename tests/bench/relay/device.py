"""The relay of a whole device while its store works in the same process: python -m tests.bench.relay.device

A real core and a device of each interpreter that it has paired; everything is read from outside. First its memory,
relaying 20,000 packets a second while files are put and got through the core; then how late packets are at 5,000 a
second, by turns without and with puts and gets at its shard listener. A missed bar is a word, never an exit status.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.bench_idle import memory_mb
from tests.bench.relay.servers import ROOT
from tests.bench.relay.whole import DEVICE_CORE, HEAP_RELAYING, OTHER_CORE, Whole, on_core
from tests.bench.report import Report, parser, spread
from tests.programs import RUNTIMES, memory_kib

RSS_MB_MAX = 44.0  # CPython
ADDED_MS_MAX = 5.0  # CPython
FAST, STEADY = 20_000, 5_000  # relayed packets a second
NAMES = {"cpython": "CPython", "micropython": f"MicroPython, {HEAP_RELAYING} heap"}
SHARD_BYTES = {"cpython": (1 << 20) - 128, "micropython": 65536 - 128}
FILE_BYTES = {"cpython": 8 << 20, "micropython": 1 << 20}
SAMPLE_S = 0.1
NICE = 5  # the store's client after the packets' clock


def load(whole: Whole, module: str, words: list[str], seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", f"tests.bench.relay.{module}", *whole.words(), *words]
    command += ["--seconds", str(seconds), "--core", str(OTHER_CORE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise SystemExit(f"{whole.runtime}: the load failed: {done.stderr[-300:]}\nIts logs: {whole.logs()[-1500:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Files:
    """Files put, got and removed through the core, one after the other, in a thread. `count`: of whole rounds."""

    def __init__(self, whole: Whole, folder: Path) -> None:
        self.whole = whole
        self.count = 0
        self._is_over = False
        self._file, self._copy = folder / "file", folder / "copy"
        self._thread = threading.Thread(target=self._work)
        self.error = ""

    def __enter__(self) -> "Files":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()

    def _work(self) -> None:
        while not self._is_over:
            self._file.write_bytes(os.urandom(FILE_BYTES[self.whole.runtime]))
            core, name = self.whole.core, f"file-{self.count}"
            for words in (("put", str(self._file), "--name", name), ("get", name, "-o", str(self._copy)), ("rm", name)):
                done = core.run(*words)
                if done.returncode:
                    self.error = done.stderr[-500:]
                    return
            if self._copy.read_bytes() != self._file.read_bytes():
                self.error = "what came back differs"
                return
            self._copy.unlink()
            self.count += 1


class Highest:
    """The highest of each of memory_mb, while it is entered."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.sizes: dict[str, float] = memory_mb(pid)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Highest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            for name, size in memory_mb(self.pid).items():
                self.sizes[name] = max(self.sizes[name], size)


def tell_memory(report: Report, whole: Whole, folder: Path, seconds: float) -> None:
    name = NAMES[whole.runtime]
    report.say(f"{name}: {FAST} packets/s beside put and get of the core, {seconds:.0f} s ...")
    idle = memory_mb(whole.pid)
    with on_core(OTHER_CORE), Highest(whole.pid) as highest, Files(whole, folder) as files:
        found = load(whole, "load", ["--rate", str(FAST)], seconds)
    if files.error:
        raise SystemExit(f"{name}: the core's put and get failed: {files.error}")
    peak = memory_kib(whole.pid, "VmHWM") / 1024  # the kernel's own word, which no sample misses
    sizes = highest.sizes
    told = (
        f"{peak:.1f} MB at most (PSS {sizes['Pss']:.1f}, anonymous {sizes['Anonymous']:.1f}; {idle['Rss']:.1f} before)"
    )
    bar, is_met = (f"<= {RSS_MB_MAX:.0f} MB", peak <= RSS_MB_MAX) if whole.runtime == "cpython" else ("", None)
    report.row(f"{name}: RSS under load", told, bar, is_met)
    size = FILE_BYTES[whole.runtime] >> 20
    told = f"{found['kpps']:.1f}k packets/s, {found['lost']:.0f} of {found['sent']:.0f} lost, {found['busy']:.0%} busy"
    report.row(f"{name}: meanwhile", f"{told}; {files.count} files of {size} MiB put, got, removed")
    report.figure(f"memory, {name}", {"peak_mb": peak, "before": idle, "files": files.count, **sizes, **found})


@contextmanager
def storing(whole: Whole, into: list[dict[str, float]]) -> Any:
    """The shard listener is kept busy; what was done is added to `into`."""
    access = whole.shard_access() | {"size": SHARD_BYTES[whole.runtime]}
    words = ["nice", "-n", str(NICE), sys.executable, "-m", "tests.bench.relay.storing"]
    pipe = subprocess.PIPE
    with on_core(OTHER_CORE):
        process = subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(access) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        yield
        said, wrong = process.communicate(timeout=60)
        if process.returncode:
            raise SystemExit(f"{whole.runtime}: the store's load failed: {wrong[-500:]}")
        into.append(json.loads(said))
    finally:
        process.kill()
        process.wait()


def tell_lateness(report: Report, whole: Whole, rounds: int, seconds: float) -> None:
    name = NAMES[whole.runtime]
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    words = ["--rate", str(STEADY)]
    for number in range(rounds):
        report.say(f"{name}: {STEADY} packets/s without and with the store, round {number + 1} of {rounds} ...")
        found["alone"].append(load(whole, "late", words, seconds))
        with storing(whole, found["store"]):
            found["beside the store"].append(load(whole, "late", words, seconds))
    for key in ("alone", "beside the store"):
        rows = found[key]
        p50, p99 = (spread([row[part] for row in rows], "ms", 2) for part in ("p50_ms", "p99_ms"))
        worst = max(row["max_ms"] for row in rows)
        report.row(f"{name}: {STEADY} packets/s {key}", f"p50 {p50}; p99 {p99}; at most {worst:.1f} ms")
    alone, beside = (statistics.median([row["p99_ms"] for row in found[key]]) for key in ("alone", "beside the store"))
    is_barred = whole.runtime == "cpython"
    bar, is_met = (f"<= {ADDED_MS_MAX:.0f} ms", beside - alone <= ADDED_MS_MAX) if is_barred else ("", None)
    report.row(f"{name}: added p99", f"{beside - alone:.2f} ms (of the medians)", bar, is_met)
    lost, sent, skipped = (sum(row[key] for row in found["beside the store"]) for key in ("lost", "sent", "skipped"))
    before = sum(row["lost"] for row in found["alone"])
    bar, is_met = ("0", lost == 0) if is_barred else ("", None)
    report.row(f"{name}: lost", f"{lost:.0f} of {sent:.0f} beside the store, {before:.0f} alone", bar, is_met)
    each = SHARD_BYTES[whole.runtime] / (1 << 20)
    done = [[row[key] / row["seconds"] for row in found["store"]] for key in ("put", "get")]
    puts, gets = (f"{statistics.median(rates):.1f}" for rates in done)
    busy = sum(row["busy"] for row in found["store"])
    told = f"{puts} puts/s and {gets} gets/s of {each:.2f} MiB, {busy:.0f} times busy; {skipped:.0f} not sent in time"
    report.row(f"{name}: meanwhile", told)
    report.figure(f"late, {name}", found)


def measure(report: Report, runtime: str, options: Any) -> None:
    with TemporaryDirectory(prefix="corelet-bench-") as made:
        folder = Path(made)
        with Whole(runtime, folder) as whole:
            if options.only != "late":
                tell_memory(report, whole, folder, options.load_seconds)
            if options.only != "memory":
                tell_lateness(report, whole, options.rounds, options.seconds)
            highest = f"{memory_kib(whole.pid, 'VmHWM') / 1024:.1f} MB"
            report.row(f"{NAMES[runtime]}: RSS, highest of all this", highest)
            report.row(f"{NAMES[runtime]}: dropped, as it says itself", json.dumps(whole.dropped()))


def main() -> int:
    words = parser("relay.device", __doc__)
    words.add_argument("--runtime", choices=RUNTIMES, help="only this interpreter")
    words.add_argument("--only", choices=("memory", "late"))
    words.add_argument("--rounds", type=int, default=3, help="without and with the store")
    words.add_argument("--seconds", type=float, default=10.0, help="of each round, twice")
    words.add_argument("--load-seconds", type=float, default=30.0, help="of the load while memory is watched")
    options = words.parse_args()
    report = Report("A whole device relays while its store works")
    started = time.monotonic()
    for runtime in RUNTIMES:
        if options.runtime in (None, runtime):
            measure(report, runtime, options)
    report.notes.append(
        f"Device on core {DEVICE_CORE}, its full core, the load and the store's client on core {OTHER_CORE};"
        f" {time.monotonic() - started:.0f} s."
    )
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
