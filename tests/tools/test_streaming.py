"""A file much larger than memory bounds: the core's resident size must not follow the file's."""

import hashlib
import os
import subprocess
import sys

from tests.programs import ROOT, memory_kib, until
from tests.tools.test_cli import Operator, Running

SIZE_MIB = 1024 if os.environ.get("CORELET_FULL") == "1" else 256
# Windows of 16 MiB sealed shards, the plaintext and ciphertext they came from, and what the allocator keeps.
CORE_GROWTH_MIB_MAX = 128  # half the file: a core that holds all of it fails
CLI_MIB_MAX = 90


def test_large_file_in_bounded_memory(tmp_path):
    fleet = Running(tmp_path, "fleet", "tests.tools.fake_fleet", "3", str(tmp_path / "fleet.json"))
    try:
        until("the fleet", (tmp_path / "fleet.json").exists)
        core = Running(tmp_path, "core", "tests.tools.fake_core", str(tmp_path / "s"), str(tmp_path / "fleet.json"))
        core.says("waiting for devices")
        operator = Operator(tmp_path / "s")
        before = memory_kib(core.pid, "VmHWM") / 1024
        digest = hashlib.sha256()
        command = [sys.executable, "-m", "tools.gateway.cli", "put", "-", "--name", "big", "--json"]
        with subprocess.Popen(
            [*command, "--state", str(operator.state)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as put:
            for index in range(SIZE_MIB):
                piece = index.to_bytes(4, "big") * (1 << 18)
                digest.update(piece)
                put.stdin.write(piece)
            peak_cli = memory_kib(put.pid, "VmHWM") / 1024
            put.stdin.close()
            assert put.wait(600) == 0
        command = [sys.executable, "-m", "tools.gateway.cli", "get", "big", "-o", "-", "--state", str(operator.state)]
        back = hashlib.sha256()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as get:
            while piece := get.stdout.read(1 << 20):
                back.update(piece)
            assert get.wait(60) == 0
        grown = memory_kib(core.pid, "VmHWM") / 1024 - before
        print(f"core grew by {grown:.0f} MiB, command line took {peak_cli:.0f} MiB, file {SIZE_MIB} MiB")
        assert back.digest() == digest.digest()
        assert grown < CORE_GROWTH_MIB_MAX and peak_cli < CLI_MIB_MAX
        assert core.stop() == 0
    finally:
        fleet.stop()
