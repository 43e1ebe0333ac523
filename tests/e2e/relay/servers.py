"""TURN servers as real processes, for the tests with real clients: `corelet relay` of both runtimes, and coturn.

with Server("micropython", folder) as server:
    ... 127.0.0.1 and ::1, UDP and TCP, server.port ...
server.report()     # what ours printed when it ended

coturn is the control (CORELET_FULL=1): a client that fails there proves nothing about us.
"""

import base64
import hmac
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import needs
from tests.programs import ROOT, RUNTIMES, WAIT_S, Program, interpreter

HOST, HOST6 = "127.0.0.1", "::1"
USER, PASSWORD, REALM = "user", "pass", "test.local"
SECRET = "s3cr3t"
IS_FULL = os.environ.get("CORELET_FULL") == "1"
CONTROL = ("coturn",) if IS_FULL else ()
LOOPBACK = f"--relay-ip {HOST},{HOST6} --allow-peers 127.0.0.0/8,{HOST6}"
COTURN = (
    f"-n -L {HOST} -L {HOST6} -E {HOST} -E {HOST6} -r {REALM} --allow-loopback-peers --no-cli --no-tls --no-dtls"
    " --no-rfc5780 -m 1 --simple-log"
)

on_both = pytest.mark.parametrize("kind", RUNTIMES)
on_all = pytest.mark.parametrize("kind", RUNTIMES + CONTROL)


def free_port() -> int:
    """Free for UDP and TCP on both loopback addresses."""
    while True:
        with socket.create_server((HOST, 0)) as server:
            port = int(server.getsockname()[1])
            try:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    with socket.socket(socket.AF_INET6, kind) as other:
                        other.bind((HOST6, port))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind((HOST, port))
            except OSError:
                continue
            return port


def hurried(speed: int) -> tuple[str, ...]:
    """Words before a program, so that its clock and its timers run `speed` times as fast."""
    found = sorted(Path("/usr/lib").glob("**/libfaketime.so.1"))
    if not found:
        needs.absent("needs libfaketime: apt install faketime")
    return "env", f"LD_PRELOAD={found[0]}", f"FAKETIME=+0 x{speed}"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """For HOST, signed by itself: cert.pem, key.pem."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {cert} -days 3"
    words = [needs.program("openssl"), *made.split(), "-subj", "/CN=relay", "-addext", f"subjectAltName=IP:{HOST}"]
    subprocess.run(words, check=True, capture_output=True)
    return cert, key


def rest_credentials(expiry: int, user: str = "alice", secret: str = SECRET) -> tuple[str, str]:
    """Name and password as an application makes them (the REST scheme of TURN)."""
    name = f"{expiry}:{user}"
    return name, base64.b64encode(hmac.digest(secret.encode(), name.encode(), "sha1")).decode()


class Server(Program):
    """`kind`: a runtime or coturn. `words`: more options of `corelet relay`, after the usual ones unless `own` replaces
    them. `before`: the words in front of it all (a namespace, a clock). `is_rest`: it knows REST credentials."""

    def __init__(
        self, kind: str, folder: Path, words: str = "", own: str = LOOPBACK, before: tuple[str, ...] = ()
    ) -> None:
        self.kind = kind
        self.port = free_port()
        self.is_rest = kind != "coturn" or words == "--rest"
        command = self._coturn(folder) if kind == "coturn" else self._corelet(folder, f"{own} {words}".split())
        super().__init__(f"{kind}-{self.port}", [*before, *command], folder)

    def _corelet(self, folder: Path, words: list[str]) -> list[str]:
        if self.kind == "micropython" and not (ROOT / "agent/port/micropython/pump.py").exists():
            pytest.skip("the data path of MicroPython is not there yet")
        secret = folder / "secret"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        if "--listen" not in words:
            words = ["--listen", f"{HOST}:{self.port},[{HOST6}]:{self.port}", *words]
        who = ["--user", f"{USER}:{PASSWORD}", "--secret-file", str(secret), "--realm", REALM]
        return [*interpreter(self.kind), "-m", "agent", "relay", *who, *words, "--stats"]

    def _coturn(self, folder: Path) -> list[str]:
        files = [f"--{name}={folder}/{self.port}.{name}" for name in ("log-file", "pidfile", "userdb")]
        who = ["-a", "-u", f"{USER}:{PASSWORD}"]
        if self.is_rest:
            who = ["--use-auth-secret", f"--static-auth-secret={SECRET}"]
        return [needs.program("turnserver", "coturn"), *COTURN.split(), *who, *files, "-p", str(self.port)]

    def __enter__(self) -> "Server":
        self.start()
        if self.kind == "coturn":
            self._wait_until_it_answers()
        else:
            self.says("relaying;")
        return self

    def __exit__(self, *_: object) -> None:
        """It must follow a signal, and with no word of a traceback."""
        status = self.stop(signal.SIGINT)
        assert "Traceback" not in self.text, self.text
        assert status == 0 or self.kind == "coturn", (status, self.text)

    def _wait_until_it_answers(self) -> None:
        """A Binding request to each of its addresses."""
        for family, host in ((socket.AF_INET, HOST), (socket.AF_INET6, HOST6)):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0.2)
                end = time.monotonic() + WAIT_S
                while True:
                    try:
                        sock.sendto(b"\0\x01\0\0\x21\x12\xa4\x42" + bytes(12), (host, self.port))
                        sock.recv(2048)
                        break
                    except OSError:
                        assert time.monotonic() < end, f"coturn does not answer: {self.text}"

    def report(self) -> dict[str, Any]:
        """Its counters, printed as it ended."""
        self.stop(signal.SIGINT)
        lines = [line for line in self.lines if line.startswith("{")]
        assert lines, f"no counters: {self.text}"
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def bound_ports(self) -> set[int]:
        """Local UDP ports of this very process."""
        mine = set()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:["):
                mine.add(target[8:-1])
        ports = set()
        for table in ("udp", "udp6"):
            for line in Path(f"/proc/{self.pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in mine:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
        return ports
