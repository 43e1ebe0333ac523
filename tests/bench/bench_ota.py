"""Verifying a release on both interpreters: how long it takes, and in how small a heap of MicroPython it works, from
source and with all modules loaded by that process itself."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.report import Report, parser
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES, interpreter
from tests.vectors import suit

HSS_MS_MAX = 1.0
HSS_HEAP_KIB_MAX = 32
HEAPS_KIB = range(16, 129, 4)
# Prints the best of ROUNDS in microseconds; the figure is of the work, not of the machine's other tenants.
SCRIPT = """
import sys, time
sys.path.insert(0, {root!r})
import gc
if hasattr(gc, "threshold"):
    gc.threshold(4096)
rounds, what, *names = sys.argv[1:]
fields = [open(name, "rb").read() for name in names]
if what == "hss":
    from ota import lms
    call = lambda: lms.verify(*fields)
else:
    from ota import verify
    call = lambda: verify.read_release(fields[0], len(fields) - 1, tuple(fields[1:]))
now = getattr(time, "ticks_us", None) or (lambda: time.perf_counter_ns() // 1000)
best = 1 << 30
for _ in range(int(rounds)):
    started = now()
    assert call()
    best = min(best, now() - started)
print(best)
"""


def run(program: list[str], words: list[str], folder: Path) -> int | None:
    """Microseconds; None where it did not end well."""
    command = [*program, str(folder / "script.py"), *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else None


def kinds(folder: Path) -> dict[str, list[str]]:
    """What is measured -> the words for the script; its files are written."""
    example = suit.load("cose-hashsig-01.json")
    files = {
        "public": bytes.fromhex(example["input"]["sign"]["signers"][0]["key"]["public"]),
        "message": bytes.fromhex(example["intermediates"]["signers"][0]["ToBeSign_hex"]),
        "signature": bytes.fromhex(example["output"]["cbor"])[-2512:],
    }
    cases = {case.name: case for case in suit.thresholds()}
    for name, words in (("hss", ["lms1"]), ("two-distinct", ["k1", "k2"])):
        files[name] = cases[name].envelope
        files |= {key: cases[name].publics[key] for key in words}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "script.py").write_text(SCRIPT.format(root=str(ROOT)))
    return {
        "HSS/LMS, H10 with w = 4": ["hss", "public", "message", "signature"],
        "release, by one HSS/LMS key": ["release", "hss", "lms1"],
        "release, by two P-256 keys": ["release", "two-distinct", "k1", "k2"],
    }


def main() -> int:
    arguments = parser("bench_ota", __doc__)
    arguments.add_argument("--rounds", type=int, default=100)
    options = arguments.parse_args()
    report = Report(f"Verifying a release (best of {options.rounds})")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, words in kinds(folder).items():
            is_hss = words[0] == "hss"
            for runtime in RUNTIMES:
                found = run(interpreter(runtime), [str(options.rounds), *words], folder)
                if found is None:
                    raise SystemExit(f"bench_ota: {what} failed on {runtime}; that is a defect, not a figure")
                bar, met = (f"<= {HSS_MS_MAX} ms", found <= 1000 * HSS_MS_MAX) if is_hss else ("", None)
                report.row(f"{what}, {runtime}", f"{found / 1000:.2f} ms", bar, met)
            micropython = interpreter("micropython")[0]
            fits = [heap for heap in HEAPS_KIB if run([micropython, "-X", f"heapsize={heap}k"], ["1", *words], folder)]
            bar, met = (f"<= {HSS_HEAP_KIB_MAX} KiB", fits[0] <= HSS_HEAP_KIB_MAX) if is_hss else ("", None)
            report.row(f"{what}, smallest heap", f"{fits[0]} KiB", bar, met)
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
