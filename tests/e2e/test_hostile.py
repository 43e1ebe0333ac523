"""A hostile world: no disk, no clock, no core, junk on every listener. Each ends in one sentence: what is wrong
and what to do. Nothing is lost, nothing grows, and the device goes on. (What refuses a start: test_refusals.py.)"""

import contextlib
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import port
from agent.core.pairing import spake2plus
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step
from tests.e2e import garbage, needs
from tests.e2e.disks import fill, small_disk
from tests.e2e.house import RUNTIMES
from tests.e2e.network import Core, Device, Network, until
from tools.demonstration import HOST

SEED = 20261
ROUNDS = 20 if os.environ.get("CORELET_FULL") == "1" else 1
# MicroPython's heap is 512 KiB, all of it touched early; CPython keeps what its allocator has had once.
RSS_GROWTH_KIB_MAX = {"cpython": 3 * 1024, "micropython": 384}
GUESSES = 400 if os.environ.get("CORELET_FULL") == "1" else 40
both = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("network")
    with Network(folder) as made:
        yield made
    assert not left_of(folder), "a process or a socket outlived its network"


def left_of(folder: Path) -> list[str]:
    """Processes that name `folder` or work in it, and sockets of theirs that the kernel still knows."""
    found = [line for line in Path("/proc/net/unix").read_text(errors="replace").splitlines() if str(folder) in line]
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture(scope="module")
def core(network: Network) -> Core:
    return network.core("home")


@pytest.fixture
def device(network: Network, runtime: str) -> Iterator[Device]:
    made = network.device(runtime)
    yield made
    made.kill()


def put(core: Core, folder: Path, name: str, size: int) -> "subprocess.CompletedProcess[str]":
    (folder / name).write_bytes(random.Random(name).randbytes(size))
    return core.run("put", str(folder / name), "--name", name)


def is_kept(core: Core, folder: Path, name: str) -> bool:
    done = core.run("get", name, "-o", str(folder / "back"))
    return done.returncode == 0 and (folder / "back").read_bytes() == (folder / name).read_bytes()


def end(core: Core, *names: str) -> None:
    """The next test's core has no device: the dead ones first, which `rm` would wait for."""
    for is_up in (False, True):
        for row in core.ask("/devices")["devices"]:
            if row["up"] is is_up:
                core.say("forget", row["id"], "--force")
        while names and not is_up:
            core.say("rm", names[0])
            names = names[1:]


@both
def test_a_disk_that_becomes_full(core: Core, network: Network, runtime: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        device = network.device(runtime, disk / "state")
        device.start()
        core.pair(device)
        name = "before-" + runtime
        assert put(core, tmp_path, name, 100_000).returncode == 0
        fill(disk)
        refused = put(core, tmp_path, "after-" + runtime, 40_000_000)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr, refused
        assert is_kept(core, tmp_path, name), "it does not serve what it has"
        assert device.run("logs").returncode == 0 and device.is_connected(core)
        window = device.say("pair-window")
        failed = core.run("pair", window["code"], "--address", device.address)
        assert "disk is full" in failed.stderr and "Free some space" in failed.stderr, failed
        device.kill()
        line = device.refused("up")
        assert ("disk is full" in line or "free" in line) and "Traceback" not in line
        (disk / "other").unlink()
        device.restart()
        until("its return", lambda: device.is_connected(core))
        assert is_kept(core, tmp_path, name) and put(core, tmp_path, "later-" + runtime, 1000).returncode == 0
        end(core, name, "later-" + runtime)
        device.kill()


class WornDisk:
    """A file with ext4 on it. (A tmpfs with open files refuses to be mounted again as read-only.)"""

    def __init__(self, folder: Path) -> None:
        needs.root()
        self.folder = folder / "disk"
        self.folder.mkdir()
        self._image = folder / "image"
        self._image.write_bytes(bytes(64 << 20))
        subprocess.run([needs.program("mkfs.ext4", "e2fsprogs"), "-q", str(self._image)], check=True)

    def mount(self) -> None:
        command = ["mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            needs.absent("needs loop devices, for a disk that fails")

    def wear_out(self) -> None:
        """What the kernel does when the medium fails: it takes no more writes, also of files that are open."""
        device = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(self.folder)], check=True, capture_output=True, text=True
        ).stdout.strip()
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("worn out")

    def mend(self) -> None:
        """What is on it on another medium, checked as a boot does. (The kernel keeps the old one for as long as any
        mount namespace of this machine has it.)"""
        self._image = Path(shutil.copy(self._image, self._image.with_name("mended")))
        command = [needs.program("e2fsck", "e2fsprogs"), "-fy", str(self._image)]
        assert subprocess.run(command, capture_output=True, check=False).returncode in (0, 1)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=False, capture_output=True)


