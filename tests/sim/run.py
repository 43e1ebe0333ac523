"""Runs every scenario for a list of seeds: `micropython -X heapsize=512k tests/sim/run.py [NAME[:SEED]...]`.

Prints `name seed tracehash` for each; the scenario asserts its own invariant, seed 1 must give the same trace twice
and every other seed another one. tools/test runs it under both interpreters and compares line by line. A failing seed
is one command: `python tests/sim/run.py counting:7`. The seeds are SEEDS, and SEEDS_FULL when CORELET_FULL=1 (on
MicroPython, where a pairing takes seconds, SEEDS_FULL_MICRO of them).
"""

import gc
import os
import sys

sys.path.insert(0, ".")

SEEDS = 8
SEEDS_FULL = 200
SEEDS_FULL_MICRO = 40


def scenario_names() -> "list[str]":
    """Every module of tests/sim/scenarios, sorted."""
    return sorted([name[:-3] for name in os.listdir("tests/sim/scenarios") if name[-3:] == ".py" and name[0] != "_"])


def seed_count() -> int:
    if os.getenv("CORELET_FULL") != "1":
        return SEEDS
    return SEEDS_FULL_MICRO if sys.implementation.name == "micropython" else SEEDS_FULL


def run(name: str, seed: int) -> str:
    """The trace hash, as hex. The scenario asserts its own invariant."""
    scenario = __import__("tests.sim.scenarios." + name, None, None, ["run"])
    digest: bytes = scenario.run(seed)
    return digest.hex()


def run_seeds(name: str, seeds: "list[int]") -> int:
    """How many failed."""
    failed, seen = 0, set()
    for number in seeds:
        gc.collect()
        try:
            digest = run(name, number)
            assert digest not in seen, "another seed must give another trace"
            assert len(seeds) == 1 or number > 1 or run(name, number) == digest, "the same seed, another trace"
            seen.add(digest)
            print(name, number, digest)
        except Exception as error:
            failed += 1
            print(name, number, "FAILED", type(error).__name__, error)
            if len(seeds) == 1:
                raise
    return failed


def main() -> int:
    failed = 0
    if hasattr(gc, "threshold"):
        gc.threshold(8192)  # as port.terminal.begin: a program of ours never runs without it
    for word in sys.argv[1:] or scenario_names():
        name, _, seed = word.partition(":")
        if name not in scenario_names():
            print("there is no scenario", name + "; there are:", " ".join(scenario_names()))
            return 2
        failed += run_seeds(name, [int(seed)] if seed else list(range(1, seed_count() + 1)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
