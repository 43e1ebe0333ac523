"""Strangers who send hellos without a pause do not keep an honest core from a device of either kind."""

import contextlib
import functools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import garbage
from tests.e2e.house import ROOT, RUNTIMES
from tests.e2e.network import ENVIRONMENT, Device, Network, until
from tools.demonstration import HOST

CLIENTS = 4
PAIRED_S = 10.0
FULL_S = 5.0
# Of which a device that has paired nobody leaves 42 KiB; the places of its two listeners would take 72.
SMALL_HEAP = "400k"


@contextlib.contextmanager
def flooded(number: int, clients: int) -> Iterator[None]:
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(ROOT / "tests/e2e/hello_flood.py"), HOST, str(number), str(clients)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as flood:
        try:
            assert flood.stdout is not None and flood.stdout.readline() == b"flooding\n"
            yield
        finally:
            flood.kill()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_honest_core_gets_through_a_flood(tmp_path: Path, runtime: str) -> None:
    with Network(tmp_path) as network:
        core, device = network.core(), network.device(runtime)
        device.start()
        code, address = device.code, device.address
        with flooded(device.status()["control_port"], CLIENTS):
            time.sleep(1)
            started = time.monotonic()
            answer = core.say("pair", code, "--address", address)
            assert time.monotonic() - started < PAIRED_S
        assert answer["device"] == device.status()["device"]


def answers(number: int) -> bool:
    """Whether a listener does."""
    with contextlib.suppress(OSError):
        return garbage.exchange((HOST, number), garbage.request("GET", "/nothing")).startswith(b"HTTP/1.1 404 ")
    return False


def in_its_logs(device: Device) -> str:
    return "".join(path.read_text() for path in (device.state / "logs").iterdir())


def test_a_full_heap_ends_no_listener(tmp_path: Path) -> None:
    """It costs newcomers their connection. When they are gone everything is as it was."""
    with Network(tmp_path) as network:
        device = network.device("micropython")
        device.command = [word if "heapsize" not in word else f"heapsize={SMALL_HEAP}" for word in device.command]
        device.start()
        status = device.status()
        numbers = (status["control_port"], status["data_port"])
        with flooded(numbers[0], 3 * CLIENTS // 2), flooded(numbers[1], 3 * CLIENTS // 2):
            time.sleep(FULL_S)
        for number in numbers:
            until(f"an answer on port {number}", functools.partial(answers, number))
        # A short answer: a whole status is more than such a heap may have room for.
        until("an answer on the local socket", lambda: "this device" in device.run("leave", "0" * 16).stderr)
        assert device.process.is_running() and "MemoryError" in in_its_logs(device), "its heap was never full"
