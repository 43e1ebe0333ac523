"""mosquitto under supervision: generated configuration, mutual TLS only, restarted with back-off, never a stranger's.

Whose process: started by root, mosquitto runs from its first instruction as the user "mosquitto" of its package (it
never has root's rights, and needs no right of ours); started by anybody else, as that user. Its folder holds nothing
that others may read: as root the folder belongs to root and lets the group "mosquitto" pass (0710), so a broken
mosquitto cannot plant links where root writes, and its files belong to it (0600). It finds them by relative names from
its working directory, so the folders above may stay closed (0700) to it. A system-wide mosquitto service of the same
user could read the server's key; it could not read the core's CA.

Health is our own round trip: a client of its own identity sends itself a message through the broker. `forbid` removes
the lines, rewrites the revocation list, sends SIGHUP, waits until mosquitto has said that it reloads and a round trip
after that has come back: from then on nothing is delivered to the old session or taken from it (2.0.11 checks the
reloaded list at every message). When that cannot be seen, the broker is restarted, which ends every session.

Bounds: what the configuration below says; LOG_LINES_MAX lines of the broker's log.
"""

import asyncio
import collections
import contextlib
import grp
import json
import logging
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from agent.core import presence
from agent.core.backoff import Backoff
from agent.errors import CoreletError, PortError
from agent.port import faults
from tools.gateway.ca import CA
from tools.gateway.links import broker
from tools.gateway.links.pulse import Pulse
from tools.gateway.private import write_private

LOG = logging.getLogger("corelet.broker")
VERSION_FLOOR = (2, 0)
USER = "mosquitto"
INSTALL = "install mosquitto with: apt install mosquitto"
START_S_MAX = 10
STOP_S_MAX = 5
RELOAD_S_MAX = 5
PULSE_EVERY_S = 30
RESTART_MS_MAX = 60_000
STABLE_S = 300
LOG_LINES_MAX = 100
LOG_CHARS_MAX = 300
_MORE_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # where Debian keeps it, and a user's PATH does not look

# At its start the core is sent what is kept of each device at once, a birth and a death, and mosquitto drops what does
# not fit. A device's queue is what the core sends it, and that has its own bounds.
QUEUE_MAX = 2 * presence.DEVICES_MAX + 96
QUEUE_BYTES_MAX = presence.DEVICES_MAX * broker.PACKET_BYTES_MAX

# Clients may be as many as the core has devices; everything a client can make grow has a number here.
CONFIG = """# Written by corelet-core at every start; changes are lost.
per_listener_settings true
persistence false
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
sys_interval 0
max_packet_size {packet_bytes_max}
max_inflight_messages 16
max_queued_messages {queue_max}
max_queued_bytes {queue_bytes_max}
max_keepalive 600
listener {listener}
max_connections 2100
max_qos 1
max_topic_alias 0
allow_anonymous false
require_certificate true
use_identity_as_username true
use_username_as_clientid true
cafile ca.pem
certfile server.pem
keyfile server.key
crlfile crl.pem
acl_file acl
"""


