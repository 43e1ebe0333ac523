"""Every scenario under both interpreters, one process each: `python -m tests.sim.both MICROPYTHON [SCENARIO...]`.

PROCESSES at a time, MicroPython's first: they take longest. Each line that MicroPython prints (scenario, seed, trace)
must be one of CPython's; "" = there is no MicroPython. Prints what failed, and last `N passed, N failed`, where one
seed on CPython counts as one.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.sim.run import scenario_names

HEAP = "512k"
PROCESSES = 2
SCRIPT = "tests/sim/run.py"


def run(command: list[str], name: str) -> tuple[list[str], int]:
    """(lines, how many failures) of one scenario."""
    pipe = subprocess.PIPE
    done = subprocess.run([*command, SCRIPT, name], check=False, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    broken = sum(" FAILED " in line for line in lines)
    if not lines or (done.returncode != 0 and not broken):
        broken += 1
        lines.append(f"{name} FAILED: status {done.returncode} (out of memory?)")
    result = "FAILED" if broken else "ok    "
    print(f"{result} {name}: {len(lines)} lines by {command[0].rpartition('/')[2]}", flush=True)
    if broken:
        print("\n".join(lines), flush=True)
    return lines, broken


def main(arguments: list[str]) -> int:
    micropython, *names = arguments
    names = names or scenario_names()
    commands = [[micropython, "-X", f"heapsize={HEAP}"]] if micropython else []
    work = [(command, name) for command in [*commands, [sys.executable]] for name in names]
    with ThreadPoolExecutor(PROCESSES) as pool:
        results = list(pool.map(lambda pair: run(*pair), work))
    failed = sum(broken for _, broken in results)
    ours = [line for lines, _ in results[-len(names) :] for line in lines]
    for line in [line for lines, _ in results[: -len(names)] for line in lines]:
        if line not in ours and "FAILED" not in line:
            print(f"FAILED: not a trace of CPython: {line}", flush=True)
            failed += 1
    print(f"{sum('FAILED' not in line for line in ours)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