@both
def test_a_disk_that_becomes_read_only(core: Core, network: Network, runtime: str, tmp_path: Path) -> None:
    """As a worn medium does. What was acknowledged is served while it lasts, and is there when it is over."""
    disk = WornDisk(tmp_path)
    name, late = "worn-" + runtime, "late-" + runtime
    device = network.device(runtime, disk.folder / "state")
    try:
        disk.mount()
        device.start()
        core.pair(device)
        assert put(core, tmp_path, name, 100_000).returncode == 0
        disk.wear_out()
        refused = put(core, tmp_path, late, 1000)
        assert refused.returncode == 1 and "read-only" in refused.stderr, refused
        assert is_kept(core, tmp_path, name), "it does not serve what it has"
        assert device.say("status")["shards"]["read_only"] is True and device.is_connected(core)
        shown = " ".join(device.run("status").stdout.split())
        assert "no more are taken until it starts again: the disk is read-only" in shown, shown
        assert "Traceback" not in device.screen and "read_only" in device.run("logs").stdout
        device.kill()
        line = device.refused("up")
        assert "read-only" in line and "writable" in line
        disk.unmount()
        assert not os.path.ismount(disk.folder), "something still lives on it"
        disk.mend()
        disk.mount()
        device.restart()
        until("its return", lambda: device.is_connected(core))
        assert device.say("status")["shards"]["read_only"] is False
        assert is_kept(core, tmp_path, name) and put(core, tmp_path, late, 1000).returncode == 0
        assert is_kept(core, tmp_path, late)
        end(core, name, late)
    finally:
        device.kill()
        disk.unmount()


def clock_at(when: str) -> dict[str, str]:
    """What faketime sets for the program it starts. (It forks, and its child would survive it.)"""
    command = [needs.program("faketime"), when, "env"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith(("FAKETIME=", "LD_PRELOAD=")))


@both
def test_a_wrong_clock(core: Core, device: Device, tmp_path: Path) -> None:
    device.environment = clock_at("2000-01-01 00:00:00")
    device.start()
    identity = core.pair(device)["device"]
    name = "clock-" + device.runtime
    assert put(core, tmp_path, name, 50_000).returncode == 0 and is_kept(core, tmp_path, name)
    assert "2000-01-01T00:00" in device.run("logs").stdout
    device.kill()
    device.restart()
    until("its return", lambda: core.is_up(identity))
    assert is_kept(core, tmp_path, name)
    end(core, name)


@both
def test_a_busy_data_port(device: Device) -> None:
    with socket.create_server((HOST, 0)) as other:
        number = str(other.getsockname()[1])
        line = device.refused("up", "--data-port", number)
    assert f"Port {number} " in line and "choose another port" in line


def test_no_core_at_the_start(core: Core, network: Network, tmp_path: Path) -> None:
    """The reason is shown; what was acknowledged is there when the core is back, which each finds by itself."""
    devices = [network.device(runtime) for runtime in RUNTIMES]
    for device in devices:
        device.start()
        core.pair(device)
    assert put(core, tmp_path, "alone", 50_000).returncode == 0
    for device in devices:
        device.kill()
    core.process.stop(signal.SIGINT)
    try:
        for device in devices:
            device.restart()
        for device in devices:
            is_refused = functools.partial(lambda each: "refused" in each.link(core)["why"], device)
            until("the reason", is_refused)
            why, shown = device.link(core)["why"], device.run("status")
            assert (
                shown.returncode == 0 and f"not connected: {why}" in " ".join(shown.stdout.split()) and HOST in why
            ), shown
            assert "Traceback" not in device.screen and "refused" in device.run("logs").stdout
    finally:
        core.start()
    for device in devices:
        until("its return", functools.partial(device.is_connected, core))
    assert is_kept(core, tmp_path, "alone")
    end(core, "alone")
    network.kill_devices()


