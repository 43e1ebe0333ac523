"""A Python that lacks one of the five packages: one sentence names it, the rest of the device works, no traceback."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = Path(sysconfig.get_paths()["purelib"])


def site_without(folder: Path, name: str) -> Path:
    """site-packages as links, but for one package."""
    folder.mkdir()
    for entry in SITE.iterdir():
        if not entry.name.lower().startswith((name.lower(), "_" + name.lower())):
            (folder / entry.name).symlink_to(entry)
    return folder


def run(site: Path, *words: str) -> "subprocess.Popen[bytes]":
    environment = dict(os.environ, PYTHONPATH=f"{site}:{ROOT}", PYTHONUNBUFFERED="1")
    command = [sys.executable, "-S", "-m", "agent", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=site)


@pytest.mark.parametrize(
    ("folder", "package", "feature"),
    [("zeroconf", "zeroconf", "discovery"), ("paho", "paho-mqtt", "link"), ("psutil", "psutil", "telemetry")],
)
def test_the_feature_is_off_and_the_rest_works(folder: str, package: str, feature: str, tmp_path: Path) -> None:
    site, state = site_without(tmp_path / "site", folder), str(tmp_path / "state")
    words = ["--state", state, "--listen", "127.0.0.1", "--port", "0", "--data-port", "0", "--relay-port", "0"]
    device = run(site, "up", *words)
    try:
        for _ in range(100):
            asked = run(site, "status", "--json", "--state", state)
            out, _ = asked.communicate(timeout=20)
            if asked.returncode == 0:
                break
            time.sleep(0.1)
        status = json.loads(out)
        assert [pair[0] for pair in status["missing"]] == [feature]
        assert status["window"]["open"]
    finally:
        device.send_signal(signal.SIGINT)
        said = " ".join(device.communicate(timeout=20)[0].decode().split())  # a sentence may go on in the next line
    assert f"off {feature}" in said and f"pip install {package}" in said and "waiting for a full core" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("folder", "package"), [("cbor2", "cbor2"), ("Crypto", "pycryptodome")])
def test_what_nothing_works_without_is_named(folder: str, package: str, tmp_path: Path) -> None:
    device = run(site_without(tmp_path / "site", folder), "up", "--state", str(tmp_path / "state"))
    said = device.communicate(timeout=20)[0].decode()
    assert device.returncode == 1 and package in said and len(said.strip().splitlines()) == 1, said
