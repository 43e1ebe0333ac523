"""A device behind a router that nothing comes through: it dials out, and files are stored on it and read back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.lan import run
from tests.e2e.network import Core, Device, Network, until
from tests.e2e.router import DEVICE, EXTERNAL, PEER, Router
from tests.programs import RUNTIMES

HOME = "192.168.7.0/24"


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    made = Router(tmp_path)
    try:
        made.filter()
        yield made
    finally:
        made.close()


@pytest.fixture
def network(router: Router, tmp_path: Path) -> Iterator[Network]:
    needs.program("mosquitto")
    with Network(tmp_path) as made:
        yield made


def opened(router: Router, *numbers: str) -> None:
    """The router lets these ports in, and the core has a way to the home behind it."""
    for number in numbers:
        rule = ["forward", "iifname", router.wan, "tcp", "dport", number, "accept"]
        run(*router.inside("router"), router.nft, "insert", "rule", "inet", "filter", *rule)
    run(*router.inside("outside"), "ip", "route", "add", HOME, "via", EXTERNAL)


def closed(router: Router) -> None:
    run(*router.inside("outside"), "ip", "route", "del", HOME)
    router.filter()


def paired(network: Network, router: Router, core: Core, runtime: str) -> Device:
    device = network.device(runtime)
    device.host = DEVICE
    device.command = router.inside("home") + device.command
    device.start()
    opened(router, str(device.status()["control_port"]))
    core.pair(device)
    closed(router)
    return device


def round_trip(core: Core, folder: Path, name: str) -> None:
    file = folder / name
    file.write_bytes(name.encode() * 30_000)
    assert core.say("put", str(file))["queued"] == 0
    core.say("get", name, "-o", str(folder / "back"))
    assert (folder / "back").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_that_cannot_be_reached_dials_in(
    network: Network, router: Router, tmp_path: Path, runtime: str
) -> None:
    core = network.core("core", PEER, tuple(router.inside("outside")))
    device = paired(network, router, core, runtime)
    identity = device.status()["device"]
    until("its call", lambda: core.row(identity).get("dialled") is True, 30)
    round_trip(core, tmp_path, "first")
    assert device.status()["shards"]["shards"] > 0

    device.kill()  # as by a power cut: told again at its return
    device.restart()
    until("its call again", lambda: core.is_up(identity) and core.row(identity)["dialled"], 40)
    core.say("get", "first", "-o", str(tmp_path / "back"))
    round_trip(core, tmp_path, "second")

    core.say("rm", "first")
    core.say("rm", "second")
    until("an empty queue", lambda: core.ask("/status")["waiting"] == 0, 20)
    assert device.status()["shards"]["shards"] == 0
    core.say("forget", identity)
    until("its leaving", lambda: device.status()["cores"] == [], 15)
    device.stop()