def damages(data: bytes) -> tuple[bytes, ...]:
    """Torn, and overwritten."""
    return data[: len(data) // 2], random.Random(len(data)).randbytes(len(data))


@both
def test_damaged_state(core: Core, device: Device, tmp_path: Path) -> None:
    """Records and settings are refused by name; logs and shards are not worth a refusal: what is lost is lost."""
    device.start()
    core.pair(device)
    name = "damaged-" + device.runtime
    assert put(core, tmp_path, name, 50_000).returncode == 0
    device.stop()
    good = {path: path.read_bytes() for path in device.state.rglob("*") if path.is_file()}
    records = [path for path in sorted(good) if path.suffix in (".cbor", ".json")]
    others = [path for path in good if path.parent.name in ("logs", "shards")]
    assert len(records) == 5 and len(others) >= 2
    for path in records:
        for bad in damages(good[path]):
            path.write_bytes(bad)
            line = device.refused("up")
            assert str(path.relative_to(device.state)) in line, line
            assert re.search(r" (reset|leave [0-9a-f]{16})( --state \S+)?$|mend it or remove it$", line), line
        path.write_bytes(good[path])
    for kind in (0, 1):
        for path in others:
            path.write_bytes(damages(good[path])[kind])
        device.restart()
        assert until("an answer", device.status)["boot"] > 1 and "Traceback" not in device.screen
        device.stop()
    for path in records:
        path.write_bytes(b"junk")
    line = device.refused("leave", core.id, "--yes")
    assert "settings.json" in line  # the owner's own words come first; they are kept by a reset
    assert device.say("reset", "--yes") == {"restarted": False}
    records[-1].unlink()
    device.start()
    core.pair(device)
    end(core, name)


def answered(device: Device) -> None:
    """Real requests on both listeners and on the local socket."""
    assert (status := device.status()), device.screen
    media = "Content-Type: application/cbor"
    pairing = garbage.exchange((HOST, status["control_port"]), garbage.request("POST", "/pair", b"\x80", media))
    is_read = status["window"]["open"] or b"closed" not in pairing  # without a window nobody reads it
    assert pairing.startswith(b"HTTP/1.1 400 " if is_read else b"HTTP/1.1 200 "), pairing[:200]
    shard = garbage.exchange((HOST, status["data_port"]), garbage.request("GET", "/shards/" + "ab" * 32))
    assert shard.startswith(b"HTTP/1.1 401 "), shard[:200]


def listeners_for(attack: "garbage.Attack", source: random.Random) -> tuple[str, ...]:
    """Those that take seconds meet one of the two in a sampled run: both listeners are one class."""
    both_of_them = ("control_port", "data_port")
    return both_of_them if ROUNDS > 1 or attack not in garbage.LONG else (source.choice(both_of_them),)


@both
def test_garbage_on_both_listeners(core: Core, device: Device, tmp_path: Path) -> None:
    device.start()
    core.pair(device)
    name = "garbage-" + device.runtime
    assert put(core, tmp_path, name, 50_000).returncode == 0
    answered(device)
    status, source = device.status(), random.Random(SEED)
    before = device.rss_kib()
    for _ in range(ROUNDS):
        for attack in garbage.ATTACKS:
            for which in listeners_for(attack, source):
                attack((HOST, status[which]), source)
                assert device.process.is_running(), (attack, device.screen)
            answered(device)
    growth = device.rss_kib() - before
    print(f"{device.runtime}: {growth} KiB more")
    assert growth < RSS_GROWTH_KIB_MAX[device.runtime]
    assert "Traceback" not in device.screen and "unexpected" not in device.run("logs").stdout
    assert device.status()["boot"] == 1 and device.is_connected(core) and is_kept(core, tmp_path, name)
    end(core, name)


@both
def test_junk_on_the_local_socket(device: Device) -> None:
    device.start()
    source = random.Random(SEED)
    opened = []
    for number in range(40):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(2)
        here = os.open(device.state, os.O_RDONLY)
        with contextlib.suppress(OSError):
            connection.connect(f"/proc/self/fd/{here}/control.sock")
            connection.send(b"POST /reset HTT" if number % 2 else source.randbytes(3000))
        os.close(here)
        opened.append(connection)
    assert device.say("status")["boot"] == 1  # while they are open
    for connection in opened:
        connection.close()
    assert "Traceback" not in device.screen and device.say("pair-window")["code"]
    assert oct(stat_mode(device.state / "control.sock")) == "0o600"


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def guess(address: tuple[str, int]) -> str:
    """One wrong code, as fast as it goes: hello, a share, a false proof. What the device made of it."""
    codec, crypto = port.codec(), port.crypto()
    media = "Content-Type: application/cbor"

    def post(step: int, session: bytes, *fields: object) -> pairing_frames.Frame:
        body = pairing_frames.encode_frame(codec, step, session, list(fields))
        answer = garbage.exchange(address, garbage.request("POST", "/pair", body, media))
        return pairing_frames.decode_frame(codec, answer.partition(b"\r\n\r\n")[2], pairing_frames.ANSWERS)

    frame = post(Step.HELLO, b"", [1], "0123456789abcdef", os.urandom(16))
    if frame.step == Step.REFUSED:
        return str(frame.fields[1])
    session = frame.session
    frame = post(Step.SHARE, session, crypto.p256_public(spake2plus.fresh_scalar(crypto)))
    if frame.step == Step.REFUSED:
        return str(frame.fields[1])
    return str(post(Step.CONFIRM, session, os.urandom(32)).fields[1])


@both
def test_a_flood_of_pairings(core: Core, device: Device) -> None:
    device.start()
    status = device.status()
    address = (HOST, status["control_port"])
    outcomes = [guess(address)]
    before, started = device.rss_kib(), time.monotonic()
    outcomes += [guess(address) for _ in range(GUESSES - 1)]
    seconds = time.monotonic() - started
    counted = len([each for each in outcomes if each not in ("wait", "busy")])
    assert 5 <= counted <= 6 + seconds, outcomes  # five are free, then each waits longer than the one before
    growth = device.rss_kib() - before
    print(f"{device.runtime}: {growth} KiB more after {len(outcomes)} guesses in {seconds:.1f} s")
    assert outcomes[-1] == "wait" and growth < RSS_GROWTH_KIB_MAX[device.runtime]
    assert "refused" in device.run("logs").stdout and device.code not in device.run("logs").stdout
    core.pair(device, device.say("pair-window")["code"])  # the owner opens a window: a new code, a new count
    end(core)
