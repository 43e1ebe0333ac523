"""One large file put and got through a full core and eight devices: speed, memory, and where the core's time goes.

Real processes on loopback. The stages are measured here, each alone, on as many bytes as the core moved; what is left
of the core's processor time is its sending and receiving: HTTP, tokens, receipts, rows.
"""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.bench.bed import alone
from tests.bench.bench_objects import sample
from tests.bench.report import Report, parser
from tests.e2e.network import Core, Network
from tests.programs import memory_kib
from tools.demonstration import sha256
from tools.gateway.audits.challenges import prove
from tools.gateway.objects.coding import Code, Profile
from tools.gateway.objects.stripes import Layout, Place, Shard, seal, stripe_bytes, unseal

MB = 1_000_000
DEVICES = 8
PROFILE, SLOT = Profile(4, 8), 1 << 20
RSS_MB_MAX = 150
STRIPES = 16  # for a stage alone


class Meter:
    """Processor seconds of the core and of the devices, and wall seconds, of one command."""

    def __init__(self, core: Core, devices: list[int]) -> None:
        self._core, self._devices = psutil.Process(core.process.pid), [psutil.Process(each) for each in devices]

    def run(self, work: Callable[[], object]) -> tuple[float, float, float]:
        """(wall, core, devices)."""
        before, began = self._used(), time.monotonic()
        work()
        wall, after = time.monotonic() - began, self._used()
        return wall, after[0] - before[0], after[1] - before[1]

    def _used(self) -> tuple[float, float]:
        return _seconds(self._core), sum(_seconds(each) for each in self._devices)


def _seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _cost(work: Callable[[], object], size: int) -> float:
    """Processor seconds for each byte of the file."""
    work()
    began = time.process_time()
    for _ in range(STRIPES):
        work()
    return (time.process_time() - began) / (STRIPES * size)


def stages() -> tuple[dict[str, float], dict[str, float]]:
    """Processor seconds a byte of each stage of a put and of a get."""
    layout, code = Layout(os.urandom(16), os.urandom(32), PROFILE, SLOT), Code(PROFILE)
    size = stripe_bytes(PROFILE, SLOT)
    plain = os.urandom(size)
    shards = seal(layout, code, 0, plain, False)
    parts = [shard.data for shard in shards[: PROFILE.k]]

    def named(found: list[bytes]) -> list[Shard]:
        return [Shard(hashlib.sha256(data).digest(), data) for data in found]

    whole = _cost(lambda: seal(layout, code, 0, plain, False), size)
    coding = _cost(lambda: code.encode(parts), size)
    naming = _cost(lambda: named([shard.data for shard in shards]), size)
    digest = _cost(lambda: hashlib.sha256(plain).digest(), size)
    put = {
        "encrypt": max(0.0, whole - coding - naming), "code": coding, "name the shards": naming,
        "proofs for audits": _cost(lambda: prove([shard.data for shard in shards]), size),
        "digest of the file": digest,
    }  # fmt: skip
    read = dict(enumerate(parts))
    get = {
        "check the shards": _cost(lambda: named(parts), size),
        "decode and decrypt": _cost(lambda: unseal(layout, code, Place(0, size, False), read), size),
        "digest of the file": digest,
    }
    return put, get


def told(report: Report, what: str, size: int, used: tuple[float, float, float], costs: dict[str, float]) -> None:
    wall, core, devices = used
    report.row(what, f"{size / MB / wall:.1f} MB/s, {wall:.1f} s")
    report.figure(f"{what}, MB/s", size / MB / wall)
    report.row(f"{what}: processor time", f"core {core:.1f} s, all devices {devices:.1f} s")
    shares = {name: cost * size / core for name, cost in costs.items()}
    shares["send and receive"] = max(0.0, 1 - sum(shares.values()))
    report.figure(f"{what}, shares of the core's processor time", shares)
    report.row(f"{what}: shares of the core's", ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))


def main() -> int:
    arguments = parser("bench_gigabyte", __doc__)
    arguments.add_argument("--mebibytes", type=int, default=1024)
    options = arguments.parse_args()
    alone("tests.bench.bench_gigabyte")
    report = Report(f"A file of {options.mebibytes} MiB over {DEVICES} devices")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name, Network(Path(name)) as network:
        folder = Path(name)
        file, back = folder / "file", folder / "back"
        sample(file, options.mebibytes << 20)
        core = network.core()
        devices = [network.device("cpython") for _ in range(DEVICES)]
        for number, device in enumerate(devices):
            report.say(f"device {number + 1} ...")
            device.start()
            core.pair(device)
        meter = Meter(core, [device.process.pid for device in devices])
        before = memory_kib(core.process.pid)
        size = file.stat().st_size
        costs = stages()
        report.say("put ...")
        put = meter.run(lambda: core.say("put", str(file)))
        report.say("get ...")
        get = meter.run(lambda: core.say("get", "file", "-o", str(back)))
        if sha256(back) != sha256(file):
            raise SystemExit("bench_gigabyte: what came back differs; that is a defect, not a figure")
        peak = memory_kib(core.process.pid, "VmHWM") / 1024
        retries = core.ask("/status")["retries"]
        most = max(memory_kib(device.process.pid, "VmHWM") for device in devices) / 1024
    told(report, "put", size, put, costs[0])
    told(report, "get", size, get, costs[1])
    report.row("core's memory at its highest (RSS)", f"{peak:.0f} MB", f"<= {RSS_MB_MAX} MB", peak <= RSS_MB_MAX)
    report.row("core's memory before", f"{before / 1024:.0f} MB")
    report.row("memory of the largest device", f"{most:.0f} MB")
    report.row("requests that had to be repeated", str(retries))
    report.figure("core's RSS, MB", peak)
    report.notes.append("Core, command and devices share this machine's processors; each byte is stored twice (4/8).")
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
