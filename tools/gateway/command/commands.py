"""What each command of `corelet-core` does with a running core: ask, stream, show. Not the parser (cli), not the words'
layout (screen), not the transport (client)."""

import argparse
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from agent.errors import CoreletError, PortError, UsageError
from tools.gateway.command import screen
from tools.gateway.command.audit_commands import audit, trust
from tools.gateway.command.client import Client
from tools.gateway.command.object_commands import ls, survives
from tools.gateway.command.relay_commands import relay
from tools.gateway.state import as_typed, default_folder, typed

PIECE_BYTES = 1 << 20
CODE_CHARS_MAX = 64
STEPS = ("found", "code proven", "identity issued", "time set", "connected")


def status(client: Client, options: argparse.Namespace) -> int:
    """How the core is."""
    value = client.ask("GET", "/status")
    if options.json:
        screen.say_json(value)
        return 0
    endpoints = ", ".join(_place(host, port) for host, port in value["endpoints"])
    coding = f"any {value['profile'].replace('/', ' of ')} shards give a new file back" if value["profile"] else "-"
    rows = [
        ("name", value["name"]),
        ("core id", value["core"]),
        ("state", value["state"]),
        ("broker", f"{value['broker']} at {endpoints}"),
        ("devices", f"{value['devices_up']} up of {value['devices']} paired"),
        ("new files", coding),
        ("files", str(value["objects"])),
        ("safety", _safety(value["health"], _hint(options, "objects --health"))),
        ("waiting", f"{value['waiting']} shards to move or delete when devices are back"),
        ("relays", _relays(value["relay"])),
        ("up for", screen.age(value["uptime_s"])),
    ]
    screen.say("\n".join(f"{screen.paint(head.ljust(9), 'bold')} {screen.printable(text)}" for head, text in rows))
    for warning in value["warnings"]:
        screen.warn(as_typed(warning, options.state))
    return 0


def _safety(value: dict[str, Any], hint: str) -> str:
    if not value.get("objects"):
        return "-"
    if value["unreadable"]:
        return f"{value['unreadable']} files CANNOT BE READ NOW ({hint} says why)"
    text = f"every file survives {survives(value['survive'])}"
    return text + (f", {value['repairing']} shards are made again" if value["repairing"] else "")


def _relays(value: dict[str, Any]) -> str:
    where = f" ({value['from_outside']} from outside)" if value["relays"] else ""
    done = f"{value['allocations']} calls now, {value['packets']} packets ({screen.amount(value['bytes'])}) so far"
    return f"{value['relays']} can be reached{where}, {done}"


def devices(client: Client, options: argparse.Namespace) -> int:
    """The paired ones."""
    value = client.ask("GET", "/devices")
    if options.json:
        screen.say_json(value)
        return 0
    if not value["devices"]:
        screen.say("no devices are paired yet; what is there, and how to pair it:")
        screen.say(f"  {_hint(options, 'discover')}\n  {_hint(options, 'pair CODE')}")
        return 0
    rows = [
        (
            screen.cut(line["name"], 11),
            line["id"][:8],
            _link(line),
            "-" if line["seen_s"] is None else screen.age(line["seen_s"]),
            f"{screen.amount(line['used'])}/{screen.amount(line['quota'])}" if line["quota"] else "-",
            str(line["shards"]),
            str(line["waiting"]),
            trust(line["reputation"]),
        )
        for line in value["devices"]
    ]
    head = ("NAME", "ID", "LINK", "SEEN", "USED", "SHARDS", "QUEUE", "TRUST")
    screen.say(screen.table(head, rows))
    return 0


def _link(line: dict[str, Any]) -> str:
    away = "left" if line["state"] == "left" else "down"
    return away if not line["up"] else "leaving" if line["leaving"] else "up"


def discover(client: Client, options: argparse.Namespace) -> int:
    """What announces itself on the network."""
    value = client.ask("GET", "/discovered")
    if options.json:
        screen.say_json(value)
        return 0
    if not value["found"]:
        screen.say(
            "no devices are announcing themselves here. If one is on, this network may\n"
            f"block multicast: {_hint(options, 'pair CODE --address HOST:PORT')}"
        )
        return 0
    words = {"open": "ready to pair", "closed": "window closed", "owned": "has an owner"}
    names = [line["name"] for line in value["found"]]
    rows = [
        (
            screen.cut(line["name"] if names.count(line["name"]) == 1 else line["instance"], 17),
            screen.cut(line["board"], 15),
            words.get(line["window"], "?"),
            screen.age(line["seen_s"]),
            _at(line),
        )
        for line in value["found"]
    ]
    screen.say(screen.table(("NAME", "BOARD", "PAIRING", "SEEN", "ADDRESS"), rows))
    return 0


