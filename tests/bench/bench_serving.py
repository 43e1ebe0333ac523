"""Reading shards that are hot, beside nginx serving the same bytes as files: wrk on one core, the server on the other.

Each round asks every server in turn, so that what else the machine does hits them alike; a ratio is the median over
the rounds of (requests/s here) / (requests/s of the better of two nginx configurations, in the same round). Whole
bodies are compared with what was stored, before and after.
"""

import http.client
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.port.cpython import crypto
from tests.bench.report import Report, parser
from tests.e2e.lone_store import LoneStore
from tests.programs import Program, memory_kib

KIB = 1024
SIZES = {64 * KIB: 256, 256 * KIB: 64, 1024 * KIB: 16}
CONNECTIONS = (1, 32)
QUOTA = 256 << 20
SERVER_CORE, LOAD_CORE = 0, 1
BARS = {"cpython": 0.9, "micropython": 0.55}
NGINX = """%s daemon off; worker_processes 1; pid %s/pid; error_log %s/error.log;
events { worker_connections 256; }
http { access_log off; sendfile on; tcp_nodelay on; etag off; keepalive_requests 100000000; %s
  client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;
  server { listen 127.0.0.1:%d; root %s; } }
"""
TUNED = {"nginx, nopush": "tcp_nopush on;", "nginx, open files": "tcp_nopush off; open_file_cache max=2000;"}
LUA = """local all, n = {}, 0
function init(args)  -- the Host field is known from here on
  for line in io.lines("%s") do
    local path, token = line:match("(%%S+) ?(%%S*)")
    local fields = {Host = wrk.headers["Host"]}
    if token ~= "" then fields["Authorization"] = "Bearer " .. token end
    n = n + 1
    all[n] = wrk.format("GET", path, fields)
  end
  math.randomseed(7)
end
function request() return all[math.random(n)] end
function done(s, latency)
  local e = s.errors
  print(string.format('{"requests": %%d, "bytes": %%d, "us": %%d, "errors": %%d, "p99_us": %%d}', s.requests, s.bytes,
    s.duration, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99)))
end
"""


