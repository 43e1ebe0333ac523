"""coturn's own client, turnutils_uclient, in all its modes: pairs of clients send through the relay, nothing is lost.

Each run waits some random seconds before it sends, so all of them run at once. Control: coturn's server.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.relay.servers import CONTROL, HOST, HOST6, IS_FULL, PASSWORD, SECRET, USER, Server, on_all, on_both

MESSAGES = 200 if IS_FULL else 20  # of each of two clients
RUN_S = 90
TOGETHER = 6  # with one server: it has a bound for TCP clients of one address
TCP_PEERS = "--tcp-ports"  # the owner enables RFC 6062
LOST = re.compile(r"Total lost packets (\d+)")
TOTAL = re.compile(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)")

STATIC = f"-u {USER} -w {PASSWORD}"
KINDS = {
    "channels": "-c",
    "rtp and rtcp": "",  # EVEN-PORT and its reservation
    "send indications": "-c -s",
    "request numbers of channels": "-c -G",
    "no permissions of its own": "-c -N",
    "both families": "-Z",
    "IPv6 peers": "-c -x",
    "rest": f"-c -u alice -W {SECRET}",
}
MODES = {
    f"{name}, {way}": f"{words} {flag}" for name, words in KINDS.items() for way, flag in (("udp", ""), ("tcp", "-t"))
}
MODES["IPv6 client, udp"], MODES["IPv6 client, tcp"] = f"-c -x {HOST6}", f"-c -x -t {HOST6}"
TCP_MODES = {"RFC 6062, its own choice": "-c -T", "RFC 6062, tcp": "-c -t -T"}


def begin(server: Server, words: str) -> "subprocess.Popen[str]":
    where = [] if HOST6 in words else [HOST]
    who = [] if "-W" in words else STATIC.split()
    pace = ["-y", "-m", "2", "-n", str(MESSAGES), "-l", "160", "-z", "5", "-p", str(server.port)]
    command = [needs.program("turnutils_uclient", "coturn"), *pace, *who, *words.split(), *where]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def judge(process: "subprocess.Popen[str]") -> None:
    """All messages came."""
    try:
        said, _ = process.communicate(timeout=RUN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    lost, totals = LOST.findall(said), TOTAL.findall(said)
    assert process.returncode == 0 and lost and totals, said[-2000:]
    sent, received = totals[-1]
    assert lost[-1] == "0" and sent == received and int(sent) >= 2 * MESSAGES, (sent, received, said[-500:])


class Runs:
    """Everything about one server is begun when the first of it is asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._processes: dict[tuple[str, str], subprocess.Popen[str]] = {}
        self._servers: list[Server] = []

    def of(self, kind: str, mode: str) -> "subprocess.Popen[str]":
        if (kind, mode) not in self._processes:
            self._begin(kind)
        return self._processes[kind, mode]

    def _begin(self, kind: str) -> None:
        static = [each for each in MODES if "-W" not in MODES[each]]
        # coturn knows either kind of credentials.
        self._serve(kind, "--rest" if kind == "coturn" else "", [each for each in MODES if each not in static])
        for at in range(0, len(static), TOGETHER):
            self._serve(kind, "", static[at : at + TOGETHER])
        if kind != "micropython":
            self._serve(kind, "" if kind == "coturn" else f"{TCP_PEERS} 1024-65535", list(TCP_MODES))

    def _serve(self, kind: str, words: str, modes: list[str]) -> None:
        server = Server(kind, self._factory.mktemp(kind), words)
        server.__enter__()
        self._servers.append(server)
        for mode in modes:
            self._processes[kind, mode] = begin(server, (MODES | TCP_MODES)[mode])

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        for server in self._servers:
            server.__exit__()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    made = Runs(tmp_path_factory)
    yield made
    made.close()


@pytest.mark.parametrize("mode", MODES)
@on_all
def test_nothing_is_lost(runs: Runs, kind: str, mode: str) -> None:
    judge(runs.of(kind, mode))


@pytest.mark.parametrize("mode", TCP_MODES)
@pytest.mark.parametrize("kind", ("cpython", *CONTROL))
def test_nothing_is_lost_to_peers_on_tcp(runs: Runs, kind: str, mode: str) -> None:
    """RFC 6062, which is not for small boards."""
    judge(runs.of(kind, mode))


@on_both
def test_tcp_allocations_are_refused_until_the_owner_enables_them(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server:
        process = begin(server, "-c -t -T")
        said, _ = process.communicate(timeout=RUN_S)
        assert process.returncode != 0 and "error 442" in said, said[-500:]
