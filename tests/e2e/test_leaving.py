"""A device leaves its core by its owner's will: real processes of both interpreters, real mosquitto."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.network import Core, Device, Network, until
from tests.programs import RUNTIMES


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    needs.program("mosquitto")
    with Network(tmp_path) as made:
        yield made


def shown(core: Core, device_id: str) -> str:
    """The LINK column of `corelet-core devices`, as the operator reads it."""
    done = core.run_plainly("devices")
    assert done.returncode == 0, done
    (line,) = [line for line in done.stdout.splitlines() if device_id[:8] in line]
    return next(word for word in line.split() if word in ("up", "down", "left"))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_core_hears_that_a_device_has_left_and_moves_its_shards(
    network: Network, runtime: str, tmp_path: Path
) -> None:
    core = network.core()
    kept = [network.device("cpython"), network.device("cpython")]
    spare = network.device("cpython")
    leaver = network.device(runtime)
    for each in (*kept, leaver, spare):
        each.start()
    ids = [core.pair(each)["device"] for each in (*kept, leaver)]
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 400)
    assert sorted(core.say("put", str(file))["devices"]) == sorted(core.row(each)["name"] for each in ids)
    assert shown(core, ids[2]) == "up"
    core.pair(spare)

    answer = leaver.say("leave", core.id)
    assert answer["told"] is True
    until("the core's word of it", lambda: core.row(ids[2])["state"] == "left", 5)
    assert shown(core, ids[2]) == "left" and not core.row(ids[2])["up"]
    assert core.row(ids[2])["shards"] == 0
    warnings = core.ask("/status")["warnings"]
    assert any("has left this core" in each and "corelet-core forget" in each for each in warnings), warnings
    # Its certificate is worth nothing now, and what it kept lives on the others.
    assert len(core.revoked()) == 1
    until("its shard on another device", lambda: core.say("ls")["objects"][0]["shards"] == 3, 20)
    assert core.say("ls")["objects"][0]["survives"] >= 0
    kept[0].kill()
    kept[0].restart()
    until("its return", lambda: core.is_up(ids[0]))
    core.say("get", "file", "-o", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == file.read_bytes()

    check_that_it_may_return(core, leaver, ids[2])


def check_that_it_may_return(core: Core, leaver: Device, device_id: str) -> None:
    """As a member like any other; and only a farewell says "left", never a death."""
    again = core.pair(leaver, leaver.say("pair-window")["code"])["device"]
    assert again == device_id and shown(core, again) == "up"
    leaver.stop()
    until("its goodbye", lambda: not core.is_up(again))
    time.sleep(1.5)
    assert shown(core, again) == "down"
    leaver.restart()
    until("its second return", lambda: core.is_up(again))
    leaver.kill()
    until("its death", lambda: not core.is_up(again))
    time.sleep(1.5)
    assert shown(core, again) == "down"


def test_a_core_that_cannot_be_reached_is_left_all_the_same(network: Network) -> None:
    core, device = network.core(), network.device("cpython")
    device.start()
    device_id = core.pair(device)["device"]
    os.kill(core.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    answer = device.say("leave", core.id)
    os.kill(core.process.pid, signal.SIGCONT)
    assert time.monotonic() - started < 10
    assert answer["core"] == core.id and device.status()["cores"] == []
    # Its broker was alive and kept the word: the core hears it late.
    assert answer["told"] is True
    until("the core's word of it", lambda: core.row(device_id)["state"] == "left", 10)
    assert core.say("forget", device_id)["others"] == 0 and not core.row(device_id)

    core.pair(device, device.say("pair-window")["code"])
    core.process.stop(signal.SIGINT)
    until("the end of the link", lambda: not device.is_connected(core))
    assert device.say("leave", core.id)["told"] is False
    assert device.status()["cores"] == []