def _at(line: dict[str, Any]) -> str:
    """As `pair --address` takes it."""
    addresses = sorted([str(each) for each in line["addresses"]] or ["?"], key=lambda host: ":" in host)
    return _place(addresses[0], line["port"])  # IPv4 first: it fits the line


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _hint(options: argparse.Namespace, words: str) -> str:
    return typed(options.state or default_folder(), words)


def pair(client: Client, options: argparse.Namespace) -> int:
    """Five steps, each with its time; a failure says which one, why, and what to try."""
    code = options.code or ""
    if bool(code) == bool(options.qr):
        raise UsageError("code", "give the setup code, - to read it from standard input, or --qr TEXT; not both")
    if code == "-":
        code = sys.stdin.readline(CODE_CHARS_MAX).strip()
    request = {"code": code, "qr": options.qr or "", "address": options.address, "name": options.name}
    steps = _Steps(not options.json)
    result: dict[str, Any] = {}
    try:
        with screen.patience("waiting for the device ...", not options.json):
            for kind, payload in client.frames("POST", "/pair", json.dumps(request).encode()):
                value = json.loads(payload)
                if kind == "P":
                    steps.done(value["step"], value["detail"])
                else:
                    result = value
    except CoreletError as error:
        if not isinstance(error, UsageError):  # what was typed wrong never reached the first step
            steps.failed()
        raise
    if options.json:
        screen.say_json(result | {"seconds": round(steps.seconds, 2), "steps": steps.times})
    else:
        screen.say(f"{screen.printable(result['name'])} ({result['board']}) is paired, {steps.seconds:.1f} s in all")
    return 0


