"""Runs every file of tests/unit in a MicroPython of its own: `python -m tests.each MICROPYTHON [FILE...]`.

PROCESSES at a time, each with HEAP and at most LIMIT_S seconds. `CORELET_HEAP=120k` before the command shows which
files have less than 8 KiB to spare. Prints a line per file, the output of those that
failed, and last `N passed, N failed`.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HEAP = os.environ.get("CORELET_HEAP", "128k")
PROCESSES = 2
LIMIT_S = 300


def run(micropython: str, path: str) -> tuple[int, int, str]:
    """(passed, failed, output) of one file."""
    command = [micropython, "-X", f"heapsize={HEAP}", "tests/run.py", path]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        return 0, 1, (error.stdout or b"").decode("utf-8", "replace") + f"\nstopped after {LIMIT_S} s"
    output = done.stdout.decode("utf-8", "replace")
    words = output.splitlines()[-1].split() if output.strip() else []
    if (
        len(words) == 4
        and words[1] == "passed,"
        and words[3] == "failed"
        and (done.returncode == 0) == (words[2] == "0")
    ):
        return int(words[0]), int(words[2]), output
    return 0, 1, output + f"\nended with status {done.returncode} and without a result (out of memory?)"


def main(arguments: list[str]) -> int:
    micropython, *paths = arguments
    paths = paths or sorted(str(path) for path in Path("tests/unit").rglob("test_*.py") if "cpython" not in path.parts)
    passed = failed = 0
    with ThreadPoolExecutor(PROCESSES) as pool:
        results = pool.map(lambda path: run(micropython, path), paths)
        for path, (file_passed, file_failed, output) in zip(paths, results, strict=True):
            passed += file_passed
            failed += file_failed
            print(f"{'FAILED' if file_failed else 'ok    '} {path} {file_passed} passed", flush=True)
            if file_failed:
                print(output, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
