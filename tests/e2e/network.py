"""Full cores and devices as real processes on loopback, for the tests of the whole device; always killed at the end.

with Network(tmp_path) as network:
    core = network.core(); attic = network.device("micropython"); attic.start(); core.pair(attic)

What a test judges goes through the commands a person types; only waiting looks at the local sockets directly.
"""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from agent.errors import CoreletError
from agent.port import net
from agent.service import control
from tests.programs import ENVIRONMENT, ROOT, Program, interpreter
from tests.programs import until as until
from tools.demonstration import CODE, HOST
from tools.gateway.command.client import Client

READY = "waiting for a full core"
END_S = 10.0
PORTS = ["--port", "0", "--data-port", "0", "--relay-port", "0"]


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        number: int = server.getsockname()[1]
        return number


class Device:
    """One device core with a state folder of its own. `environment`: what `start` adds to ours. `host`: its address."""

    def __init__(self, runtime: str, state: Path, logs: Path) -> None:
        self.runtime = runtime
        self.state = state
        self.host = HOST
        self.environment: dict[str, str] = {}
        self.command = [*interpreter("micropython"), "-m", "agent"]
        if runtime == "cpython":
            self.command = [str(Path(sys.executable).with_name("corelet"))]
        self._logs = logs
        self.process = Program(state.name, [], logs)

    def start(self, *words: str, ready: str = READY) -> float:
        """Until `ready` stands on the screen; how many seconds that took."""
        ports = [] if "--port" in words else PORTS
        up = [*self.command, "up", "--state", str(self.state), "--listen", self.host, *ports, *words]
        self.process = Program(self.state.name, up, self._logs, self.environment)
        started = time.monotonic()
        self.process.start()
        self.process.says(ready)
        return time.monotonic() - started

    def restart(self) -> None:
        """One that is paired already says which cores it has."""
        self.start(ready="  core ")

    def kill(self) -> None:
        self.process.stop(signal.SIGKILL)

    def stop(self) -> None:
        """In order, as a person ends it: by Ctrl-C, which on MicroPython is a power cut, so there by `stop`. It ends at
        once, and not by the SIGKILL of an impatient us."""
        started = time.monotonic()
        if self.runtime == "cpython":
            self.process.stop(signal.SIGINT)
        else:
            self.say("stop")
            self.process.stop(0)  # only waits
        assert time.monotonic() - started < END_S, f"{self.state.name} did not end: {self.screen}"

    @property
    def screen(self) -> str:
        """What this run has printed."""
        return self.process.text

    @property
    def code(self) -> str:
        """The newest setup code on the screen."""
        found = CODE.findall(self.screen)
        return str(found[-1]) if found else ""

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """One command, as typed; an `up` that should be refused and is not stays on loopback."""
        quiet = ["--listen", HOST, *PORTS] if words[:1] == ("up",) else []
        sure = ["--yes"] if words[:1] in (("leave",), ("reset",)) else []
        command = [*self.command, *words[:1], *quiet, *sure, *words[1:], "--state", str(self.state)]
        return subprocess.run(
            command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
        )

    def say(self, *words: str) -> dict[str, Any]:
        """One command with --json that must succeed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def refused(self, *words: str) -> str:
        """The one sentence of a command that fails."""
        done = self.run(*words)
        return sentence(done)

    def status(self) -> dict[str, Any]:
        """{} while it does not answer."""
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            answers.append(await control.ask(net, str(self.state), {"do": "status"}))

        try:
            asyncio.run(ask())
        except CoreletError:
            return {}
        return answers[0]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.status()['control_port']}"

    def link(self, core: "Core") -> dict[str, Any]:
        """What its status says of `core`; {} when it does not belong to it."""
        return next((each for each in self.status().get("cores", []) if each["core"] == core.id), {})

    def is_connected(self, core: "Core") -> bool:
        return self.link(core).get("connected") is True

    def rss_kib(self) -> int:
        """From outside."""
        return self.process.rss_kib()


class Core:
    """One full core; its broker's port stays the same over restarts. `within`: words before its own; `more`: after."""

    def __init__(
        self, state: Path, logs: Path, host: str = HOST, within: tuple[str, ...] = (), more: tuple[str, ...] = ()
    ) -> None:
        self.state = state
        self.id = ""
        program = str(Path(sys.executable).with_name("corelet-core"))
        self._command = [program]
        words = ["--state", str(state), "--name", state.name, "--listen", host, "--port", str(free_port())]
        self.process = Program(state.name, [*within, program, "up", *words, *more], logs)

    def start(self) -> None:
        self.process.start()
        self.process.says("waiting for devices", 40)
        self.id = self.ask("/status")["core"]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.run_plainly(*words, "--json")

    def run_plainly(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """As typed."""
        command = [*self._command, *words, "--state", str(self.state)]
        return subprocess.run(
            command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
        )

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """A command that the test does not wait for; what it says comes through its pipe."""
        command = [*self._command, *words, "--state", str(self.state)]
        out = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT, text=True)

    def say(self, *words: str) -> dict[str, Any]:
        done = self.run(*words)
        assert done.returncode == 0, done
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def pair(self, device: Device, code: str = "") -> dict[str, Any]:
        """With the code on the device's screen; the answer of the command."""
        answer = self.say("pair", code or device.code, "--address", device.address)
        until("the device's own word of it", lambda: device.is_connected(self), 10)
        return answer

    def ask(self, path: str) -> dict[str, Any]:
        client = Client(self.state)
        try:
            answer: dict[str, Any] = client.ask("GET", path)
            return answer
        finally:
            client.close()

    def ask_with(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        client = Client(self.state)
        try:
            return client.ask(method, path, json.dumps(body))
        finally:
            client.close()

    def revoked(self) -> list[str]:
        """Serials of the certificates that it has taken back."""
        file = self.state / "ca" / "revoked.json"
        found: list[str] = json.loads(file.read_text()) if file.exists() else []
        return found

    def row(self, device_id: str) -> dict[str, Any]:
        """The line of `corelet-core devices`; {} when it is not there."""
        return next((each for each in self.ask("/devices")["devices"] if each["id"] == device_id), {})

    def is_up(self, device_id: str) -> bool:
        return self.row(device_id).get("up") is True


class Network:
    """Everything of one test module (or one test)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._logs = folder / "screens"
        self._logs.mkdir()
        self._cores: list[Core] = []
        self._devices: list[Device] = []

    def core(
        self, name: str = "core", host: str = HOST, within: tuple[str, ...] = (), more: tuple[str, ...] = ()
    ) -> Core:
        made = Core(self.folder / name, self._logs, host, within, more)
        self._cores.append(made)
        made.start()
        return made

    def device(self, runtime: str, state: Path | None = None) -> Device:
        """Not started yet."""
        place = state or self.folder / f"{runtime}-{len(self._devices)}"
        made = Device(runtime, place, self._logs)
        self._devices.append(made)
        return made

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_devices()
        for core in self._cores:
            core.process.stop(signal.SIGINT)

    def kill_devices(self) -> None:
        for device in self._devices:
            device.kill()


def sentence(done: "subprocess.CompletedProcess[str]", status: int = 1) -> str:
    """The one line of a command that failed: exit `status`, nothing of ours that only a programmer reads."""
    assert done.returncode == status, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("corelet: "), done
    assert "Traceback" not in done.stdout and "object at" not in done.stderr, done
    return lines[0]