def find() -> str | None:
    """The path of the program."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":" + _MORE_FOLDERS)


def version(path: str) -> tuple[int, ...]:
    """(2, 0, 11), or () when the program does not say."""
    try:
        done = subprocess.run([path, "-h"], capture_output=True, timeout=START_S_MAX, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(rb"mosquitto version (\d+)\.(\d+)(?:\.(\d+))?", done.stdout + done.stderr)
    return tuple(int(part) for part in found.groups(b"0")) if found else ()


class Mosquitto:
    """broker.Broker."""

    kind = "mosquitto"
    banner = ""
    protocols: tuple[int, ...] = (5, 4)

    def __init__(self, folder: Path, ca: CA, host: str, port: int) -> None:
        self.rules = broker.Rules()
        self.log: collections.deque[str] = collections.deque(maxlen=LOG_LINES_MAX)
        self._folder = folder
        self._ca = ca
        self._host = host
        self._port = port
        self._owner: tuple[int, int] | None = None
        self._program = ""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._pulse: Pulse | None = None
        self._reloading = asyncio.Event()
        self._restart = asyncio.Event()
        self._change = asyncio.Lock()

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        self._program = _checked_program()
        self._owner = _owner()
        try:
            await self._end_orphan()
            self._port = broker.free_port(self._host, self._port)
            self._pulse = Pulse(self._ca, self.local())
            self._write_all()
        except OSError as error:
            raise faults.file_fault(error, str(self._folder)) from error
        try:
            await self._spawn()
        except BaseException:
            await self._end_process()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="mosquitto")

    async def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        await self._end_process()

    async def allow(self, *devices: str) -> None:
        if set(devices) <= self.rules.devices:
            return
        self.rules.add(devices)
        await self._reload()

    async def forbid(self, device: str, *serials: int) -> None:
        self.rules.devices.discard(device)
        await self.revoke(*serials)

    async def revoke(self, *serials: int) -> None:
        for serial in serials:
            self._ca.revoke(serial)
        await self._reload()

    def endpoints(self) -> list[tuple[str, int]]:
        return broker.endpoints(self._host, self._port)

    def local(self) -> tuple[str, int]:
        return broker.local(self._host, self._port)

    def _write(self, name: str, data: bytes) -> None:
        write_private(self._folder / name, data, self._owner)

    def _write_all(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._owner is not None:
            os.chown(self._folder, 0, self._owner[1])
        self._folder.chmod(0o700 if self._owner is None else 0o710)
        cert, key = self._ca.issue_server([self._ca.server_name])
        self._write("ca.pem", self._ca.ca_pem)
        self._write("server.pem", cert)
        self._write("server.key", key)
        listener = f"{self._port} {self._host}" if self._host not in broker.ANYWHERE else f"{self._port}"
        sizes = {"queue_max": QUEUE_MAX, "queue_bytes_max": QUEUE_BYTES_MAX}
        config = CONFIG.format(listener=listener, packet_bytes_max=broker.PACKET_BYTES_MAX, **sizes)
        self._write("mosquitto.conf", config.encode())
        self._write_lists()

    def _write_lists(self) -> None:
        self._write("crl.pem", self._ca.crl_pem())
        self._write("acl", self.rules.mosquitto_acl(self._pulse.mosquitto_acl() if self._pulse else "").encode())

    async def _spawn(self) -> None:
        """A running broker that answers; PortError("broker") or ("port_busy") with what it said."""
        assert self._pulse is not None
        command = [*_end_with_us(), self._program, "-c", "mosquitto.conf"]
        uid, gid = self._owner or (None, None)
        self._process = await asyncio.create_subprocess_exec(
            *command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"},
            user=uid, group=gid, extra_groups=None if uid is None else [],
        )  # fmt: skip
        self._remember_process()
        self._reader = asyncio.create_task(self._read_log(self._process), name="mosquitto log")
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                await self._pulse.beat()
                return
            except CoreletError as error:
                if self._process.returncode is not None or time.monotonic() > deadline:
                    await self._end_process()
                    raise self._why_not(error) from error
            await asyncio.sleep(0.05)

    def _why_not(self, error: CoreletError) -> PortError:
        said = [line for line in self.log if "Error" in line or "error" in line]
        if any("Address already in use" in line for line in said):
            text = f"port {self._port} was taken by another program: stop it or choose another with --port"
            return PortError("port_busy", text)
        return PortError("broker", f"mosquitto did not start: {said[-1] if said else error.text}")

    async def _supervise(self) -> None:
        """Restart it when it ends, when it does not answer twice, or when asked to."""
        assert self._process is not None and self._pulse is not None
        backoff = Backoff(os.urandom, RESTART_MS_MAX)
        while True:
            began = time.monotonic()
            await self._watch()
            await self._end_process()
            if time.monotonic() - began > STABLE_S:
                backoff.reset()
            while True:
                pause_ms = backoff.pause_ms()
                LOG.warning("mosquitto is started again in %d ms", pause_ms)
                await asyncio.sleep(pause_ms / 1000)
                try:
                    self._write_all()
                    await self._spawn()
                    break
                except (CoreletError, OSError) as error:
                    LOG.error("%s", error)

    async def _watch(self) -> None:
        assert self._process is not None and self._pulse is not None
        ended = asyncio.create_task(self._process.wait())
        asked = asyncio.create_task(self._restart.wait())
        missed = 0
        try:
            while missed < 2:
                await asyncio.wait({ended, asked}, timeout=PULSE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() or asked.done():
                    LOG.warning("mosquitto ended" if ended.done() else "mosquitto is restarted")
                    return
                try:
                    await self._pulse.beat()
                    missed = 0
                except CoreletError as error:
                    missed += 1
                    LOG.warning("mosquitto did not answer: %s", error.text)
        finally:
            self._restart.clear()
            for task in (ended, asked):
                task.cancel()

    async def _reload(self) -> None:
        """New lists, in force."""
        async with self._change:
            try:
                self._write_lists()
            except OSError as error:
                raise faults.file_fault(error, str(self._folder)) from error
            if self._process is None or self._process.returncode is not None or self._pulse is None:
                return  # the next start reads them
            self._reloading.clear()
            try:
                self._process.send_signal(signal.SIGHUP)
                async with asyncio.timeout(RELOAD_S_MAX):
                    await self._reloading.wait()
                await self._pulse.beat()
            except (TimeoutError, CoreletError, ProcessLookupError) as error:
                LOG.warning("mosquitto did not show that it reloaded (%s): restarting it", error)
                process = self._process
                self._restart.set()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        """All of it, always: a full pipe would stop the broker."""
        assert process.stderr is not None
        rest = b""
        while data := await process.stderr.read(4096):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[:LOG_CHARS_MAX]
            for line in lines:
                text = line[:LOG_CHARS_MAX].decode("ascii", "replace")
                text = "".join(char if char.isprintable() else "?" for char in text)
                self.log.append(text)
                if text.endswith("Reloading config."):
                    self._reloading.set()

    async def _end_process(self) -> None:
        if self._pulse is not None:
            await self._pulse.close()
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S_MAX):
                    await process.wait()
                break
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)
        (self._folder / "process.json").unlink(missing_ok=True)

    def _remember_process(self) -> None:
        assert self._process is not None
        note = {"pid": self._process.pid, "began": _began(self._process.pid)}
        write_private(self._folder / "process.json", json.dumps(note).encode())

    async def _end_orphan(self) -> None:
        """A broker of ours that outlived a core that was killed; told by its start time, so that no other is hit."""
        try:
            note = json.loads((self._folder / "process.json").read_bytes())
            pid, began = int(note["pid"]), int(note["began"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(STOP_S_MAX * 20):
                if not began or _began(pid) != began:
                    return
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                await asyncio.sleep(0.05)


def _checked_program() -> str:
    path = find()
    if path is None:
        raise PortError("broker", f"mosquitto is not installed: {INSTALL}, or use --broker embedded")
    found = version(path)
    if found < VERSION_FLOOR:
        shown = ".".join(map(str, found)) or "unknown"
        text = f"mosquitto {shown} at {path} is too old, 2.0 is the least: upgrade it, or use --broker embedded"
        raise PortError("broker", text)
    return path


def _owner() -> tuple[int, int] | None:
    """(uid, gid) that mosquitto shall run as; None: as we do."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid
    except KeyError as error:
        text = f"there is no user and group {USER} to run the broker as: adduser --system --group {USER}"
        raise PortError("broker", text) from error


def _end_with_us() -> list[str]:
    """A prefix that has the kernel end the broker when this process ends, however it ends (util-linux, not busybox)."""
    path = shutil.which("setpriv", path=os.environ.get("PATH", "") + ":" + _MORE_FOLDERS)
    if path is None or "busybox" in os.path.realpath(path):
        return []
    return [path, "--pdeathsig", "TERM", "--"]


def _began(pid: int) -> int:
    """Start time of a process in clock ticks since boot (proc(5), field 22 of stat); 0 when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