class Peer:
    """One server under test. `line(shard)`: what the load asks for, and with which token."""

    def __init__(self, name: str, port: int, pids: list[int], line: Callable[[bytes], str]) -> None:
        self.name, self.port, self.pids, self.line = name, port, pids, line

    def cpu_s(self) -> float:
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def check(self, shards: dict[bytes, bytes]) -> None:
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for shard, data in shards.items():
            path, _, bearer = self.line(shard).partition(" ")
            conn.request("GET", path, headers={"Authorization": "Bearer " + bearer} if bearer else {})
            answer = conn.getresponse()
            if answer.status != 200 or answer.read() != data:
                raise SystemExit(f"{self.name}: other bytes than were stored; that is a defect, not a figure")
        conn.close()

    def load(
        self, folder: Path, shards: list[bytes], connections: int, seconds: float, tries: int = 5
    ) -> dict[str, float]:
        (folder / "asked").write_text("\n".join(self.line(shard) for shard in shards) + "\n")
        (folder / "load.lua").write_text(LUA % (folder / "asked"))
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(folder / "load.lua")]
        before = self.cpu_s()
        done = subprocess.run(
            ["taskset", "-c", str(LOAD_CORE), *words, f"http://127.0.0.1:{self.port}/"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        if found["errors"] and "timeout 0" not in done.stdout and tries:
            return self.load(folder, shards, connections, seconds, tries - 1)  # the machine stood still
        if found["errors"] or not found["requests"]:
            raise SystemExit(f"{self.name}: {done.stdout}")
        return {
            "rate": found["requests"] / found["us"] * 1e6,
            "p99_us": found["p99_us"],
            "cpu_s_gb": (self.cpu_s() - before) / found["bytes"] * 1e9,
        }


def nginx(name: str, folder: Path, root: Path, port: int) -> tuple[Program, Peer]:
    folder.mkdir()
    user = "" if os.geteuid() else "user root;"  # else it reads nothing in a private folder
    config = NGINX % (user, folder, folder, TUNED[name], *[folder / f"temp{each}" for each in range(5)], port, root)
    (folder / "nginx.conf").write_text(config)
    program = Program("nginx", [*pinned(), "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder)
    program.start()
    time.sleep(0.5)
    workers = subprocess.run(["pgrep", "-P", str(program.pid)], capture_output=True, text=True, check=True)
    return program, Peer(
        name, port, [int(pid) for pid in workers.stdout.split()], lambda shard: f"/shards/{shard.hex()}"
    )


def pinned() -> list[str]:
    return ["taskset", "-c", str(SERVER_CORE)]


class Store(LoneStore):
    """MicroPython with the heap it has when nobody says otherwise (2 MiB on 64 bits)."""

    def command(self) -> list[str]:
        words = super().command()
        return [*pinned(), *(words if self.runtime == "cpython" else [words[0], *words[3:]])]


def tokens(store: Store, is_open: bool) -> Callable[[bytes], str]:
    """One token for each shard, renewed before it expires."""
    made: dict[bytes, tuple[float, str]] = {}

    def line(shard: bytes) -> str:
        if is_open:
            return f"/shards/{shard.hex()}"
        if shard not in made or made[shard][0] < time.time():
            bearer = store.bearer("get", shard, 0, expiry=int(time.time()) + 590)
            made[shard] = (time.time() + 500, f"/shards/{shard.hex()} {bearer}")
        return made[shard][1]

    return line


def label(size: int, connections: int) -> str:
    return f"{size // KIB} KiB, {connections}"


def measure(report: Report, peers: list[Peer], shards: dict[int, list[bytes]], folder: Path, options: Any) -> Any:
    """figures[cell][peer]: one dict for each round."""
    figures: dict[str, dict[str, list[dict[str, float]]]] = {}
    for number in range(options.rounds):
        report.say(f"round {number + 1} of {options.rounds} ...")
        for size in SIZES:
            for connections in CONNECTIONS:
                cell = figures.setdefault(label(size, connections), {})
                for peer in peers if number % 2 else peers[::-1]:
                    if options.warm and peer.name not in TUNED:
                        peer.load(folder, shards[size], connections, options.warm)
                    found = peer.load(folder, shards[size], connections, options.seconds)
                    cell.setdefault(peer.name, []).append(found)
    return figures


def ratios(cell: dict[str, list[dict[str, float]]], name: str) -> list[float]:
    best = [max(rows) for rows in zip(*([row["rate"] for row in cell[each]] for each in TUNED), strict=True)]
    return [row["rate"] / other for row, other in zip(cell[name], best, strict=True)]


def tell(report: Report, figures: Any, peers: list[Peer]) -> None:
    for peer in peers:
        medians = []
        for cell, rows in figures.items():
            rate, p99, cpu = (statistics.median(row[key] for row in rows[peer.name]) for key in rows[peer.name][0])
            told = f"{rate:.0f}/s, p99 {p99 / 1000:.1f} ms, {cpu:.2f} CPU s/GB"
            if peer.name not in TUNED:
                each = ratios(rows, peer.name)
                medians.append(statistics.median(each))
                told += f"; {medians[-1]:.2f}x ({min(each):.2f} to {max(each):.2f})"
            report.row(f"{peer.name}: {cell}", told)
        if medians:
            mean = statistics.geometric_mean(medians)
            runtime = peer.name.partition(",")[0]
            is_barred = peer.name.endswith("tokens")
            bar = f">= {BARS[runtime]}x" if is_barred else ""
            is_met = mean >= BARS[runtime] if is_barred else None
            report.row(f"{peer.name}: geometric mean", f"{mean:.2f}x of nginx", bar, is_met)
            report.row(f"{peer.name}: RSS", f"{memory_kib(peer.pids[0]) / 1024:.1f} MB")
    report.figure("cells", figures)


class Bed:
    """All servers, running and filled; `close` ends them."""

    def __init__(self, folder: Path, runtimes: list[str]) -> None:
        chance = random.Random(5)
        made = {size: [chance.randbytes(size) for _ in range(count)] for size, count in SIZES.items()}
        self.shards = {size: [crypto.sha256(data) for data in datas] for size, datas in made.items()}
        self.content = {crypto.sha256(data): data for datas in made.values() for data in datas}
        self.peers: list[Peer] = []
        self._programs: list[Program] = []
        self._stores: list[Store] = []
        try:
            self._begin(folder, runtimes)
        except BaseException:
            self.close()
            raise

    def _begin(self, folder: Path, runtimes: list[str]) -> None:
        (folder / "shards").mkdir()
        for shard, data in self.content.items():
            (folder / "shards" / shard.hex()).write_bytes(data)
        for number, kind in enumerate(TUNED):
            program, peer = nginx(kind, folder / f"nginx{number}", folder, 18080 + number)
            self._programs.append(program)
            self.peers.append(peer)
        for runtime in runtimes:
            for is_open in (False, True):
                kind = f"{runtime}, {'open reads' if is_open else 'tokens'}"
                store = Store(runtime, folder / kind.replace(", ", "-"), QUOTA, ("--open-reads",) * is_open)
                self._stores.append(store)
                store.start()
                for data in self.content.values():
                    answer = store.put(data)
                    if answer.status != 201:
                        raise SystemExit(f"{kind}: {len(data)} bytes were not stored: {answer.status} {answer.body!r}")
                self.peers.append(Peer(kind, store.port, [store.pid], tokens(store, is_open)))

    def check(self) -> None:
        for peer in self.peers:
            peer.check(self.content)

    def close(self) -> None:
        for store in self._stores:
            store.kill()
        for program in self._programs:
            program.stop(signal.SIGTERM)


def main() -> int:
    words = parser("bench_serving", __doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=int, default=1)
    words.add_argument("--warm", type=int, default=2, help="seconds of load before each measurement: hot means hot")
    words.add_argument("--runtime", choices=tuple(BARS), action="append", help="only this one")
    options = words.parse_args()
    for program in ("wrk", "nginx", "taskset"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing: apt install wrk nginx-light (its service need not run)")
    report = Report(f"Hot shards over HTTP, {options.rounds} rounds of {options.seconds} s: size, connections")
    with tempfile.TemporaryDirectory(prefix="corelet-bench-") as name:
        bed = Bed(Path(name), options.runtime or list(BARS))
        try:
            bed.check()
            figures = measure(report, bed.peers, bed.shards, Path(name), options)
            bed.check()
            tell(report, figures, bed.peers)
        finally:
            bed.close()
    report.notes.append(f"Server on core {SERVER_CORE}, wrk on core {LOAD_CORE}.")
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
