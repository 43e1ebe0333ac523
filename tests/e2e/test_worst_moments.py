"""The worst moments of a whole device with a real core: SIGKILL while puts are acknowledged, a reset on a full disk, a
card that was copied."""

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import CoreletError
from tests.e2e.disks import fill, small_disk
from tests.e2e.network import Core, Network
from tests.programs import RUNTIMES, until
from tools.gateway.command.client import Client

WRITERS = 3
KILLS = 5 if os.environ.get("CORELET_FULL") == "1" else 1
both = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Network(tmp_path_factory.mktemp("worst")) as made:
        yield made


@pytest.fixture(scope="module")
def core(network: Network) -> Core:
    return network.core()


def content(name: str) -> bytes:
    source = random.Random(name)
    return source.randbytes(source.randrange(1, 150_000))


def write(core: Core, mark: str, kept: list[str]) -> None:
    """Puts one after the other until one is refused; the names of those that were acknowledged."""
    client = Client(core.state)
    for number in range(1000):
        name = f"{mark}-{number}"
        try:
            client.ask("PUT", "/objects", iter([content(name)]), name=name)
        except CoreletError:
            break
        kept.append(name)
    client.close()


def is_kept(core: Core, name: str) -> bool:
    client = Client(core.state)
    try:
        found = b"".join(payload for kind, payload in client.frames("GET", f"/objects/{name}") if kind == "D")
    except CoreletError as error:
        print(f"{name}: {error.text}")
        return False
    finally:
        client.close()
    return found == content(name)


@both
def test_killed_while_puts_are_acknowledged(core: Core, network: Network, runtime: str) -> None:
    device = network.device(runtime)
    device.start()
    identity = core.pair(device)["device"]
    chance, kept = random.Random(runtime), []  # type: ignore[var-annotated]
    for round_ in range(KILLS):
        marks = [f"{runtime}-{round_}-{writer}" for writer in range(WRITERS)]
        writers = [threading.Thread(target=write, args=(core, mark, kept)) for mark in marks]
        for writer in writers:
            writer.start()
        before = len(kept)
        until("some are acknowledged", lambda before=before: len(kept) > before + WRITERS)  # type: ignore[misc]
        time.sleep(chance.random() / 2)
        device.kill()
        for writer in writers:
            writer.join()
        device.restart()
        until("its return", lambda: is_kept(core, kept[0]))
        assert [name for name in kept if not is_kept(core, name)] == [], f"of {len(kept)}"
    listed = {each["name"] for each in core.ask("/objects")["objects"]}
    assert {name for name in listed if name.startswith(runtime)} == set(kept), "what was refused is not listed"
    print(f"{runtime}: {len(kept)} acknowledged")
    device.kill()
    core.say("forget", identity, "--force")


@both
def test_a_reset_on_a_full_disk(network: Network, runtime: str, tmp_path: Path) -> None:
    """It needs no room. The new life needs some, and says how much when there is none."""
    with small_disk(tmp_path / "disk") as disk:
        device = network.device(runtime, disk / "state")
        device.start()
        identity = device.status()["device"]
        fill(disk)
        assert device.say("reset") == {"restarted": True}
        until("its end", lambda: not device.process.is_running())
        assert "free space" in device.screen.splitlines()[-1] and "Traceback" not in device.screen, device.screen
        assert not (device.state / "identity/device.cbor").exists()
        fill(disk)
        assert device.say("reset") == {"restarted": False}
        (disk / "other").unlink()
        device.start()
        assert device.status()["device"] != identity and device.status()["boot"] == 2
        device.kill()


def doubled(core: Core) -> list[str]:
    return [text for text in core.ask("/status")["warnings"] if "two boards speak as" in text]


def test_a_card_that_was_copied_and_what_a_thief_has_of_it(core: Core, network: Network, tmp_path: Path) -> None:
    """Both count their starts alike. The core says so; its `forget` ends both, and who is paired anew is alone."""
    device = network.device("cpython")
    device.start()
    code, identity = device.code, core.pair(device)["device"]
    (tmp_path / "file").write_bytes(secret := b"nobody but the core can read this" * 40)
    core.say("put", str(tmp_path / "file"), "--name", "copied")
    device.stop()
    copy = network.device("cpython", tmp_path / "copy")
    shutil.copytree(device.state, copy.state, ignore=shutil.ignore_patterns("*.sock"))
    found = b"".join(path.read_bytes() for path in copy.state.rglob("*") if path.is_file())
    assert secret[:33] not in found and code.encode() not in found and code.replace("-", "").encode() not in found
    device.restart()
    until("its return", lambda: core.is_up(identity))
    assert not doubled(core)
    copy.restart()
    until("the core's word of it", lambda: doubled(core))
    assert "corelet reset" in doubled(core)[0] and "forget" in doubled(core)[0]
    core.say("forget", identity, "--force")
    assert not doubled(core) and not core.row(identity)
    serials = core.revoked()
    assert serials
    core.pair(device, device.say("pair-window")["code"])
    until("why the copy is refused", lambda: copy.status().get("cores") == [] or copy.link(core).get("why"))
    time.sleep(1)
    assert not copy.is_connected(core) and core.is_up(identity) and device.is_connected(core)
    assert not doubled(core) and core.revoked() == serials
    core.say("forget", identity, "--force")
