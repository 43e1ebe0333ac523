"""TCP bulk through `corelet relay` (CONNECT) beside HAProxy with splice, one core each in turn, in the same run:
python -m tests.bench.relay.streams

One stream, from a thread that pours to one that throws away, both on another core. What a server pays is read from the
scheduler's account of its process. A missed bar is a word in the table, never an exit status.
"""

import argparse
import base64
import os
import shutil
import socket
import statistics
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.relay.load import cpu_ns, rss_kib
from tests.bench.relay.servers import Server
from tests.bench.report import Report, parser, spread

RATIO_MAX = 1.25
SERVER_CORE, LOAD_CORE = 0, 1
HOST = "127.0.0.1"
GIB = 1 << 30
PIECE = bytes(1 << 20)
START_S = 10
HAPROXY = """
global
    nbthread 1
    tune.pipesize 1048576
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    {splice}
listen relay
    bind {host}:{port}
    server sink {host}:{sink}
"""
SPLICE = "option splice-request\n    option splice-response"


def throw_away(sock: socket.socket, memory: bytearray, total: int) -> None:
    """`total` bytes, then say so."""
    while total > 0:
        came = sock.recv_into(memory, len(memory), socket.MSG_TRUNC)
        if not came:
            raise SystemExit(f"the stream ended {total} bytes too early")
        total -= came
    sock.sendall(b"!")


def push(sock: socket.socket, total: int) -> None:
    """Until the other end says so."""
    for _ in range(total // len(PIECE)):
        sock.sendall(PIECE)
    sock.recv(1)


class Sink:
    """The peer: it throws away what comes, or pours."""

    def __init__(self) -> None:
        self._server = socket.create_server((HOST, 0))
        self.port = int(self._server.getsockname()[1])
        self.memory = bytearray(1 << 20)

    def serve(self, total: int, is_down: bool) -> None:
        made, _ = self._server.accept()
        with made:
            if is_down:
                push(made, total)
            else:
                throw_away(made, self.memory, total)


class Corelet(Server):
    def __init__(self, core: int, sink: int) -> None:
        self.sink = sink
        super().__init__("corelet", core)

    def words(self) -> list[str]:
        return [*super().words(), "--tcp-ports", str(self.sink)]

    def connect(self) -> socket.socket:
        made = socket.create_connection((HOST, self.port))
        proof = base64.b64encode(b"user:pass").decode()
        head = f"CONNECT {HOST}:{self.sink} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {proof}\r\n\r\n"
        made.sendall(head.encode())
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            said += made.recv(1) or b"\r\n\r\n"
        if b" 200 " not in said:
            raise SystemExit(f"corelet: {said!r}")
        return made


class HAProxy(Server):
    """`splice`: lines of its configuration."""

    def __init__(self, core: int, sink: int, name: str, splice: str) -> None:
        self.sink = sink
        self.splice = splice
        self._own = TemporaryDirectory(prefix="corelet-bench-")
        super().__init__(name, core)

    def words(self) -> list[str]:
        program = shutil.which("haproxy")
        if program is None:
            raise SystemExit("haproxy is missing: apt install haproxy (its service need not run)")
        file = Path(self._own.name) / "haproxy.cfg"
        file.write_text(HAPROXY.format(host=HOST, port=self.port, sink=self.sink, splice=self.splice))
        return [program, "-db", "-f", str(file)]

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            if time.monotonic() > end:
                raise SystemExit(f"{self.name} does not answer")
            time.sleep(0.1)

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port))

    def close(self) -> None:
        super().close()
        self._own.cleanup()


def pour(server: Corelet | HAProxy, sink: Sink, total: int, is_down: bool) -> tuple[float, float]:
    """(CPU seconds for a GB, Gbit/s)."""
    peer = threading.Thread(target=sink.serve, args=(total, is_down))
    peer.start()
    with server.connect() as made:
        before, began = cpu_ns(server.pid), time.monotonic()
        if is_down:
            throw_away(made, sink.memory, total)
        else:
            push(made, total)
        passed, paid = time.monotonic() - began, cpu_ns(server.pid) - before
    peer.join()
    return paid / total, total * 8 / passed / 1e9  # ns a byte are s a GB


def measure(
    report: Report, servers: list[Corelet | HAProxy], sinks: list[Sink], options: argparse.Namespace, is_down: bool
) -> None:
    figures: dict[str, list[tuple[float, float]]] = {}
    way = "to the client" if is_down else "from the client"
    for number in range(options.rounds):
        for at in (0, 1, 2) if number % 2 else (2, 1, 0):
            figures.setdefault(servers[at].name, []).append(pour(servers[at], sinks[at], options.gib * GIB, is_down))
    for server in servers:
        costs, rates = zip(*figures[server.name], strict=True)
        rate, held = statistics.median(rates), rss_kib(server.pid) / 1024
        report.row(f"{way}: {server.name}", f"{spread(costs, 's/GB', 3)}; {rate:.1f} Gbit/s; {held:.1f} MB")
    report.figure(way, figures)
    ours, theirs = (statistics.median([cost for cost, _ in figures[server.name]]) for server in servers[:2])
    ratio = ours / theirs
    report.row(f"{way}: CPU ratio", f"{ratio:.2f}x of HAProxy", f"<= {RATIO_MAX:.2f}x", ratio <= RATIO_MAX)


def main() -> int:
    words = parser("relay.streams", __doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--gib", type=int, default=2, help="of each stream")
    options = words.parse_args()
    report = Report(f"TCP streams: CPU for a GB on one core, {options.rounds} rounds of {options.gib} GiB")
    sinks = [Sink() for _ in range(3)]
    servers: list[Corelet | HAProxy] = [Corelet(SERVER_CORE, sinks[0].port)]
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        servers.append(HAProxy(SERVER_CORE, sinks[1].port, "HAProxy, splice", SPLICE))
        servers.append(HAProxy(SERVER_CORE, sinks[2].port, "HAProxy, no splice", ""))
        # Its probe was a connection too: the sink must not take it for the stream.
        for server, sink in zip(servers[1:], sinks[1:], strict=True):
            report.say(f"{server.name} runs")
            sink._server.accept()[0].close()
        for is_down in (False, True):
            measure(report, servers, sinks, options, is_down)
    finally:
        for server in servers:
            server.close()
    report.notes.append(f"Server on core {SERVER_CORE}, load on core {LOAD_CORE}.")
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
