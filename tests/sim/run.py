"""Runs every scenario for a list of seeds: `micropython -X heapsize=512k tests/sim/run.py [NAME[:SEED]...]`.

Prints `name seed tracehash` for each. tools/test runs it under both interpreters and compares line by
line. A failing seed is one command: `python tests/sim/run.py counting:7`. The seeds are SEEDS, and
SEEDS_FULL when CORELET_FULL=1.
"""

import gc
import os
import sys

sys.path.insert(0, ".")

SEEDS = 8
SEEDS_FULL = 200


def scenario_names() -> "list[str]":
    """Every module of tests/sim/scenarios, sorted."""
    return sorted([name[:-3] for name in os.listdir("tests/sim/scenarios") if name[-3:] == ".py" and name[0] != "_"])


def seed_count() -> int:
    return SEEDS_FULL if os.getenv("CORELET_FULL") == "1" else SEEDS


def run(name: str, seed: int) -> str:
    """The trace hash, as hex. The scenario asserts its own invariant."""
    scenario = __import__("tests.sim.scenarios." + name, None, None, ["run"])
    digest: bytes = scenario.run(seed)
    return digest.hex()


def main() -> int:
    failed = 0
    if hasattr(gc, "threshold"):
        gc.threshold(8192)  # as port.terminal.begin: a program of ours never runs without it
    for word in sys.argv[1:] or scenario_names():
        name, _, seed = word.partition(":")
        for number in [int(seed)] if seed else range(1, seed_count() + 1):
            gc.collect()
            try:
                print(name, number, run(name, number))
            except Exception as error:
                failed += 1
                print(name, number, "FAILED", type(error).__name__, error)
                if seed:
                    raise
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
