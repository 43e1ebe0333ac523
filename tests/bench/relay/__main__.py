"""`corelet relay` beside coturn from Debian, on one core each in turn, in the same run: python -m tests.bench.relay

Figures of a shared machine move; the two servers take turns within each round, and what counts is the ratio of the
medians. A missed bar is a word in the table, never an exit status.
"""

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from typing import Any, NamedTuple

from tests.bench.relay.servers import ROOT, Coturn, MicroPython, Server
from tests.bench.report import Report, parser, spread

Rows = dict[str, list[dict[str, float]]]
SERVER_CORE, LOAD_CORE = 0, 1
KIB_EACH_MAX, RSS_MB_MAX = 4.0, 32.0
MICROPYTHON_RATIO_MAX = 1 / 0.9  # 0.9x the throughput of a full core; asked for 160 B, saturated, alone


class Profile(NamedTuple):
    name: str
    words: str
    ratio_max: float


PROFILES = (
    Profile("saturated, 160 B", "--bytes 160", 0.60),
    Profile("saturated, 1200 B", "--bytes 1200", 0.60),
    Profile("20k packets/s, 160 B", "--bytes 160 --rate 20000", 1.0),
    Profile("20k packets/s, 8 x 1200 B", "--bytes 1200 --rate 20000 --burst 8", 1.0),
)


def run(server: Server, module: str, words: list[str]) -> Any:
    command = [sys.executable, "-m", f"tests.bench.relay.{module}", "--server", f"127.0.0.1:{server.port}"]
    command += ["--pid", str(server.pid), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(f"{server.name}: the load failed: {done.stderr[-800:]}")
    return json.loads(done.stdout)


def measure(report: Report, profile: Profile, servers: list[Server], rounds: int, seconds: float) -> Rows:
    figures: Rows = defaultdict(list)
    words = [*profile.words.split(), "--seconds", str(seconds), "--core", str(LOAD_CORE)]
    for number in range(rounds):
        for server in servers if number % 2 else servers[::-1]:
            figures[server.name].append(run(server, "load", words))
    costs = {name: [row["cpu_us"] for row in rows] for name, rows in figures.items()}
    for name, rows in figures.items():
        kpps, busy = (statistics.median([row[key] for row in rows]) for key in ("kpps", "busy"))
        lost, sent = sum(row["lost"] for row in rows), sum(row["sent"] for row in rows)
        told = f"{spread(costs[name], 'us', 2)}; {kpps:.0f}k/s, {busy:.0%} of the core, {lost:.0f} of {sent:.0f} lost"
        report.row(f"{profile.name}: {name}", told)
    report.figure(profile.name, figures)
    if len(servers) == 2:
        ours, theirs = costs[servers[0].name], costs[servers[1].name]
        ratio = statistics.median(ours) / statistics.median(theirs)
        told = f"{ratio:.2f}x (of the least: {min(ours) / min(theirs):.2f}x)"
        most = profile.ratio_max if servers[0].name == "corelet" else MICROPYTHON_RATIO_MAX
        report.row(f"{profile.name}: CPU ratio", told, f"<= {most:.2f}x", ratio <= most)
    return figures


def hold(report: Report, server: Server, count: int) -> None:
    held = run(server, "held", ["--count", str(count)])
    is_ours = server.name == "corelet"
    each, most = held["kib_each"], held["after_kib"] / 1024
    bar, is_met = (f"<= {KIB_EACH_MAX:.0f} KiB", each <= KIB_EACH_MAX) if is_ours else ("", None)
    report.row(f"{count} allocations: {server.name}", f"{each:.1f} KiB of RSS each; {most:.1f} MB in all", bar, is_met)
    report.figure(f"held, {server.name}", held)


def tell_memory(report: Report, server: Server, rows: list[dict[str, float]]) -> None:
    most = max(row["rss_kib"] for row in rows) / 1024
    bar, is_met = (f"<= {RSS_MB_MAX:.0f} MB", most <= RSS_MB_MAX) if server.name == "corelet" else ("", None)
    report.row(f"RSS under load: {server.name}", f"{most:.1f} MB", bar, is_met)


def main() -> int:
    words = parser("relay", __doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=float, default=2.0, help="of each load, measured")
    words.add_argument("--only", default="", help="profiles whose name contains this, and no memory")
    words.add_argument("--count", type=int, default=2000, help="allocations held")
    words.add_argument("--alone", choices=("corelet", "coturn"), help="only this server")
    words.add_argument("--micropython", action="store_true", help="MicroPython in place of CPython, without the memory")
    options = words.parse_args()
    report = Report(f"Relay: CPU per relayed packet on one core, {options.rounds} rounds of {options.seconds} s")
    ours = ("micropython", MicroPython) if options.micropython else ("corelet", Server)
    makers = (ours, ("coturn", Coturn))
    chosen = [(name, make) for name, make in makers if options.alone in (None, name)]
    servers = [make(name, SERVER_CORE) for name, make in chosen]
    figures = []
    try:
        for profile in PROFILES:
            if options.only in profile.name:
                report.say(f"{profile.name} ...")
                figures.append(measure(report, profile, servers, options.rounds, options.seconds))
        for server in servers:
            tell_memory(report, server, [row for rows in figures for row in rows[server.name]])
    finally:
        for server in servers:
            server.close()
    if not options.only and not options.micropython:
        for name, make in chosen:
            report.say(f"{name}: {options.count} allocations ...")
            with make(name, SERVER_CORE) as server:
                hold(report, server, options.count)
    report.notes.append(f"Server on core {SERVER_CORE}, load on core {LOAD_CORE}.")
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
