"""Updates: how large a release is beside its pack; verifying it on both interpreters, how long, and in how small a heap
of MicroPython, from source and with all modules loaded by that process itself; a whole update by the commands of
`-m ota`, from a folder; and how many updates with faults failed, of the sample that tools/test does (--all: of all)."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from boards import loader
from tests.bench.report import Report, parser, spread
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES, interpreter
from tests.releases import INIT, Source
from tests.tools.test_maker_release import ENVELOPE_BYTES, PEOPLE
from tests.vectors import suit
from tools.maker import identity, packs, signed, tree

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


def sizes(report: Report) -> None:
    """Signed by two of three, with a floor and a number of three digits each."""
    for board in loader.NAMES:
        facts = packs.Facts(
            1000, identity.vendor_id(""), identity.class_id(board, ""), tree.needs_of(board, ROOT), 900,
            tree.version_of(ROOT),
        )  # fmt: skip
        found = signed.opened(signed.RELEASE, packs.envelope(packs.encode(tree.files_of(board, ROOT)), facts))
        size = len(signed.sign(signed.sign(found, PEOPLE[0]), PEOPLE[1]).encoded())
        report.row(f"envelope, 2 of 3, {board}", f"{size} B", f"<= {ENVELOPE_BYTES} B", size <= ENVELOPE_BYTES)


def verifying(report: Report, rounds: int, folder: Path) -> None:
    for what, words in kinds(folder).items():
        is_hss = words[0] == "hss"
        for runtime in RUNTIMES:
            found = run(interpreter(runtime), [str(rounds), *words], folder)
            if found is None:
                raise SystemExit(f"bench_updates: {what} failed on {runtime}; that is a defect, not a figure")
            bar, met = (f"<= {HSS_MS_MAX} ms", found <= 1000 * HSS_MS_MAX) if is_hss else ("", None)
            report.row(f"{what}, {runtime}", f"{found / 1000:.2f} ms", bar, met)
        micropython = interpreter("micropython")[0]
        fits = [heap for heap in HEAPS_KIB if run([micropython, "-X", f"heapsize={heap}k"], ["1", *words], folder)]
        bar, met = (f"<= {HSS_HEAP_KIB_MAX} KiB", fits[0] <= HSS_HEAP_KIB_MAX) if is_hss else ("", None)
        report.row(f"{what}, smallest heap", f"{fits[0]} KiB", bar, met)


def updating(report: Report, runtime: str, rounds: int, folder: Path) -> None:
    """Each step is a process, as on a device; the pack is this source's own for a board of that interpreter."""
    board = "gl-mt300n-v2" if runtime == "micropython" else "raspberry-pi-zero-2w"
    files = tree.files_of(board, ROOT)
    source, state, took = Source(folder / "source"), str(folder / "state"), dict[str, list[float]]()
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT), "CORELET_SLOT": ""}

    def step(verb: str, *words: str) -> None:
        began = time.monotonic()
        command = [*interpreter(runtime), "-m", "ota", verb, state, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench_updates: {verb} failed on {runtime}: {done.stdout}{done.stderr}")
        took.setdefault(verb, []).append(1000 * (time.monotonic() - began))

    root, core = str(source.folder / "roots" / "1"), str(source.folder / "core.key")
    step("init", "--root", root, "--core", core, *INIT[:-1], str(4 << 20))
    for number in range(1, rounds + 1):
        source.allow(source.release(number, files | {"agent/number.py": b"%d" % number}))
        step("refresh", str(source.folder))
        step("install", str(source.folder))
        step("boot")
        environment["CORELET_SLOT"] = "ab"[1 - number % 2]
        step("confirm", "--healthy-s", "120", "--core-reached")
    for verb in ("refresh", "install", "boot", "confirm"):
        kib = (folder / "source" / "packs" / "1").stat().st_size // 1024
        report.spread(f"{verb}, {runtime}, pack of {kib} KiB", took[verb], "ms")
    whole = [sum(one) for one in zip(*(took[verb] for verb in ("refresh", "install", "boot", "confirm")), strict=True)]
    report.row(f"whole update, {runtime}", spread(whole, "ms"))
    report.figure(f"whole update, {runtime}, ms", statistics.median(whole))


def faults(report: Report, is_full: bool) -> None:
    """Of tests/sim/updates.py: its lines, and the bar of failures."""
    began = time.monotonic()
    environment = ENVIRONMENT | ({"CORELET_FULL": "1"} if is_full else {})
    command = [sys.executable, "-m", "tests.sim.updates", interpreter("micropython")[0]]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    *lines, last = done.stdout.splitlines()
    for line in lines:
        report.say(line)
    report.row("updates with faults", f"{last}, {time.monotonic() - began:.0f} s", "0 failed", done.returncode == 0)


def main() -> int:
    arguments = parser("bench_updates", __doc__)
    arguments.add_argument("--rounds", type=int, default=100, help="of each verification")
    arguments.add_argument("--updates", type=int, default=7, help="whole updates on each interpreter")
    arguments.add_argument("--all", action="store_true", help="every cut and 50,000 updates with faults, some minutes")
    options = arguments.parse_args()
    report = Report(f"Updates (verification: best of {options.rounds})")
    sizes(report)
    with tempfile.TemporaryDirectory() as name:
        verifying(report, options.rounds, Path(name))
        for runtime in RUNTIMES:
            (Path(name) / runtime).mkdir()
            updating(report, runtime, options.updates, Path(name) / runtime)
    faults(report, options.all or os.environ.get("CORELET_FULL") == "1")
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
