"""The network of tools/demo: a full core and three devices as real processes on loopback, a file that survives one.

Everything is done through the commands a person would type; what they print with --json is what is checked.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools import turn_clients
from tools.process import Process

TALK_ROUNDS, TALK_BYTES = 250, 160
SAMPLE_BYTES = 8 * 1024 * 1024
HOST = "127.0.0.1"
# (name, interpreter): two kinds of device, so that both are always shown.
DEVICES = (("attic", "cpython"), ("cellar", "cpython"), ("router", "micropython"))
VICTIM = "cellar"
CODE = re.compile(r"setup code\s+([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})")
# What each interpreter's devices get as heap; the whole device must live in it (README, "What it needs").
HEAP = "512k"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failed(Exception):
    """One sentence for the person who started the demo."""


class Demonstration:
    """Runs the steps in order; `rows` is the closing table."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self.options = options
        self.console = console
        self.root = Path(options.root)
        self.bin = Path(sys.executable).parent
        self.folder = self.root / ".work" / "demo" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self.folder.mkdir(parents=True, mode=0o700)
        self.core_state = self.folder / "core"
        self.devices: dict[str, Process] = {}
        self.ids: dict[str, str] = {}
        self.rows: list[tuple[str, str, str]] = []
        environment = dict(os.environ, MICROPYPATH=f"{self.root}:.frozen", PYTHONUNBUFFERED="1")
        core = [str(self.bin / "corelet-core"), "up", "--state", str(self.core_state), "--name", "demo"]
        core += ["--listen", HOST, "--port", "0", "--broker", options.broker]
        self.core = Process("core", core, self.folder, environment)
        for name, runtime in DEVICES:
            command = [str(self.bin / "corelet")] if runtime == "cpython" else self._micropython()
            command += ["up", "--state", str(self.folder / name), "--name", name, "--listen", HOST]
            command += ["--port", "0", "--data-port", "0", "--relay-port", "0"]
            self.devices[name] = Process(name, command, self.folder, environment)

    def _micropython(self) -> list[str]:
        if not self.options.micropython:
            return [str(self.bin / "corelet")]
        return [self.options.micropython, "-X", f"heapsize={HEAP}", "-m", "agent"]

    def step(self, words: str, action: Callable[[], str]) -> None:
        """Show `words` while `action` runs; it returns what was seen, or raises Failed."""
        started = time.monotonic()
        shown = escape(words)
        with self.console.status(shown + " ...") if self.console.is_terminal else _Plain(self.console, shown):
            seen = action()
        taken = f"{time.monotonic() - started:.1f} s"
        self.rows.append((words, seen, taken))
        self.console.print(f"  [green]ok[/green]  {shown}: {escape(seen)} ({taken})", highlight=False, soft_wrap=True)

    def say_core(self, *arguments: str, seconds: int = 120) -> dict[str, Any]:
        """One `corelet-core ... --json`; raises Failed with what it said."""
        command = [str(self.bin / "corelet-core"), *arguments, "--state", str(self.core_state), "--json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise Failed(f"'corelet-core {arguments[0]}' gave no answer in {seconds} s") from None
        if done.returncode:
            raise Failed(f"'corelet-core {arguments[0]}' failed: {(done.stderr or done.stdout).strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def wait(self, what: str, seconds: float, is_true: Callable[[], Any]) -> Any:
        """What `is_true` returns as soon as it is true; Failed when it takes too long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for process in [self.core, *self.devices.values()]:
                if process.pid and not process.is_running():
                    raise Failed(f"{process.name} ended: {process.output().strip().splitlines()[-1:]}")
            found = is_true()
            if found:
                return found
            time.sleep(0.2)
        raise Failed(f"{what} did not happen in {seconds:.0f} s")

    # -- the steps, in order

    def start_core(self) -> str:
        self.core.start(self.root)
        self.wait("the full core's start", 20, lambda: "waiting for devices" in self.core.output())
        answer = self.say_core("status")
        return f"full core {answer['core']}, broker: {answer['broker']}"

    def start_devices(self) -> str:
        for process in self.devices.values():
            process.start(self.root)
        for name, process in self.devices.items():
            self.wait(f"the setup code of {name}", 20, partial(_code, process))
        kinds = [runtime if self.options.micropython else "cpython" for _, runtime in DEVICES]
        return f"{kinds.count('cpython')} on CPython, {kinds.count('micropython')} on MicroPython"

    def discover(self) -> str:
        def all_seen() -> bool:
            names = {found["name"] for found in self.say_core("discover")["found"]}
            return set(self.devices) <= names

        self.wait("discovery of all three devices", 20, all_seen)
        return "all three seen by multicast DNS"

    def pair(self, name: str) -> str:
        answer = self.say_core("pair", _code(self.devices[name]))
        self.ids[name] = answer["device"]
        return f"device {answer['device']}, connected"

    def relay(self) -> str:
        """Two clients that know nothing of us, with what the core hands out, through one of the devices."""

        def reachable() -> list[Any]:
            relays = self.say_core("relay", "list")["relays"]
            return [each for each in relays if any(way["is_reachable"] for way in each["ways"])]

        self.wait("a relay that answers", 30, reachable)
        server = self.say_core("relay", "credentials", "--user", "alice", "--lan")["iceServers"][0]
        servers = self.say_core("relay", "credentials", "--user", "bob", "--lan")["iceServers"]
        other = next((each for each in servers if each["urls"] == server["urls"]), server)
        try:
            asyncio.run(_talk(server, other))
        except (OSError, TimeoutError, ValueError) as error:
            raise Failed(f"two clients could not talk through {server['urls'][0]}: {error!r}") from error
        relays = {way["url"]: each["name"] for each in reachable() for way in each["ways"]}
        name = relays[server["urls"][0]]
        status = self.say_device(name, "status")["relay"]
        self.relayed = [(name, user.rpartition("/")[2], row) for user, row in sorted(status["users"].items())]
        _, packets_up, size_up, packets_down, _ = status["total"]
        if min(packets_up, packets_down) < 2 * TALK_ROUNDS or size_up < 2 * TALK_ROUNDS * TALK_BYTES:
            raise Failed(f"{name} counts {packets_up} packets up, {packets_down} down: too few")
        return f"{packets_up + packets_down} packets between alice and bob through {name}, none lost"

    def say_device(self, name: str, *words: str) -> dict[str, Any]:
        """One `corelet ... --json` of a device."""
        program = self.devices[name].command
        command = [*program[: program.index("up")], *words, "--state", str(self.folder / name), "--json"]
        environment = self.devices[name].environment
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=30, check=False, cwd=self.root, env=environment
        )
        if done.returncode:
            raise Failed(f"'corelet {words[0]}' failed on {name}: {done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def store(self, file: Path) -> str:
        answer = self.say_core("put", str(file), "--name", "demo-file", seconds=900)
        stripes = "1 stripe" if answer["stripes"] == 1 else f"{answer['stripes']} stripes"
        return f"{stripes}, any {answer['k']} of {answer['n']} shards give it back"

    def kill(self) -> str:
        victim = self.devices[VICTIM]
        pid = victim.pid
        victim.stop(signal.SIGKILL)
        self.devices.pop(VICTIM)
        self._victim = victim
        return f"SIGKILL to process {pid}"

    def read_back(self, file: Path, digest: str) -> str:
        copy = self.folder / "read-back"
        self.say_core("get", "demo-file", "-o", str(copy), seconds=900)
        if sha256(copy) != digest:
            raise Failed(f"what was read back differs from {file}")
        copy.unlink()
        return f"SHA-256 {digest[:16]}... is equal"

    def bring_back(self) -> str:
        self._victim.start(self.root)
        self.devices[VICTIM] = self._victim
        device = self.ids[VICTIM]

        def is_up() -> bool:
            return any(row["id"] == device and row["up"] for row in self.say_core("devices")["devices"])

        self.wait(f"the return of {VICTIM}", 60, is_up)
        return f"{VICTIM} rejoined by itself"

    def run(self, file: Path) -> None:
        digest = sha256(file)
        self.step("Start a full core", self.start_core)
        self.step("Start three devices", self.start_devices)
        self.step("Discover them", self.discover)
        for name in self.devices:
            self.step(f"Pair {name}", partial(self.pair, name))
        self.step("Relay a call", self.relay)
        self.step(f"Store {file.name} ({size(file)})", lambda: self.store(file))
        self.step(f"Kill {VICTIM}", self.kill)
        self.step("Read the file back", lambda: self.read_back(file, digest))
        self.step(f"Bring {VICTIM} back", self.bring_back)
        self.kept = self.say_core("devices")["devices"]

    def show(self) -> None:
        table = Table(title="What was stored where")
        for column in ("device", "runs on", "shards", "kept"):
            table.add_column(column, justify="right" if column in ("shards", "kept") else "left")
        for row in self.kept:
            kept = f"{row['used'] / 1048576:.1f} MiB"
            table.add_row(row["name"], row["runtime"], str(row["shards"]), kept)
        self.console.print(table)
        calls = Table(title="What was relayed")
        for column in ("device", "user", "packets up", "bytes up", "packets down", "bytes down"):
            calls.add_column(column, justify="left" if column in ("device", "user") else "right")
        for name, user, row in self.relayed:
            counts = [str(row[key]) for key in ("packets_up", "bytes_up", "packets_down", "bytes_down")]
            calls.add_row(name, user, *counts)
        self.console.print(calls)
        times = Table(title="What happened")
        for column in ("step", "seen", "time"):
            times.add_column(column, justify="right" if column == "time" else "left")
        for words, seen, taken in self.rows:
            times.add_row(escape(words), escape(seen), taken)
        self.console.print(times)

    def proof(self) -> str:
        return (
            "Proved: a file kept encrypted on three devices was read back whole, byte for byte,\n"
            f"while {VICTIM} was dead; and the network took that device in again by itself."
        )

    def close(self) -> None:
        """Whoever asks twice for the end still leaves no process behind."""
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        for process in [*self.devices.values(), self.core]:
            process.stop(signal.SIGINT)

    def next_words(self) -> str:
        pids = " ".join(str(process.pid) for process in [*self.devices.values(), self.core])
        words = (["devices"], ["put", self.root / "README.md"], ["ls"])
        core = [[self.bin / "corelet-core", *each, "--state", self.core_state] for each in words]
        device = [self.bin / "corelet", "status", "--state", self.folder / "attic"]
        lines = ["The network is still running. Try:"]
        lines += ["  " + shlex.join([str(word) for word in each]) for each in [*core, device]]
        lines += ["Stop it, and delete what it stored, with:", f"  kill -INT {pids}"]
        return "\n".join([*lines, "  " + shlex.join(["rm", "-r", str(self.folder)])])


class _Plain:
    """Where there is no terminal, a step is announced once."""

    def __init__(self, console: Console, words: str) -> None:
        self._console = console
        self._words = words

    def __enter__(self) -> None:
        self._console.print(f"{self._words} ...", highlight=False, soft_wrap=True)

    def __exit__(self, *_: object) -> None:
        return None


def _code(process: Process) -> str:
    """The setup code that a device printed, "" before it did."""
    match = CODE.search(process.output())
    return match.group(1) if match else ""


async def _talk(server: dict[str, Any], other: dict[str, Any]) -> None:
    async with turn_clients.Client(server) as alice, turn_clients.Client(other) as bob:
        await turn_clients.talk(alice, bob, TALK_ROUNDS, TALK_BYTES)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size(file: Path) -> str:
    count = file.stat().st_size
    return f"{count / 1048576:.1f} MiB" if count >= 1048576 else f"{count / 1024:.1f} KiB"


def sample(folder: Path) -> Path:
    """Random bytes, so that nothing along the way can save itself work."""
    file = folder / "sample.bin"
    with file.open("wb") as stream:
        for _ in range(SAMPLE_BYTES // 1048576):
            stream.write(secrets.token_bytes(1048576))
    return file


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/demo")
    parser.add_argument("file", nargs="?")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--broker", default="auto")
    parser.add_argument("--root", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--micropython", default="", help=argparse.SUPPRESS)
    parser.add_argument("--micropython-why", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """0 everything was true; 1 something was not; 130 stopped."""
    options = parse()
    console = Console()
    if not options.micropython:
        why = f"tools/demo: all three devices will run on CPython: {options.micropython_why}"
        console.print(why, markup=False, highlight=False, soft_wrap=True)
    for number in STOPS:  # a terminal that is closed must not leave a network behind
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    demonstration = Demonstration(options, console)
    status = 1
    try:
        demonstration.run(Path(options.file) if options.file else sample(demonstration.folder))
        demonstration.show()
        console.print(demonstration.proof(), highlight=False, soft_wrap=True)
        status = 0
    except Failed as failure:
        console.print(f"[red]failed[/red]: {escape(str(failure))}", highlight=False, soft_wrap=True)
        words = f"The logs of every process are in {demonstration.folder}"
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    except (KeyboardInterrupt, SystemExit):  # rich ends so when the reader of a pipe has left
        status = 130
        console.print("stopped; what it stored is deleted")
    finally:
        if status == 0 and options.keep:
            console.print(demonstration.next_words(), highlight=False, markup=False, soft_wrap=True)
        else:
            demonstration.close()
            if status != 1:
                shutil.rmtree(demonstration.folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
