"""Strangers who send hellos without a pause do not keep an honest core from a device of either kind."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.house import ROOT, RUNTIMES
from tests.e2e.network import ENVIRONMENT, Network

CLIENTS = 4
PAIRED_S = 10.0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_honest_core_gets_through_a_flood(tmp_path: Path, runtime: str) -> None:
    with Network(tmp_path) as network:
        core, device = network.core(), network.device(runtime)
        device.start()
        code = device.code
        host, _, number = device.address.partition(":")
        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
        words = [sys.executable, str(ROOT / "tests/e2e/hello_flood.py"), host, number, str(CLIENTS)]
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as flood:
            try:
                assert flood.stdout is not None and flood.stdout.readline() == b"flooding\n"
                time.sleep(1)
                started = time.monotonic()
                answer = core.say("pair", code, "--address", f"{host}:{number}")
                assert time.monotonic() - started < PAIRED_S
            finally:
                flood.kill()
        assert answer["device"] == device.status()["device"]
