"""The device as its owner sees it: every command, pairing, leaving, returning; real processes of both interpreters."""

import json
import re
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import limits
from boards import loader
from tests.e2e.network import Core, Device, Network, sentence, until
from tests.programs import RUNTIMES
from tools.demonstration import CODE, HOST

FIRST_SCREEN_S = 5.0
PAIRED_S = 10.0
both = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Network(tmp_path_factory.mktemp("network")) as made:
        yield made


@pytest.fixture(scope="module")
def core(network: Network) -> Core:
    return network.core("home")


@pytest.fixture(scope="module")
def second_core(network: Network) -> Core:
    return network.core("club")


@pytest.fixture
def device(network: Network, runtime: str) -> Iterator[Device]:
    made = network.device(runtime)
    yield made
    made.kill()


def stored(core: Core, folder: Path, name: str, size: int = 100_000) -> bytes:
    """A file that `core` now keeps on its one device."""
    file = folder / name
    file.write_bytes(bytes(number * 31 & 255 for number in range(251)) * (size // 251 + 1))
    core.say("put", str(file), "--name", name)
    return file.read_bytes()


def read_back(core: Core, folder: Path, name: str) -> bytes:
    core.say("get", name, "-o", str(folder / "back"))
    return (folder / "back").read_bytes()


def modes(folder: Path) -> dict[str, int]:
    found = {str(path.relative_to(folder)): path.lstat().st_mode for path in folder.rglob("*")}
    return found | {".": folder.stat().st_mode}


@both
def test_the_first_screen(device: Device) -> None:
    seconds = device.start("--name", "attic")
    assert seconds < FIRST_SCREEN_S
    shards = r"128\.0\s+MiB" if device.runtime == "micropython" else r"4\.0\s+GiB"  # its heap has no room for more
    # The wear of the disk that the tests run on may allow less than the profile's 8 GiB.
    day = limits.amount(device.status()["ceilings"]["flash_bytes_day"]).replace(" ", r"\s+")
    for part in (
        r"Corelet \S+ on " + device.runtime + r" \d",
        r"name +attic\n",
        r"board +generic-linux \(Any Linux machine without a profile of its own\);\s+nothing\s+that\s+tells\s+it",
        rf"ceilings\s+{shards}\s+of\s+shards,\s+{day}\s+written\s+to\s+flash\s+a\s+day,\s+"
        r"200\s+Mbit/s\s+of\s+shards,\s+both\s+ways\s+together,\s+20\s+Mbit/s\s+relayed\s+each\s+way,\s+"
        r"64\s+relay\s+allocations,\s+64\s+connections,\s+1\.0\s+MiB\s+of\s+logs\n",
        rf"address +{HOST}:\d+\n",
        rf"state +{device.state}\n",
        r"setup code +[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\n",
        rf"waiting for a full core \(1\d:\d\d left\); there: corelet-core pair {device.code}\n",
    ):
        assert re.search(part, device.screen), (part, device.screen)


@both
def test_everything_in_the_state_is_private(core: Core, device: Device, tmp_path: Path) -> None:
    device.start()
    core.pair(device)
    stored(core, tmp_path, "private-" + device.runtime)
    found = modes(device.state)
    assert {"identity/device.cbor", f"cores/{core.id}/core.cbor", "logs/0.log", "control.sock"} <= set(found)
    assert any(name.startswith("shards/slab.") for name in found)
    for name, mode in found.items():
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), (name, oct(mode))
    device.say("leave", core.id, "--now")


@both
def test_one_process_for_one_state(device: Device) -> None:
    device.start()
    line = device.refused("up")
    assert "in use by another process" in line and str(device.state) in line and "--state" in line
    assert device.status()["window"]["code"] == device.code


@both
def test_status_logs_boards_and_windows(device: Device) -> None:
    device.start("--name", "Grandma's attic")
    answer = device.say("status")
    assert answer["name"] == "Grandma's attic" and answer["window"]["code"] == device.code and answer["boot"] == 1
    shown = device.run("status").stdout
    assert "cores     none yet" in shown and device.code in shown
    codes = {device.code}
    for _ in range(2):
        window = device.say("pair-window")
        assert window["open"] and 890 < window["seconds_left"] <= 900 and window["code"] not in codes
        codes.add(window["code"])
    shown = device.run("pair-window").stdout
    found = CODE.search(shown)
    assert found and found.group(1) not in codes and "waiting for a full core (15:00 left)" in shown
    lines = device.say("logs")["lines"]
    assert any("started" in line for line in lines)
    assert device.run("logs").stdout.splitlines()[: len(lines)] == lines
    text = "\n".join(lines)
    assert not any(code in text or code.replace("-", "") in text for code in codes), "a setup code was logged"
    names = [board["id"] for board in device.say("boards")["boards"]]
    assert names == list(loader.NAMES) and {"generic-linux", "gl-mt300n-v2", "qemu-x86-64"} < set(names)
    assert "gl-mt300n-v2: " in device.run("boards").stdout


@both
def test_wrong_words(device: Device) -> None:
    cases = (
        (("frobnicate",), "there are: up, status"),
        (("leave",), "takes CORE"),
        (("leave", "nonsense id"), "16 hex digits"),
        (("status", "now"), "'now' came"),
        (("up", "--colour"), "no option --colour"),
        (("up", "--port", "99999"), "--port is 99999; allowed: a whole number 0..65535"),
        (("up", "--data-port", "x"), "--data-port is 'x'"),
        (("up", "--listen", "example.org"), "--listen is ['example.org']"),
        (("up", "--name", "x" * 40), "--name is"),
    )
    for words, hint in cases:
        assert hint in sentence(device.run(*words), 2), words
    assert not device.state.exists(), "wrong words made a state folder"
    helped = device.run("--help")
    assert helped.returncode == 0 and " up --name attic" in helped.stdout
    assert device.refused("status").endswith(f" up --state {device.state}")
    assert "no device has its state" in device.refused("leave", "0123456789abcdef")
    assert not device.state.exists()


@both
def test_a_board_that_this_is_not(device: Device) -> None:
    if device.runtime == "cpython":
        line = device.refused("up", "--board", "gl-mt300n-v2")
        assert "TLS-enabled interpreter >= 1.25" in line and "USB storage or extroot" in line and "cpython" in line
    assert "there are: generic-linux, gl-mt300n-v2" in device.refused("up", "--board", "toaster")


@both
def test_pairing_is_quick_and_the_link_stays(core: Core, device: Device, tmp_path: Path) -> None:
    """From code entry to "connected"; then what the core asks of it, a restart, a kill."""
    device.start()
    started = time.monotonic()
    answer = core.say("pair", device.code, "--address", device.address)
    assert time.monotonic() - started < PAIRED_S
    assert list(answer["steps"]) == ["found", "code proven", "identity issued", "time set", "connected"]
    identity = answer["device"]
    assert device.status()["device"] == identity and not device.status()["window"]["open"]
    assert f"{core.id} home, connected" in device.run("status").stdout
    data = stored(core, tmp_path, "kept-" + device.runtime)
    for end in (device.stop, device.kill):
        end()
        until("its absence", lambda: not core.is_up(identity), 10)
        device.restart()
        assert f"core      {core.id} home" in device.screen and not device.code
        until("its return without a code", lambda: core.is_up(identity), 20)
    assert device.status()["boot"] == 3
    assert read_back(core, tmp_path, "kept-" + device.runtime) == data
    core.say("rm", "kept-" + device.runtime)
    device.say("leave", core.id, "--now")


@both
def test_a_device_that_is_paired_again_is_believed(core: Core, device: Device, tmp_path: Path) -> None:
    """In one boot: twice with the same core while connected, then after it left. A goodbye of an earlier session that
    arrives late, or that the broker kept, must not make the core think that it is away."""
    device.start()
    identity = core.pair(device)["device"]
    sessions = [core.row(identity)["up"]]
    for is_left in (False, True):
        if is_left:
            assert device.say("leave", core.id, "--now")["core"] == core.id
            until("its goodbye", lambda: not core.is_up(identity), 10)
        assert core.pair(device, device.say("pair-window")["code"])["device"] == identity
        sessions.append(until("the new session", lambda: core.is_up(identity), 10))
        time.sleep(0.5)
        assert core.is_up(identity) and device.is_connected(core)
    assert sessions == [True, True, True]
    name = "again-" + device.runtime
    data = stored(core, tmp_path, name)
    assert read_back(core, tmp_path, name) == data
    core.say("rm", name)
    device.say("leave", core.id, "--now")


@both
def test_leaving_a_core_frees_what_it_kept(core: Core, device: Device, tmp_path: Path) -> None:
    for is_running in (True, False):
        device.start() if not device.state.exists() else device.start(ready="address")
        code = device.code or device.say("pair-window")["code"]
        identity = core.pair(device, code)["device"]
        stored(core, tmp_path, f"left-{device.runtime}-{is_running}")
        assert device.status()["shards"]["used"] > 0
        if not is_running:
            device.stop()
        done = device.run("leave", core.id, "--now")
        assert done.returncode == 0 and re.search(r"128\.0 KiB that it kept here are free", done.stdout), done
        until("the core's knowledge of it", lambda who=identity: not core.is_up(who), 10)
        assert "does not belong to core" in device.refused("leave", core.id)
        if not is_running:
            device.start(ready="address")
        status = device.status()
        assert status["cores"] == [] and status["shards"]["used"] == 0
        device.stop()
    core.say("forget", identity, "--force")


@both
def test_reset_begins_a_new_life(core: Core, device: Device, tmp_path: Path) -> None:
    device.start()
    first, code = core.pair(device)["device"], device.code
    stored(core, tmp_path, "reset-" + device.runtime)
    assert device.say("reset") == {"restarted": True}
    until("a fresh code", lambda: device.code != code)
    until("the core's knowledge of it", lambda: not core.is_up(first), 10)
    status = until("the new life", device.status)
    assert status["boot"] == 2 and status["cores"] == [] and status["shards"]["used"] == 0
    second = core.pair(device)["device"]
    assert second == status["device"] != first and core.is_up(second)
    device.stop()
    assert device.say("reset") == {"restarted": False}
    left = {path.name for path in device.state.rglob("*") if path.is_file()}
    assert left == {"boot.cbor", "settings.json", "0.log", "name"}  # the last one names the lock
    device.start()
    third = core.pair(device)["device"]
    assert third not in (first, second) and core.is_up(third) and device.status()["boot"] == 3
    for identity in (first, second, third):
        core.say("forget", identity, "--force")


@both
def test_forget_silences(core: Core, device: Device) -> None:
    device.start()
    identity = core.pair(device)["device"]
    core.say("forget", identity)
    until("its leaving", lambda: device.status()["cores"] == [], 15)
    assert not core.row(identity)
    # One that is away hears nothing of it; when it is back, it is not let in and says why.
    core.pair(device, device.say("pair-window")["code"])
    device.kill()
    core.say("forget", identity)
    device.restart()
    until("the reason", lambda: device.link(core)["why"] not in ("", "not connected yet"), 15)
    assert not device.is_connected(core) and not core.row(identity)
    assert "not connected: " in device.run("status").stdout


@both
def test_stop_ends_in_order_and_an_interrupt_at_any_moment(device: Device) -> None:
    """The other interpreter's Ctrl-C raises out of a signal handler; taken in the middle of a collection of garbage it
    would leave a device that runs on with a damaged heap."""
    device.start()
    for number in range(3):
        assert device.run("stop").stdout == "Stopped.\n" and device.process.stop(0) == 0
        assert "no device runs" in device.refused("stop") and "device: stopped" in device.run("logs").stdout
        device.start()  # at once: nobody holds the state any more
        time.sleep(number * 0.05)
        started = time.monotonic()
        assert device.process.stop(signal.SIGINT) == (0 if device.runtime == "cpython" else -signal.SIGINT)
        assert time.monotonic() - started < 5
        device.start()
    assert device.status()["boot"] == 7


@both
def test_two_cores_at_once(core: Core, second_core: Core, device: Device, tmp_path: Path) -> None:
    device.start()
    identity = core.pair(device)["device"]
    assert second_core.pair(device, device.say("pair-window")["code"])["device"] == identity
    names = ("both-" + device.runtime, "club-" + device.runtime)
    one = stored(core, tmp_path, names[0])
    other = stored(second_core, tmp_path, names[1], 50_000)
    assert read_back(core, tmp_path, names[0]) == one and read_back(second_core, tmp_path, names[1]) == other
    device.say("leave", core.id, "--now")
    assert [each["core"] for each in device.status()["cores"]] == [second_core.id]
    assert read_back(second_core, tmp_path, names[1]) == other
    second_core.say("rm", names[1])
    device.say("leave", second_core.id, "--now")


@both
def test_a_core_that_comes_back_finds_its_device(second_core: Core, device: Device) -> None:
    device.start()
    identity = second_core.pair(device)["device"]
    second_core.process.stop(signal.SIGKILL)
    why = until("the reason", lambda: device.link(second_core)["why"], 15)
    assert HOST in why and "not connected" not in why, why
    assert why in " ".join(device.run("status").stdout.split())
    second_core.start()
    until("its return by itself", lambda: second_core.is_up(identity), 40)
    until("its own word of it", lambda: device.is_connected(second_core), 10)
    device.say("leave", second_core.id, "--now")


@both
def test_a_running_device_follows_its_owner(core: Core, device: Device, tmp_path: Path) -> None:
    device.start()
    identity = core.pair(device)["device"]
    most = device.status()["ceilings"]
    assert device.say("limits", "set", "shard_bytes", "196608") == {
        "ceiling": "shard_bytes", "in_force": 196_608, "running": True, "followed": True, "level": "self"
    }  # fmt: skip
    until("the core's word of it", lambda: core.row(identity)["quota"] == 196_608, 10)
    big = tmp_path / "big"
    big.write_bytes(bytes(1_000_000))
    assert core.run("put", str(big), "--name", "followed-" + device.runtime).returncode == 1
    assert device.say("limits", "set", "relay_bps", "64000")["followed"] is False
    assert device.status()["ceilings"]["relay_bps"] == most["relay_bps"]
    text = " ".join(device.run("limits").stdout.split())
    allows = f"{most['relay_bps']} bit/s; held by the device itself; yours, the board allows {most['relay_bps']}"
    assert allows + "; what you set begins with the next start" in text
    assert "allowed: a whole number" in device.refused("limits", "set", "shard_bps", "99999999999")
    held = {row["ceiling"]: row["level"] for row in device.say("limits")["ceilings"]}
    kernel = {"cpython": ("kernel", "none"), "micropython": ("none", "runtime")}[device.runtime]
    assert (held["descriptors"], held["memory_kib"]) == kernel and held["process_count"] == "none"
    device.say("limits", "set", "descriptors", "256")
    device.stop()
    device.start(ready="address")
    if device.runtime == "cpython":  # the kernel's word, from outside
        assert "Max open files            256 " in Path(f"/proc/{device.process.pid}/limits").read_text()
    kept = device.status()["ceilings"]
    assert (kept["shard_bytes"], kept["relay_bps"]) == (196_608, 64_000)
    assert device.say("limits", "set", "shard_bytes", "board")["in_force"] == most["shard_bytes"]
    until(
        "its return and its room",
        lambda: core.is_up(identity) and core.row(identity)["quota"] == most["shard_bytes"],
        40,
    )
    stored(core, tmp_path, "roomy-" + device.runtime, 1_000_000)
    core.say("rm", "roomy-" + device.runtime)
    device.say("limits", "set", "relay_bps", "board")
    device.say("leave", core.id, "--now")


@both
def test_lower_ceilings_are_kept(core: Core, device: Device, tmp_path: Path) -> None:
    slab = 16 * 65536 if device.runtime == "micropython" else 16 << 20
    device.start()
    device.stop()
    settings = device.state / "owner/settings.json"
    kept = json.loads(settings.read_text())
    quota = 196_608
    settings.write_text(json.dumps(kept | {"ceilings": {"shard_bytes": quota}}))
    device.start()
    identity = core.pair(device)["device"]
    assert core.row(identity)["quota"] == quota == device.status()["ceilings"]["shard_bytes"]
    stored(core, tmp_path, "fits-" + device.runtime, 60_000)
    big = tmp_path / "big"
    big.write_bytes(bytes(1_000_000))
    refused = core.run("put", str(big), "--name", "big-" + device.runtime)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr, refused
    sizes = {path.name: path.stat().st_size for path in (device.state / "shards").iterdir()}
    beside = sum(sizes.pop(name, 0) for name in ("slab.memo", "slab.index"))
    assert sum(sizes.values()) <= quota < slab and beside <= 16_384
    core.say("rm", "fits-" + device.runtime)
    device.say("leave", core.id, "--now")
    device.stop()
    for wrong, parts in (
        ({"ceilings": {"shard_bytes": -1}}, ("shard_bytes is -1", "0..17592186044416 bytes")),
        ({"ceilings": {"speed": 1}}, ("no ceiling 'speed'", "relay_bps")),
        ({"control_port": "http"}, ("control_port is 'http'", "0..65535")),
        ({"color": 1}, ("no 'color'", "ceilings")),
    ):
        settings.write_text(json.dumps(kept | wrong))
        line = device.refused("up")
        assert all(part in line for part in parts), line