class _Steps:
    """Check marks with times."""

    def __init__(self, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._started = self._last = time.monotonic()
        self.times: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def done(self, step: str, detail: str) -> None:
        if step not in STEPS:
            self._say(f"  {screen.printable(detail)}")
            return
        now = time.monotonic()
        self.times[step] = round(now - self._last, 2)
        self._say(f"{screen.mark(True)} {step.ljust(16)} {now - self._last:5.1f} s  {screen.printable(detail)}")
        self._last = now

    def failed(self) -> None:
        missing = [step for step in STEPS if step not in self.times]
        if missing:
            self._say(f"{screen.mark(False)} {missing[0].ljust(16)} {time.monotonic() - self._last:5.1f} s  failed")

    def _say(self, text: str) -> None:
        if self._is_shown:
            screen.say(text)


def forget(client: Client, options: argparse.Namespace) -> int:
    """One device less."""
    value = client.ask("DELETE", f"/devices/{options.device}", force="1" if options.force else "0")
    if options.json:
        screen.say_json(value)
        return 0
    screen.say(f"{screen.printable(value['name'])} is forgotten: it can no longer speak or listen here")
    if value["shards"]:
        screen.say(_moved(value))
    return 0


def _moved(value: dict[str, Any]) -> str:
    """What becomes of the shards of a device that is forgotten."""
    kept = "the shard it kept" if value["shards"] == 1 else f"the {value['shards']} shards it kept"
    files = len(value["lost"])
    if files:
        kept += f", and with {'it' if value['shards'] == 1 else 'them'} {files} file{'s' if files > 1 else ''},"
        return f"{kept} are lost: too few others are left to make them again"
    if not value["others"]:
        return f"{kept} cannot be made again until another device is paired: there is none now"
    return f"{kept} {'is' if value['shards'] == 1 else 'are'} made again on the other devices"


def put(client: Client, options: argparse.Namespace) -> int:
    """Store one file."""
    name = options.name or ("" if options.file == "-" else Path(options.file).name)
    if not name:
        raise UsageError("name", "standard input has no name: add --name NAME")
    client.ask("GET", "/may-put", name=name)  # before anything is read
    started = time.monotonic()
    with _source(options.file) as source:
        status = os.fstat(source.fileno())
        total = status.st_size if os.path.isfile(options.file) else None
        with screen.progress(f"put {name}", total, not options.json) as tell:
            value = client.ask("PUT", "/objects", _pieces(source, tell), name=name)
    seconds = time.monotonic() - started
    if options.json:
        screen.say_json(value | {"seconds": round(seconds, 2)})
        return 0
    rate = screen.amount(value["size"] / max(seconds, 0.001))
    shared = f"any {value['k']} of {value['n']} shards give it back" if value["n"] > 1 else "one shard for each stripe"
    where = ", ".join(screen.printable(each) for each in value["devices"])
    screen.say(
        f"{screen.mark(True)} {screen.printable(name)}: {screen.amount(value['size'])} in {seconds:.1f} s ({rate}/s), "
        f"{shared}, on {where}"
    )
    if value["queued"]:
        screen.warn(f"{value['queued']} shards follow when their device can be reached; the file is safe already")
    if value["warning"]:
        screen.warn(value["warning"])
    return 0


def _source(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        if os.path.isdir(file):
            raise UsageError("usage", f"{file} is a folder: put takes one file (pack it first, for example with tar)")
        return open(file, "rb")  # noqa: SIM115 (the caller's with closes it)
    except OSError as error:
        raise PortError("file", f"{file} cannot be read: {error.strerror}") from error


def _pieces(source: BinaryIO, tell: screen.Progress) -> Iterator[bytes]:
    done = 0
    while piece := source.read(PIECE_BYTES):
        yield piece
        done += len(piece)
        tell(done)


def get(client: Client, options: argparse.Namespace) -> int:
    """Read one file back. A half-read one never carries the name."""
    if options.json and options.output == "-":
        raise UsageError("usage", "--json and -o - both want standard output: leave one out, or name a file with -o")
    started = time.monotonic()
    part = {"range": options.range} if options.range else {}
    frames = client.frames("GET", f"/objects/{options.object}", **part)
    _, payload = next(frames)
    found = json.loads(payload)
    target = options.output or Path(found["name"]).name
    size = found.get("length", found["size"])
    with screen.progress(f"get {found['name']}", size, not options.json) as tell:
        if target == "-":
            _receive(frames, sys.stdout.buffer, tell)
            sys.stdout.buffer.flush()
        else:
            _save(frames, Path(target), options.output is not None, tell)
    seconds = time.monotonic() - started
    if target == "-":
        return 0
    if options.json:
        screen.say_json(found | {"file": target, "seconds": round(seconds, 2)})
        return 0
    rate = screen.amount(size / max(seconds, 0.001))
    checked = "each stripe authenticated" if part else "checked"
    screen.say(f"{screen.mark(True)} {target}: {screen.amount(size)} in {seconds:.1f} s ({rate}/s), {checked}")
    return 0


def _receive(frames: Iterator[tuple[str, bytes]], sink: BinaryIO, tell: screen.Progress) -> None:
    done = 0
    for kind, payload in frames:
        if kind == "D":
            sink.write(payload)
            done += len(payload)
            tell(done)


def _save(frames: Iterator[tuple[str, bytes]], target: Path, may_replace: bool, tell: screen.Progress) -> None:
    if target.is_dir():
        raise UsageError("usage", f"{target} is a folder: name a file with -o FILE")
    if target.exists() and not may_replace:
        raise PortError("exists", f"{target} exists here already: choose another name with -o FILE")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe: nothing to rename onto
            with target.open("wb") as sink:
                _receive(frames, sink, tell)
        else:
            _replace(frames, target, tell)
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise PortError("file", f"{target} cannot be written: {why}") from error


def _replace(frames: Iterator[tuple[str, bytes]], target: Path, tell: screen.Progress) -> None:
    part = target.with_name(f".{target.name}.part{os.getpid()}")
    try:
        with part.open("xb") as sink:
            _receive(frames, sink, tell)
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def rm(client: Client, options: argparse.Namespace) -> int:
    """One file less."""
    value = client.ask("DELETE", f"/objects/{options.object}")
    if options.json:
        screen.say_json(value)
        return 0
    screen.say(f"{screen.printable(value['name'])} is removed ({value['shards']} shards)")
    if value["waiting"]:
        screen.warn(f"{value['waiting']} shards are deleted when the devices that hold them are back")
    return 0


COMMANDS: dict[str, Callable[[Client, argparse.Namespace], int]] = {
    "status": status,
    "devices": devices,
    "audit": audit,
    "discover": discover,
    "pair": pair,
    "forget": forget,
    "put": put,
    "get": get,
    "ls": ls,
    "rm": rm,
    "relay": relay,
}
