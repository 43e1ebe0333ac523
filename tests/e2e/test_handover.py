"""A device that leaves hands over what it keeps, and says so when nobody can take it: with real processes."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.network import Core, Device, Network, until
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES

WAIT_S = 60


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    needs.program("mosquitto")
    with Network(tmp_path) as made:
        yield made


def put(core: Core, folder: Path, size: int) -> bytes:
    file = folder / "file"
    file.write_bytes(os.urandom(size))
    core.say("put", str(file))
    return file.read_bytes()


def check(core: Core, folder: Path, content: bytes) -> None:
    core.say("get", "file", "-o", str(folder / "back"))
    assert (folder / "back").read_bytes() == content


def begin(device: Device, core: Core) -> "subprocess.Popen[str]":
    """`corelet leave`, not waited for."""
    command = [*device.command, "leave", core.id, "--yes", "--state", str(device.state)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_only_device_says_what_would_be_lost_and_goes_when_others_are_there(
    network: Network, tmp_path: Path, runtime: str
) -> None:
    core = network.core()
    leaver = network.device(runtime)
    leaver.start()
    device_id = core.pair(leaver)["device"]
    content = put(core, tmp_path, 300_000)
    started = time.monotonic()
    sentence = leaver.refused("leave", core.id)
    assert time.monotonic() - started < 20
    object_id = core.say("ls")["objects"][0]["id"]
    assert f"1 file would be lost ({object_id[:8]})" in sentence and f"leave {core.id} --now" in sentence, sentence
    assert any("wants to leave" in each and "file" in each for each in core.ask("/status")["warnings"])
    assert leaver.link(core)["leaving"] is False
    until("the core's word of its staying", lambda: core.row(device_id)["leaving"] is False, 15)
    check(core, tmp_path, content)

    others = [network.device("cpython"), network.device("micropython")]
    for each in others:
        each.start()
        core.pair(each)
    done = leaver.run("leave", core.id)
    said = done.stdout  # how far it was when it was asked, and the end
    assert done.returncode == 0 and re.search("The core moves what is here|shards are with others", said), said
    assert "The core was told." in said
    until("the core's word of it", lambda: core.row(device_id)["state"] == "left", 5)
    assert leaver.status()["cores"] == [] and core.row(device_id)["shards"] == 0
    leaver.kill()
    check(core, tmp_path, content)
    until("a second copy", lambda: core.say("ls")["objects"][0]["survives"] == 1, WAIT_S)


def test_a_restart_of_the_device_or_the_core_in_the_middle_changes_nothing(network: Network, tmp_path: Path) -> None:
    core = network.core(more=("--background-rate", "300000"))
    leaver = network.device("cpython")
    leaver.start()
    device_id = core.pair(leaver)["device"]
    content = put(core, tmp_path, 4_000_000)
    other = network.device("cpython")
    other.start()
    core.pair(other)
    watching = begin(leaver, core)
    first = core.row(device_id)["shards"]
    until("the first of it elsewhere", lambda: 0 < core.row(device_id)["shards"] < first, WAIT_S)
    assert core.row(device_id)["leaving"] is True
    leaver.kill()
    assert "no device runs" in watching.communicate(timeout=WAIT_S)[1]
    leaver.restart()
    until("its return", lambda: core.is_up(device_id))
    assert leaver.link(core)["leaving"] is True

    core.process.stop(signal.SIGKILL)
    check_that_it_waits(leaver, core)
    core.start()
    until("its end", lambda: core.row(device_id).get("state") == "left", WAIT_S)
    assert leaver.status()["cores"] == []
    leaver.kill()
    check(core, tmp_path, content)


def check_that_it_waits(leaver: Device, core: Core) -> None:
    until("the end of the link", lambda: not leaver.is_connected(core))
    assert "not connected" in leaver.refused("leave", core.id)
    assert leaver.status()["cores"] != []


def test_the_owner_always_may_leave(network: Network, tmp_path: Path) -> None:
    core = network.core()
    devices = [network.device("cpython"), network.device("cpython")]
    for each in devices:
        each.start()
        core.pair(each)
    put(core, tmp_path, 1000)
    assert devices[0].say("leave", core.id, "--now")["told"] is True
    assert devices[0].status()["cores"] == []
    devices[1].kill()
    sentence = devices[1].refused("leave", core.id)
    assert "while the device does not run" in sentence and f"leave {core.id} --now" in sentence
    assert devices[1].say("leave", core.id, "--now")["freed"] > 0
