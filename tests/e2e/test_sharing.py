"""Two cores share one device inside the ceilings of its owner: neither sees, fills or deletes what is the other's."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.network import Core, Network, until
from tests.programs import RUNTIMES

SLOT = 65536
SLOTS = 20
QUOTA = SLOTS * SLOT


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    needs.program("mosquitto")
    with Network(tmp_path) as made:
        yield made


def put(core: Core, folder: Path, name: str, slots: int) -> tuple[str, bytes]:
    """(what it said, "" when all went well; the file)."""
    file = folder / f"{core.state.name}-{name}"
    file.write_bytes(random.Random(name + core.id).randbytes(slots * (SLOT - 256)))
    done = core.run("put", str(file), "--name", name)
    return done.stderr if done.returncode else "", file.read_bytes()


def listed(*cores: Core) -> int:
    return sum(line["shards"] for core in cores for line in core.say("ls")["objects"])


def same(core: Core, folder: Path, name: str, content: bytes) -> bool:
    core.say("get", name, "-o", str(folder / "back"))
    return (folder / "back").read_bytes() == content


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_cores_share_a_device(network: Network, tmp_path: Path, runtime: str) -> None:
    one, other = network.core("one"), network.core("other")
    device = network.device(runtime)
    device.start()
    device.stop()
    settings = device.state / "owner/settings.json"
    kept = json.loads(settings.read_text())
    settings.write_text(json.dumps(kept | {"ceilings": {"shard_bytes": QUOTA}}))
    device.start()
    identity = one.pair(device)["device"]
    assert other.pair(device, device.say("pair-window")["code"])["device"] == identity

    said, first = put(one, tmp_path, "first", 8)
    assert not said, said
    said, second = put(other, tmp_path, "second", 8)
    assert not said, said
    assert same(one, tmp_path, "first", first) and same(other, tmp_path, "second", second)
    # Each may take what is left, and no more than that, whatever it believes to be free.
    assert put(one, tmp_path, "third", 8)[0]
    beside = ("slab.memo", "slab.index")  # not of the quota, and bounded: agent/core/shards/memo.py
    slabs = sum(path.stat().st_size for path in (device.state / "shards").iterdir() if path.name not in beside)
    assert slabs <= QUOTA and device.status()["shards"]["used"] <= QUOTA
    until("the end of what was begun", lambda: device.status()["shards"]["shards"] == listed(one, other), 30)
    assert same(other, tmp_path, "second", second)

    # One removes, the other leaves nothing behind that is not its own.
    one.say("rm", "first")
    until("room again", lambda: device.status()["shards"]["shards"] == listed(other), 20)
    until("its word of it", lambda: not put(other, tmp_path, "fourth", 8)[0], 90)
    assert same(other, tmp_path, "second", second)
    one.say("forget", identity)
    until("its leaving", lambda: len(device.status()["cores"]) == 1, 15)
    assert device.status()["shards"]["shards"] == listed(other) and same(other, tmp_path, "second", second)
