"""Deltas: bytes to fetch and the smallest heap that applies them, against xz, zstd with a base, and bsdiff where it is
installed.

Two pairs: the trees of packages in OLD and NEW, pinned, as the same pack; and this source with the commit that was
BACK before it. The packages come by pip into .work/delta and stay there.
"""

import hashlib
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from ota import pack
from tests.bench.report import Report, parser
from tests.programs import ENVIRONMENT, ROOT, interpreter
from tools.gateway import deltas
from tools.maker import packs, tree

# The libraries of an agent, as pip installs them (setup.cfg), and those of a TUF client; three of them differ.
SAME = (
    "securesystemslib==1.3.1", "urllib3==2.5.0", "zeroconf==0.150.0", "ifaddr==0.2.0", "psutil==7.0.0",
    "pycryptodome==3.23.0",
)  # fmt: skip
OLD = ("paho-mqtt==2.0.0", "tuf==6.0.0", "cbor2==5.6.5", *SAME)
NEW = ("paho-mqtt==2.1.0", "tuf==7.0.1", "cbor2==5.7.0", *SAME)
BACK = 10
PERCENT_MAX = 1.5
HEAP_KIB_MAX = 64
HEAPS_KIB = range(40, 129, 4)
BOARD = "raspberry-pi-zero-2w"


def packages(names: tuple[str, ...]) -> bytes:
    """The pack of their Python files, with names that a pack can have."""
    folder = ROOT / ".work/delta" / hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]
    if not folder.exists():
        aside = folder.with_suffix(".new")
        shutil.rmtree(aside, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--dest"]
        subprocess.run([*command, aside, *names], check=True)
        aside.rename(folder)
    files = {}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if re.fullmatch(r"[a-z_][a-z0-9_]*(/[a-z_][a-z0-9_]*)*\.py", name.lower()):
                    files[name.lower()] = archive.read(name)
    return packs.encode(files)


def release(commit: str, folder: Path) -> bytes:
    """Our own pack as that commit has it."""
    place = folder / commit
    place.mkdir()
    words = ["git", "-C", str(ROOT), "archive", commit, *tree.ON_DEVICE, "setup.cfg"]
    archive = subprocess.run(words, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(place)], input=archive, check=True)
    return packs.encode(tree.files_of(BOARD, place))


def others(base: bytes, target: bytes, folder: Path) -> dict[str, int]:
    """Program -> bytes; those that are installed."""
    for name, data in (("base", base), ("target", target)):
        (folder / name).write_bytes(data)
    found = {"xz -9e of the whole": len(lzma.compress(target, preset=9 | lzma.PRESET_EXTREME))}
    programs = {
        "zstd -19 --patch-from": ["zstd", "-q", "-f", "-19", "--patch-from", "base", "target", "-o", "made"],
        "bsdiff": ["bsdiff", "base", "target", "made"],
    }
    for name, words in programs.items():
        if shutil.which(words[0]):
            subprocess.run(words, cwd=folder, check=True, stderr=subprocess.DEVNULL)
            found[name] = (folder / "made").stat().st_size
    return found


def applied(program: list[str], folder: Path, digest: str) -> float:
    """Seconds with the start of the interpreter; 0 where it did not end well."""
    words = [*program, str(ROOT / "tests/e2e/delta_device.py"), "base", "delta", "out", digest]
    started = time.monotonic()
    environment = dict(ENVIRONMENT, PYTHONPATH=str(ROOT))
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)
    is_right = done.returncode == 0 and (folder / "out").read_bytes() == (folder / "target").read_bytes()
    return time.monotonic() - started if is_right else 0


def measure(report: Report, name: str, base: bytes, target: bytes, folder: Path) -> None:
    sizes = others(base, target, folder)
    started = time.monotonic()
    made = deltas.encode(base, target)
    encode_s = time.monotonic() - started
    (folder / "delta").write_bytes(made)
    head, whole = pack.Pack(packs.head_of(target)), sizes["xz -9e of the whole"]
    share = 100 * len(made) / whole
    bar = (f"<= {PERCENT_MAX} %", share <= PERCENT_MAX) if name == "packages" else ("", None)
    report.row(f"{name}: pack", f"{len(target)} bytes, {head.segments} segments, {head.index.count(b'.py ')} files")
    report.row(f"{name}: delta", f"{len(made)} bytes, {share:.2f} % of xz, made in {encode_s:.1f} s", *bar)
    report.row(f"{name}: of it digests", f"{32 * head.segments} bytes: all moved, so all are new")
    for other, size in sizes.items():
        report.row(f"{name}: {other}", f"{size} bytes, {size / len(made):.2f} times the delta")
    digest = hashlib.sha256(packs.head_of(target)).digest().hex()
    micropython = interpreter("micropython")[0]
    fits = [heap for heap in HEAPS_KIB if applied([micropython, "-X", f"heapsize={heap}k"], folder, digest)]
    bar = f"<= {HEAP_KIB_MAX} KiB", fits[0] <= HEAP_KIB_MAX
    report.row(f"{name}: smallest heap, from source", f"{fits[0]} KiB", *bar)
    for runtime, program in (("cpython", [sys.executable]), ("micropython", [micropython, "-X", "heapsize=64k"])):
        best = min(applied(program, folder, digest) for _ in range(3))
        report.row(f"{name}: applied on {runtime}, its start included", f"{1000 * best:.0f} ms")
    report.row(f"{name}: deflated, without a base", f"{len(deltas.encode(b'', target))} bytes")


def main() -> int:
    options = parser("bench_delta", __doc__).parse_args()
    report = Report("Deltas between two releases")
    for name in ("packages", "source"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            if name == "packages":
                pair = packages(OLD), packages(NEW)
            else:
                pair = release(f"HEAD~{BACK}", folder), release("HEAD", folder)
            measure(report, name, *pair, folder)
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
