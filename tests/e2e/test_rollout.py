"""A real core, its real source and `python -m ota` on three devices: a good release reaches all of them, a bad one
stops in its canary, over a core that is killed in between."""

import hashlib
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ota import cbor, pack
from tests.e2e.house import Device
from tests.e2e.network import Core, Network
from tests.programs import Program, interpreter, until
from tests.releases import INIT, Source, program
from tools.gateway import deltas
from tools.gateway.ca import CA, point_of
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device as Row

COUNT = 3
QUICK = ("--canary", "1%", "--waves", "100%", "--soak", "0s", "--deadline", "60s")


class Fleet:
    """`start` makes three devices that the core knows already, none of them updated yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = Source(folder / "source")
        state = folder / "core"
        state.mkdir(mode=0o700)
        ca, registry = CA(state / "ca"), Registry(state)
        self.devices = [Device(folder / f"device-{number}", ca) for number in range(COUNT)]
        for device in self.devices:
            row = (device.id, device.folder.name, "generic-linux", "0", b"", device.serial, b"s" * 32, "paired")
            registry.add_device(Row(*row, "127.0.0.1", int(time.time())))
        registry.close()
        point = point_of(ca._key.public_key())
        (folder / "core.key").write_bytes(cbor.encode({1: 2, -1: 1, -2: point[1:33], -3: point[33:]}))
        self.bad = folder / "bad"
        self.bad.write_text("")

    def start(self, port: int) -> Program:
        from ota import client

        for device in self.devices:
            words = ["init", str(device.folder / "ota"), "--root", str(self.source.folder / "roots" / "1"), *INIT]
            words[words.index("board")] = device.id
            found, status = client.run([*words, "--core", str(self.folder / "core.key")])
            assert status == 0, found
        command = [*interpreter("cpython"), "tests/e2e/updating_device.py", str(self.bad), "127.0.0.1", str(port)]
        made = Program("devices", [*command, *[str(device.folder) for device in self.devices]], self.folder)
        made.start()
        return made

    def offer(self, core: Core, sequence: int, *words: str) -> str:
        digest = self.source.release(sequence, program(f"release {sequence}") | {"agent/big.py": b"# x\n" * 9000})
        files = self.source.folder
        answer = core.say("release", "add", str(files / "releases" / digest), "--pack", self.pack(sequence), *words)
        assert answer["digest"] == digest and not answer["trouble"]
        return digest

    def pack(self, sequence: int) -> str:
        return str(self.source.folder / "packs" / str(sequence))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[Fleet, Core]]:
    made = Fleet(tmp_path)
    with Network(tmp_path) as network:
        core = network.core("core", more=("--update-port", "0"))
        devices = made.start(core.ask("/status")["endpoints"][0][1])
        try:
            yield made, core
        finally:
            devices.stop(signal.SIGKILL)


def state_of(core: Core) -> Any:
    return core.ask("/rollout")["rollout"]


def states(core: Core) -> dict[str, int]:
    return {name: count for name, count in state_of(core)["counts"].items() if count}


def test_good_and_bad_releases(fleet: tuple[Fleet, Core]) -> None:
    made, core = fleet
    until("the devices", lambda: all(core.is_up(device.id) for device in made.devices))
    seven = made.offer(core, 7, "--root", str(made.source.folder / "roots" / "1"))
    begun = core.say("rollout", "start", seven[:8], *QUICK)["rollout"]
    assert begun["state"] == "running" and [wave["devices"] for wave in begun["waves"]] == [1, 2]
    until("the end", lambda: state_of(core)["state"] == "done", 30)
    assert states(core) == {"updated": COUNT}
    assert "[########################]" in core.run_plainly("rollout", "status").stdout

    eight = made.offer(core, 8)
    made.bad.write_text(eight)
    core.say("rollout", "start", "8", *QUICK)
    until("an order", lambda: states(core).get("waiting") == COUNT - 1)
    core.process.stop(signal.SIGKILL)
    core.start()
    until("its end by itself", lambda: state_of(core)["state"] == "aborted", 30)
    assert states(core) == {"failed": 1, "stopped": COUNT - 1}
    assert {each["reason"] for each in state_of(core)["devices"]} == {"rolled_back", "aborted"}
    assert "aborted" in core.run_plainly("rollout", "start", "8").stderr
    delta_is_served(made, core)


def delta_is_served(made: Fleet, core: Core) -> None:
    """Made on demand; what it makes is the pack. Nobody but paired devices is answered."""
    old, new = [Path(made.pack(sequence)).read_bytes() for sequence in (7, 8)]
    names = [one["digest"] for one in sorted(core.say("release", "ls")["releases"], key=lambda one: one["sequence"])]
    assert len(names) == 2
    images = [hashlib.sha256(data).hexdigest()[:16] for data in (old, new)]
    head = new[: pack.read_prefix(new[: pack.PREFIX_BYTES])[0]]
    place = f"http://127.0.0.1:{state_of(core)['port']}/u/"
    with urllib.request.urlopen(f"{place}{made.devices[0].id}/deltas/{images[1]}-{images[0]}") as answer:
        found = answer.read()
    assert len(found) < len(new) // 10
    assert deltas.decode(old, found, hashlib.sha256(head).digest()) == new
    for path in (f"{'0' * 16}/beacon", f"{made.devices[0].id}/packs/../../registry.sqlite", "x"):
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(place + path)
        assert missing.value.code == 404
