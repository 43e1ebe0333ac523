"""The servers side by side: coturn from Debian and `corelet relay` on both interpreters, each on one core."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.relay.turn import Account, Client, TurnError
from tests.programs import interpreter
from tools.demonstration import HEAP

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = Account("user", "pass", "test.local")
START_S = 10
COTURN = (
    "-n -L 127.0.0.1 -E 127.0.0.1 -r test.local -a -u user:pass --allow-loopback-peers --no-cli --no-tls --no-dtls"
    " --no-rfc5780 -m 1 --simple-log"
)
CORELET = "relay --relay-ip 127.0.0.1 --realm test.local --user user:pass --allow-peers 127.0.0.0/8 --unproven 100000"


def free_port() -> int:
    """Of both UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, socket.socket() as other:
            sock.bind(("127.0.0.1", 0))
            port = int(sock.getsockname()[1])
            with suppress(OSError):
                other.bind(("127.0.0.1", port))
                return port


class Server:
    """A process that answers Allocate; `with` ends it."""

    def __init__(self, name: str, core: int) -> None:
        self.name = name
        self.port = free_port()
        self._folder = TemporaryDirectory(prefix="corelet-bench-")
        self._output = (Path(self._folder.name) / "output").open("wb")
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # inherited
        try:
            self._process = subprocess.Popen(
                self.words(), stdout=self._output, stderr=subprocess.STDOUT, cwd=self.cwd()
            )
        finally:
            os.sched_setaffinity(0, ours)
        self.pid = self._process.pid
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def words(self) -> list[str]:
        return [sys.executable, "-m", "agent", *CORELET.split(), "--listen", f"127.0.0.1:{self.port}"]

    def cwd(self) -> str:
        return str(ROOT)

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                client = Client(("127.0.0.1", self.port), ACCOUNT)
                client.allocate()
                client.delete()
                return
            except (TurnError, OSError) as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    said = (Path(self._folder.name) / "output").read_text()[-500:]
                    raise SystemExit(f"{self.name} does not answer ({error}): {said}") from error
                time.sleep(0.1)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._folder.cleanup()


class MicroPython(Server):
    """With the heap of a whole device, which it has alone here; `name` may say another, "micropython 2m"."""

    def words(self) -> list[str]:
        heap = self.name.partition(" ")[2]
        return [*interpreter("micropython")[:-1], f"heapsize={heap or HEAP}", *super().words()[1:]]


class Coturn(Server):
    def words(self) -> list[str]:
        program = shutil.which("turnserver")
        if program is None:
            raise SystemExit("coturn is missing: apt install coturn (its service need not run)")
        files = [f"--log-file={self.cwd()}/log", f"--pidfile={self.cwd()}/pid", f"--userdb={self.cwd()}/db"]
        return [program, *COTURN.split(), *files, "-p", str(self.port)]

    def cwd(self) -> str:
        return self._folder.name
