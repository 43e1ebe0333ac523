"""A delta as a device applies it, on both interpreters, MicroPython in a heap of 64 KiB from source; and the same
verdict on damaged ones."""

import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ota import pack
from ota.delta import PREFIX_BYTES
from tests.e2e import needs
from tests.programs import ENVIRONMENT, ROOT
from tools.gateway import deltas
from tools.maker import packs, tree

HEAP = "64k"
RUNTIMES = ("cpython", "micropython")
DAMAGED = 25


def older(files: dict[str, bytes]) -> dict[str, bytes]:
    """What a release before this one may have been: some lines less, one changed, a file more and one less."""
    made = dict(files)
    for name in sorted(files)[::9]:
        lines = files[name].splitlines(keepends=True)
        del lines[len(lines) // 3 : len(lines) // 3 + 4]
        made[name] = b"".join(lines).replace(b"return", b"return ", 1)
    made["agent/gone.py"] = made.pop(sorted(files)[20])
    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """(folder with the files base, target and delta, digest of the target's head)."""
    folder = tmp_path_factory.mktemp("delta")
    files = tree.files_of("generic-linux", ROOT)
    base, target = packs.encode(older(files)), packs.encode(files)
    for name, data in (("base", base), ("target", target), ("delta", deltas.encode(base, target))):
        (folder / name).write_bytes(data)
    (folder / "whole").write_bytes(deltas.encode(b"", target))
    (folder / "nothing").write_bytes(b"")
    return folder, hashlib.sha256(packs.head_of(target)).digest()


def applied(runtime: str, folder: Path, digest: bytes, base: str = "base", delta: str = "delta") -> tuple[int, str]:
    """(exit status, what it printed)."""
    program = [sys.executable] if runtime == "cpython" else [needs.program("micropython"), "-X", "heapsize=" + HEAP]
    words = [str(ROOT / "tests/e2e/delta_device.py"), base, delta, f"out-{runtime}", digest.hex()]
    environment = dict(ENVIRONMENT, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [*program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert not done.stderr and "Traceback" not in done.stdout and "MemoryError" not in done.stdout, done
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("base", "delta"), [("base", "delta"), ("nothing", "whole")])
def test_applied(pair: tuple[Path, bytes], runtime: str, base: str, delta: str) -> None:
    folder, digest = pair
    target = (folder / "target").read_bytes()
    segments = pack.Pack(packs.head_of(target)).segments
    assert applied(runtime, folder, digest, base, delta) == (0, str(segments))
    assert (folder / f"out-{runtime}").read_bytes() == target
    assert (folder / "delta").stat().st_size < len(target) // 20


def test_the_same_verdict_on_damaged_ones(pair: tuple[Path, bytes]) -> None:
    folder, digest = pair
    seed, good = random.Random(3), (folder / "delta").read_bytes()
    target, refused = (folder / "target").read_bytes(), 0
    for _ in range(DAMAGED):
        made = bytearray(good)
        at = seed.randrange(PREFIX_BYTES, len(made))
        made[at] ^= 1 << seed.randrange(8)
        (folder / "damaged").write_bytes(made[: seed.choice((len(made), at + 1))])
        verdicts = [applied(runtime, folder, digest, delta="damaged") for runtime in RUNTIMES]
        assert verdicts[0][0] == verdicts[1][0], (at, verdicts)
        for runtime in RUNTIMES:
            assert verdicts[0][0] or (folder / f"out-{runtime}").read_bytes() == target
        refused += verdicts[0][0] != 0
    assert refused > DAMAGED // 2


def test_another_base_is_refused(pair: tuple[Path, bytes]) -> None:
    folder, digest = pair
    for runtime in RUNTIMES:
        assert applied(runtime, folder, digest, base="nothing") == (1, "delta")
        assert applied(runtime, folder, digest, base="target")[0] == 1
