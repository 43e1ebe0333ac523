"""A core's broker and links with devices around it, for the end-to-end tests: real processes on loopback.

async with House.open(tmp_path, "mosquitto") as house:
    attic = house.device(); await house.admit(attic); process = await house.start(attic, "micropython")
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.port.cpython import link
from agent.port.options import LinkOptions
from tests.e2e import needs
from tests.programs import ROOT, Program, interpreter
from tests.programs import RUNTIMES as RUNTIMES
from tools.gateway.ca import CA, id_of, point_of
from tools.gateway.links.broker import Broker, open_broker
from tools.gateway.links.links import Links

BROKERS = ("mosquitto", "embedded")


class Device:
    """A device's identity in a folder: device, core, ca.der, cert.der, key.der, and PEM for mosquitto's programs."""

    def __init__(self, folder: Path, ca: CA) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        public = point_of(key.public_key())
        self.folder = folder
        self.id = id_of(public)
        cert, self.serial = ca.issue_device(public, self.id)
        folder.mkdir(parents=True)

        def encoded(encoding: serialization.Encoding) -> bytes:
            form = serialization.PrivateFormat.TraditionalOpenSSL
            return key.private_bytes(encoding, form, serialization.NoEncryption())

        pem = subprocess.run(["openssl", "x509", "-inform", "DER"], input=cert, capture_output=True, check=True).stdout
        files = {
            "device": self.id.encode(), "core": ca.core_id.encode(), "ca.der": ca.ca_der, "cert.der": cert,
            "key.der": encoded(serialization.Encoding.DER), "ca.pem": ca.ca_pem, "cert.pem": pem,
            "key.pem": encoded(serialization.Encoding.PEM),
        }  # fmt: skip
        for name, data in files.items():
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


class Running(Program):
    """A running device, waited for without stopping the loop: a broker may live in it."""

    async def line(self, part: str, timeout_s: float = 20) -> str:
        """The first line that contains `part`."""
        try:
            await eventually(lambda: any(part in line for line in self.lines), timeout_s)
        except TimeoutError as error:
            raise AssertionError(f"no line with {part!r} in {self.lines}") from error
        return next(line for line in self.lines if part in line)

    async def kill(self) -> None:
        await asyncio.to_thread(self.stop, signal.SIGKILL)


class House:
    """`known`: the devices that the core's links listen to."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.ca = CA(folder / "ca")
        self.broker: Broker = open_broker(kind, folder / "broker", self.ca, "127.0.0.1", 0)
        self.known: set[str] = set()
        self.links = Links(self.broker, self.ca, lambda device: device in self.known)
        self._processes: list[Running] = []
        self._count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path, kind: str, has_links: bool = True) -> AsyncIterator["House"]:
        if kind == "mosquitto":
            needs.program("mosquitto")
        house = cls(folder, kind)
        await house.broker.start()
        try:
            if has_links:
                await house.links.start()
                assert not house.links.trouble
            yield house
        finally:
            for process in house._processes:
                await process.kill()
            await house.links.close()
            await house.broker.stop()

    @property
    def port(self) -> int:
        return self.broker.local()[1]

    def device(self) -> Device:
        self._count += 1
        return Device(self.folder / f"device{self._count}", self.ca)

    async def admit(self, *devices: Device) -> None:
        self.known.update(device.id for device in devices)
        await self.broker.allow(*[device.id for device in devices])

    async def start(
        self, device: Device, runtime: str, boot: int = 1, prefix: list[str] | None = None, port: int = 0
    ) -> Running:
        command = [*(prefix or []), *interpreter(runtime), "tests/e2e/link_device.py", str(device.folder), str(boot)]
        process = Running(f"run{len(self._processes)}", command + ["127.0.0.1", str(port or self.port)], self.folder)
        process.start()
        self._processes.append(process)
        return process

    def options(self, device: Device, will_topic: str = "") -> LinkOptions:
        return LinkOptions(
            "127.0.0.1", self.port, self.ca.server_name, self.ca.ca_der, device.read("cert.der"),
            device.read("key.der"), device.id, 60, will_topic, b"gone", 8192,
        )  # fmt: skip

    async def connect(self, device: Device, will_topic: str = "") -> link.Link:
        """A connection of this process in the device's name."""
        made = link.open(self.options(device, will_topic))
        await made.connect()
        return made

    async def connect_core(self) -> link.Link:
        """One in the core's name; only without links, whose session it would end."""
        cert, key = self.ca.issue_core_client()
        der = [
            subprocess.run(["openssl", *words, "-outform", "DER"], input=pem, capture_output=True, check=True).stdout
            for words, pem in ((["x509"], cert), (["ec"], key))
        ]
        made = link.open(
            LinkOptions("127.0.0.1", self.port, self.ca.server_name, self.ca.ca_der, *der, "core", 60, "", b"", 8192)
        )
        await made.connect()
        return made

    def client(self, program: str, device: Device, *words: str) -> list[str]:
        """mosquitto_pub or mosquitto_sub with a device's certificate (without its check of the name)."""
        path = needs.program(program, "mosquitto-clients")
        folder = device.folder
        files = ["--cafile", f"{folder}/ca.pem", "--cert", f"{folder}/cert.pem", "--key", f"{folder}/key.pem"]
        return [path, "-h", "127.0.0.1", "-p", str(self.port), "--insecure", *files, *words]


async def run(*command: str, timeout_s: float = 20) -> tuple[int, str]:
    """(exit status, what it printed)."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
        return -1, output.decode()
    return process.returncode or 0, output.decode()


async def eventually(check, timeout_s: float = 20) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(timeout_s):
        while not check():
            await asyncio.sleep(0.05)


async def drained(connection: link.Link, quiet_s: float = 0.7) -> list[tuple[str, bytes]]:
    """All messages until none has come for `quiet_s`."""
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(quiet_s):
                found.append(await connection.receive())
    return found


def has_root() -> bool:
    return os.geteuid() == 0


def at_2000() -> list[str]:
    """A prefix that has a program see 2000-01-01 as the date; timers run as ever. (The `faketime` program itself
    would stay between us and the device, and be killed in its place.)"""
    found = sorted(Path("/usr/lib").glob("**/libfaketime.so.1"))
    if not found:
        needs.absent("needs libfaketime: apt install faketime")
    words = [f"LD_PRELOAD={found[0]}", "FAKETIME=@2000-01-01 00:00:00", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
    return ["env", *words, "DONT_FAKE_MONOTONIC=1"]
