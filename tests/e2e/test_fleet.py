"""A fleet grows from one device to nine, loses any four for good, gets them back: no operator does anything.

Real processes of both interpreters, real mosquitto, times of seconds where a home has hours. Which four is by chance,
seeded; the full run takes more seeds.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import needs
from tests.e2e.network import Core, Device, Network, until

SEEDS = range(3) if os.environ.get("CORELET_FULL") == "1" else range(1)
AWAY_S = 3
WAIT_S = 60


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    needs.program("mosquitto")
    with Network(tmp_path) as made:
        yield made


def health(core: Core) -> dict[str, Any]:
    value = core.say("objects", "--health")
    return {line["name"]: (f"{line['k']}/{line['n']}", line["survives"]) for line in value["objects"]}


def check(core: Core, files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        core.say("get", name, "-o", str(folder / "back"))
        assert (folder / "back").read_bytes() == content, name


def put(core: Core, folder: Path, name: str, size: int) -> bytes:
    file = folder / name
    file.write_bytes(random.Random(size).randbytes(size))
    core.say("put", str(file))
    return file.read_bytes()


def used(devices: list[Device]) -> int:
    return sum(device.status()["shards"]["shards"] for device in devices)


@pytest.mark.parametrize("seed", SEEDS)
def test_growth_loss_of_four_and_their_return(network: Network, tmp_path: Path, seed: int) -> None:
    core = network.core(more=("--repair-after", str(AWAY_S)))
    devices = [network.device("micropython" if number in (2, 5) else "cpython") for number in range(9)]
    devices[0].start()
    core.pair(devices[0])
    files = {name: put(core, tmp_path, name, size) for name, size in (("small", 1000), ("large", 700_000))}
    assert set(health(core).values()) == {("1/1", 0)}
    for device in devices[1:]:
        device.start()
        core.pair(device)
    began = time.monotonic()
    until("all coded anew for nine", lambda: set(health(core).values()) == {("4/8", 4)}, WAIT_S)
    grown = time.monotonic() - began
    check(core, files, tmp_path)

    gone = random.Random(seed).sample(devices, 4)
    for device in gone:
        device.kill()
    check(core, files, tmp_path)  # at once, before anything was repaired
    began = time.monotonic()
    # Five are left: any coding of theirs survives two losses at most.
    until("the margin that five can give", lambda: {each[1] for each in health(core).values()} == {2}, WAIT_S)
    healed = time.monotonic() - began
    assert core.say("status")["health"]["unreadable"] == 0
    check(core, files, tmp_path)

    for device in gone:
        device.restart()
    began = time.monotonic()
    until("nine again", lambda: set(health(core).values()) == {("4/8", 4)}, WAIT_S)
    until("an empty queue", lambda: core.ask("/status")["waiting"] == 0, WAIT_S)
    # What had moved while they were away is not kept twice.
    assert used(devices) == sum(line["shards"] for line in core.say("ls")["objects"])
    check(core, files, tmp_path)
    print(f"grown in {grown:.1f} s, healed in {healed:.1f} s, whole again in {time.monotonic() - began:.1f} s")
