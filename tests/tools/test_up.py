"""`corelet-core up` with the brokers it will really have: it starts in time, or says in one sentence why not."""

import asyncio
import os
import resource
import socket
import subprocess
import sys

import pytest

from agent.errors import CoreletError
from tests.e2e.needs import program
from tests.programs import ROOT, until
from tests.tools.test_cli import Operator, Running
from tools.gateway.app import Core, Options

PIPED = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 30}


@pytest.fixture
def up(tmp_path):
    started = []

    def start(*arguments):
        command = ["tools.gateway.cli", "up", "--state", str(tmp_path / "s"), "--listen", "127.0.0.1", *arguments]
        core = Running(tmp_path, f"core{len(started)}", *command)
        started.append(core)
        return core

    yield start
    for core in started:
        core.stop()


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_starts_and_says_which_broker(up, tmp_path, broker):
    if broker == "mosquitto":
        program("mosquitto")
    core = up("--port", "0", "--broker", broker, "--name", "home")
    core.says("waiting for devices")
    status = Operator(tmp_path / "s").ask("status")
    assert status["broker"] == broker and status["name"] == "home"
    host, port = status["endpoints"][0]
    socket.create_connection((host, port), 3).close()
    assert core.stop() == 0
    with pytest.raises(OSError):
        socket.create_connection((host, port), 3)


def test_takes_as_many_descriptors_as_it_may(up):
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    try:
        core = up("--port", "0", "--broker", "embedded")
        core.says("waiting for devices")
        assert resource.prlimit(core.pid, resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


def test_identity_outlives_a_restart(up, tmp_path):
    ids = set()
    for _ in range(2):
        core = up("--port", "0", "--broker", "embedded")
        core.says("waiting for devices")
        ids.add(Operator(tmp_path / "s").ask("status")["core"])
        core.stop()
    assert len(ids) == 1


def test_json_start_is_one_line(up, tmp_path):
    core = up("--port", "0", "--broker", "embedded", "--json")
    core.says("endpoints")
    assert core.text.count("\n") == 1


def fails(up, *arguments, status=1):
    core = up(*arguments)
    until("its end", lambda: not core.is_running(), 15)
    assert core.stop() == status
    lines = core.text.splitlines()
    assert len(lines) == 1 and lines[0].startswith("corelet-core: "), lines
    return lines[0]


@pytest.mark.parametrize("broker", ["auto", "embedded"])
def test_busy_port(up, broker):
    with socket.create_server(("127.0.0.1", 0)) as other:
        text = fails(up, "--port", str(other.getsockname()[1]), "--broker", broker)
        assert "used by another program" in text and "--port" in text


def test_unknown_broker(up):
    assert "expected --broker" in fails(up, "--broker", "nonsense", status=2)


def test_a_busy_place_for_applications_is_told_once(up):
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        text = fails(up, "--broker", "embedded", "--port", "0", "--web", where)
        assert text.count("127.0.0.1") == 1 and "--web" in text


def test_broker_that_is_away_is_a_note(up, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    up("--broker", f"mqtts://127.0.0.1:{port}").says("waiting for devices")
    assert any("connection to its broker failed" in note for note in Operator(tmp_path / "s").ask("status")["warnings"])


def test_missing_mosquitto(tmp_path, monkeypatch):
    from tools.gateway.links import mosquitto

    monkeypatch.setattr(mosquitto, "find", lambda: None)

    async def main():
        core = Core(Options(tmp_path / "s", "x", "127.0.0.1", "mosquitto", 0))
        try:
            await core.start()
        finally:
            await core.stop()

    with pytest.raises(CoreletError) as caught:
        asyncio.run(main())
    assert "mosquitto" in caught.value.text and "install" in caught.value.text


def inside(tmp_path, mount, command):
    """Run in a mount namespace of its own, where `disk` is a small file system."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk in a namespace of its own")
    program("unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    up = f"{sys.executable} -m tools.gateway.cli up --listen 127.0.0.1 --port 0 --broker embedded --state {disk}/s"
    script = f"mount -t tmpfs -o {mount} tmpfs {disk} && {command.format(disk=disk, up=up)}"
    return subprocess.run(["unshare", "-m", "sh", "-c", script], check=False, **PIPED)


def test_full_disk(tmp_path):
    done = inside(tmp_path, "size=600k", "{up}")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "is full: free some space" in done.stderr


def test_read_only_disk(tmp_path):
    done = inside(tmp_path, "size=4m", "mkdir {disk}/s && mount -o remount,ro {disk} && {up}")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "read-only disk" in done.stderr


def test_state_that_others_can_write(tmp_path):
    """A certificate authority that somebody may have put there would become ours."""
    folder = tmp_path / "s"
    (folder / "ca").mkdir(parents=True)
    tmp_path.chmod(0o711)
    folder.chmod(0o777)
    text = Operator(folder).fails("up", "--broker", "embedded")
    assert f"Others can write in {folder}" in text and f"chmod -R go-w {folder}" in text
    assert [each.name for each in folder.iterdir()] == ["ca"] and folder.stat().st_mode & 0o777 == 0o777


def test_state_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    text = Operator(tmp_path / "file" / "s").fails("up", "--broker", "embedded")
    assert "cannot be used" in text and "--state" in text
