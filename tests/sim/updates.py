"""Updates under every fault (tests/sim/updating.py), by the thousand: `python -m tests.sim.updates MICROPYTHON`.

Two kinds of work, as words that both interpreters take: `python tests/sim/updates.py cuts:3:1 many:7:500`, the same
with `micropython -X heapsize=1m`. Each prints its sums and a trace, or FAILED and in which run.

    cuts:SEED:STEP    a power cut at every STEPth write and flush of an update, with each of CUT_OUTCOMES
    many:SEED:RUNS    updates with several cuts, bit rot, a full disk and a network that lies and ends

CORELET_FULL=1 does FULL, else SAMPLE. What MicroPython does CPython does too, and the traces must be equal; "" = there
is no MicroPython. Prints the sums, and last `N passed, N failed`, where each update of either counts.
"""

import gc
import hashlib
import os
import sys

sys.path.insert(0, ".")

from tests.sim.chance import Xorshift32  # noqa: E402
from tests.sim.updating import CUT_OUTCOMES, Scene  # noqa: E402

HEAP, PROCESSES = "1m", 2
GARBAGE_BYTES = 262144  # how small a heap it takes is for tests/e2e; here MicroPython is to be fast
RUNS = 500  # of one piece of work
# Interpreter -> (seeds of cuts, their step, runs with many faults).
SAMPLE = {"micropython": (1, 7, 150), "cpython": (1, 1, 1500)}
FULL = {"micropython": (4, 1, 10_000), "cpython": (20, 1, 50_000)}
KINDS = ("updates", "cuts", "starts", "rotted", "filled", "lies")


class Tally:
    """Sums over updates, and a hash of each one's."""

    def __init__(self) -> None:
        self.sums = [0] * len(KINDS)
        self._hash = hashlib.sha256(b"corelet updates v1")

    def add(self, story) -> None:  # type: ignore[no-untyped-def]
        one = [1, story.cut_count, story.starts, story.rotted, story.filled, story.source.faults]
        self.sums = [total + number for total, number in zip(self.sums, one)]  # noqa: B905  MicroPython has no strict
        self._hash.update(" ".join([str(number) for number in one + [story.flash.operations]]).encode())

    def line(self) -> str:
        return " ".join([str(number) for number in self.sums] + [self._hash.digest().hex()[:16]])


def cuts(scene: Scene, step: int, tally: Tally) -> None:
    for number in range(1, scene.operations + 1, step):
        for outcome in CUT_OUTCOMES:
            tally.add(scene.cut(number, outcome))


def many(scene: Scene, runs: int, tally: Tally) -> None:
    for _ in range(runs):
        tally.add(scene.faulty())


def work(word: str) -> bool:
    """Does it; prints `WORD SUMS TRACE`."""
    kind, seed, amount = word.split(":")
    tally = Tally()
    gc.collect()
    try:
        scene = Scene(Xorshift32(int(seed)))
        (cuts if kind == "cuts" else many)(scene, int(amount), tally)
    except Exception as error:
        print(word, "FAILED after", tally.sums[0], "updates:", type(error).__name__, error)
        return False
    print(word, tally.line())
    return True


def words(amounts: "tuple[int, int, int]") -> "list[str]":
    seeds, step, runs = amounts
    found = [f"cuts:{seed}:{step}" for seed in range(1, seeds + 1)]
    return found + [f"many:{1 + at // RUNS}:{min(RUNS, runs - at)}" for at in range(0, runs, RUNS)]


def lines_of(job: "tuple[list[str], str]") -> "list[str]":
    """One piece of work in a process of its own."""
    import subprocess

    command, word = job
    done = subprocess.run(command + ["tests/sim/updates.py", word], check=False, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode and not any("FAILED" in line for line in lines):
        lines = [f"{word} FAILED: status {done.returncode}: {done.stderr[-500:]}"]
    for line in lines:
        if "FAILED" in line:
            print(line, flush=True)
    return lines


def told(name: str, kind: str, lines: "list[str]") -> None:
    fields = [line.split()[1:-1] for line in lines if line.startswith(kind) and "FAILED" not in line]
    sums = [sum(int(one) for one in column) for column in zip(*fields, strict=True)]
    if sums:
        print(f"{name}, {kind}: " + ", ".join(f"{number} {word}" for word, number in zip(KINDS, sums, strict=True)))


def differing(ours: "list[str]", theirs: "list[str]") -> int:
    """How many lines of MicroPython's CPython has not."""
    found = [line for line in ours if line not in theirs and "FAILED" not in line]
    for line in found:
        print(f"FAILED: not a trace of CPython: {line}")
    return len(found)


def orchestrate(micropython: str) -> int:
    from concurrent.futures import ThreadPoolExecutor

    amounts = FULL if os.environ.get("CORELET_FULL") == "1" else SAMPLE
    asked = {name: words(amounts[name]) for name in (("micropython", "cpython") if micropython else ("cpython",))}
    asked["cpython"] += [word for word in asked.get("micropython", []) if word not in asked["cpython"]]
    commands = {"micropython": [micropython, "-X", f"heapsize={HEAP}"], "cpython": [sys.executable]}
    jobs = [(name, word) for name, some in asked.items() for word in some]
    lines: dict[str, list[str]] = {name: [] for name in asked}
    with ThreadPoolExecutor(PROCESSES) as pool:
        for job, some in zip(jobs, pool.map(lines_of, [(commands[name], word) for name, word in jobs]), strict=True):
            lines[job[0]] += some
    failed = sum("FAILED" in line for some in lines.values() for line in some)
    failed += differing(lines.get("micropython", []), lines["cpython"])
    for name, some in lines.items():
        told(name, "cuts", some)
        told(name, "many", some)
    passed = sum(int(line.split()[1]) for some in lines.values() for line in some if "FAILED" not in line)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    given = sys.argv[1:]
    if ":" in "".join(given):
        if hasattr(gc, "threshold"):
            gc.threshold(GARBAGE_BYTES)
        sys.exit(0 if all([work(word) for word in given]) else 1)  # noqa: C419  each of them, also after a failure
    sys.exit(orchestrate(given[0] if given else ""))
