"""Orders of the agent, followed by both interpreters: what becomes of each, also when a cut repeats it, and of damaged
ones; one command at a time on a state."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ota import follow
from tests.e2e.evil_source import EvilSource
from tests.e2e.test_ota_install import Device, offered
from tests.e2e.test_ota_install import device as device
from tests.e2e.test_ota_install import template as template
from tests.programs import ENVIRONMENT, ROOT, interpreter, until

SCRIPT = """
import sys, time
from ota import port
held = port.hold(sys.argv[1])
print(held is not None, flush=True) if sys.implementation.name == "cpython" else print(held is not None)
time.sleep(60)
"""


@pytest.fixture
def evil(device: Device) -> Iterator[EvilSource]:
    with EvilSource(device.source.folder) as made:
        yield made


def ordered(device: Device, do: str, number: int, **words: Any) -> Any:
    """The result, once the order is gone."""
    file = device.state / "order"
    file.write_text(json.dumps({"number": number, "do": do, **words}))
    return followed(device)


def followed(device: Device) -> Any:
    said = device.run("follow")
    assert not (device.state / "order").exists()
    data = (device.state / "result").read_bytes()
    assert len(data) <= follow.FILE_BYTES_MAX and json.loads(data) == said
    return said


def short(result: Any) -> tuple[str, str, str]:
    return result["result"], result["reason"], result["state"]


def test_install_confirm_and_back(device: Device, evil: EvilSource) -> None:
    """Each of them once more as after a cut between its end and the result: it ends as the first time."""
    seven = device.run("status")["slots"]["a"]["digest"]
    assert short(ordered(device, "install", 1, source=evil.place)) == ("nothing", "current", "idle")
    eight = offered(device)
    first = ordered(device, "install", 2, source=evil.place)
    assert short(first) == ("staged", "ok", "trial") and (first["active"], first["target"]) == (seven, eight)
    assert first["sequence"] == 7
    again = ordered(device, "install", 3, source=evil.place)
    assert again == {**first, "number": 3}
    device.boot()
    assert short(ordered(device, "install", 4, source=evil.place)) == ("nothing", "current", "trial"), "it runs"
    said = ordered(device, "confirm", 5, healthy_s=119, core_reached=True)
    assert short(said) == ("refused", "health", "trial")
    assert ordered(device, "confirm", 6, healthy_s=120, core_reached=False)["reason"] == "health"
    for number in (7, 8):
        said = ordered(device, "confirm", number, healthy_s=120, core_reached=True)
        assert short(said) == ("confirmed", "ok", "idle") and (said["active"], said["sequence"]) == (eight, 8)
    device.source.allow(seven, eight)
    for number in (9, 10):
        said = ordered(device, "rollback", number, source=evil.place, digest=seven)
        assert short(said) == ("staged", "ok", "trial") and said["target"] == seven
    assert device.boot()["sequence"] == 7


def test_a_result_that_is_there_is_not_made_again(device: Device, evil: EvilSource) -> None:
    """Cut between the result and the end of its order."""
    offered(device)
    ordered(device, "install", 5, source=evil.place)
    before = (device.state / "result").read_bytes()
    for number in (5, 4):
        (device.state / "order").write_text(json.dumps({"number": number, "do": "install", "source": evil.place}))
        assert device.run("follow")["reason"] == "done"
        assert (device.state / "result").read_bytes() == before and not (device.state / "order").exists()
    assert device.run("follow")["reason"] == "no_order"


def test_what_is_refused_and_what_only_failed(device: Device, evil: EvilSource) -> None:
    offered(device)
    assert short(ordered(device, "rollback", 1, source=evil.place, digest="ab" * 32))[:2] == ("refused", "not_here")
    device.running = ""  # the package's code, which nobody confirms
    assert short(ordered(device, "confirm", 2, healthy_s=120, core_reached=True))[:2] == ("refused", "state")
    evil.mode = "garbage"
    assert short(ordered(device, "install", 3, source=evil.place))[:2] == ("failed", "source")
    assert short(ordered(device, "install", 4, source="http://127.0.0.1:1"))[:2] == ("failed", "source")
    (device.state / "order").write_bytes(b'{"number": 5, "do": "format"}')
    said = followed(device)
    assert short(said)[:2] == ("refused", "order") and (said["number"], said["do"]) == (4, "")
    (device.state / "order").write_bytes(b"x" * 2000)
    assert followed(device)["result"] == "failed"
    evil.mode = "good"
    assert ordered(device, "install", 6, source=evil.place)["result"] == "staged"


def test_one_at_a_time(device: Device, tmp_path: Path) -> None:
    (tmp_path / "hold.py").write_text(SCRIPT)
    runtime = "cpython" if device.is_here else "micropython"
    words = [*interpreter(runtime), str(tmp_path / "hold.py"), str(device.state / "settings")]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holding:
        assert holding.stdout is not None and holding.stdout.readline().strip() == "True"
        (device.state / "order").write_text("nonsense")
        assert device.refused("follow") == device.refused("refresh", "http://127.0.0.1:1") == "busy"
        assert (device.state / "order").exists() and device.run("status")["result"] == "ok"
        holding.kill()
    assert followed(device)["reason"] == "order", "the end of a process lets go"


def test_killed_at_any_moment(device: Device, evil: EvilSource) -> None:
    """The order is there until its result is, and in the end the release is staged."""
    offered(device, files={"agent/__main__.py": b"#" * 90000})
    (device.state / "order").write_text(json.dumps({"number": 1, "do": "install", "source": evil.place}))
    words = [*interpreter("cpython" if device.is_here else "micropython"), "-m", "ota", "follow", str(device.state)]
    for delay_s in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4):
        with subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as running:
            time.sleep(delay_s)
            running.kill()
        assert (device.state / "order").exists() or (device.state / "result").exists()
    if (device.state / "order").exists():
        device.run("follow")
    said = json.loads((device.state / "result").read_text())
    assert said["result"] == "staged"
    until("the boot of it", lambda: device.boot()["sequence"] == 8, 10)
