"""What an operator types: every command, its words, its JSON, its exit status; failures are one sentence."""

import hashlib
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time

import pytest

from agent.port.cpython import codec, crypto
from agent.wire import token
from tests.programs import ROOT, Program, until
from tools.gateway import cli

COMMANDS = "up status devices audit discover pair put get ls objects rm forget relay release rollout token".split()


class Running(Program):
    """A module of ours that runs until it is stopped."""

    def __init__(self, folder, name, *arguments, env=None):
        super().__init__(name, [sys.executable, "-m", *arguments], folder, env)
        self.start()

    def stop(self, number=signal.SIGTERM, seconds=10):
        return super().stop(number, seconds)


class Operator:
    """Types commands at a running core."""

    def __init__(self, state):
        self.state = state
        self.folder = ROOT

    def type(self, *arguments, data=None):
        return subprocess.run(
            [sys.executable, "-m", "tools.gateway.cli", *arguments, "--state", str(self.state)],
            cwd=self.folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, input=data, capture_output=True,
            timeout=120, check=False,
        )  # fmt: skip

    def ask(self, *arguments, data=None):
        done = self.type(*arguments, "--json", data=data)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b"\n") == 1 and not done.stderr
        return json.loads(done.stdout)

    def fails(self, *arguments, status=1, data=None):
        """Its one sentence."""
        done = self.type(*arguments, data=data)
        assert done.returncode == status, (done.returncode, done.stderr)
        lines = [line for line in done.stderr.decode().splitlines() if not re.match(r"(put|get|waiting) ", line)]
        assert len(lines) == 1 and lines[0].startswith("corelet-core: "), lines
        return lines[0]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("core")
    fleet = Running(folder, "fleet", "tests.tools.fake_fleet", "3", str(folder / "fleet.json"))
    until("the fleet", (folder / "fleet.json").exists)
    core = Running(folder, "core", "tests.tools.fake_core", str(folder / "state"), str(folder / "fleet.json"))
    core.says("waiting for devices")
    operator = Operator(folder / "state")
    operator.core = core
    yield operator
    assert core.stop() == 0
    fleet.stop()


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "holiday.mp4"
    made.write_bytes(random.Random(4).randbytes(3_000_000))
    return made


# Without a core


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and "example: corelet-core " + command in text and "--json" in text


@pytest.mark.parametrize("arguments", [["nonsense"], ["put"], ["up", "--port", "70000"], ["up", "--port", "x"]])
def test_wrong_use_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.startswith("corelet-core: ") and said.count("\n") == 1
    assert said.endswith(f"; see: corelet-core {arguments[0] + ' ' if arguments[0] != 'nonsense' else ''}--help\n")


def test_wrong_use_that_only_the_command_notices(capsys):
    twice = ["pair", "98YT-PG82-QG8B", "--qr", "x"], ["get", "x", "-o", "-", "--json"]
    for arguments in ([], ["pair"], ["put", "-"], *twice, ["up", "--name", "x" * 40]):
        assert cli.main(arguments) == 2
    assert "add --name" in capsys.readouterr().err


def test_a_token_needs_no_core(tmp_path, capsys):
    key = tmp_path / "key"
    key.write_bytes(b"only for tests, and not short\n")
    words = ["token", "--key-file", str(key), "--shard", "ab" * 32]
    assert cli.main([*words, "--op", "get"]) == 2 and "chmod 600" in capsys.readouterr().err
    key.chmod(0o600)
    for more in (["--op", "put"], ["--op", "get", "--bytes", "5"]):
        assert cli.main([*words, *more]) == 2 and "--bytes N" in capsys.readouterr().err
    assert cli.main([*words, "--op", "put", "--bytes", "5", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    claims = token.decode_token(codec, crypto, lambda core: token.alone(crypto, key.read_bytes())[2], made["token"])
    assert (claims.operation, claims.size, claims.shard.hex(), claims.device) == ("put", 5, "ab" * 32, made["device"])
    for wrong in (["--shard", "AB" * 32], ["--device", "x"], ["--op", "list"]):
        with pytest.raises(SystemExit):
            cli.main([*words, "--op", "get", *wrong])
    assert cli.main(["token", "--key-file", str(tmp_path / "none"), "--op", "get", "--shard", "ab" * 32]) == 1


def test_core_that_does_not_run_is_one_sentence(tmp_path):
    operator = Operator(tmp_path / "state")
    for arguments in (["status"], ["ls"], ["put", __file__], ["get", "x"], ["pair", "98YT-PG82-QG8B"]):
        text = operator.fails(*arguments)
        assert f"start it with: corelet-core up --state {operator.state}" in text


def test_state_path_too_long_for_a_socket(tmp_path):
    assert "choose a shorter --state" in Operator(tmp_path / ("x" * 120)).fails("status", status=2)


# With one


def test_start_says_what_there_is(network):
    text = network.core.text
    for words in ("Full core fake is up", "core id", str(network.state), "made up, port 1", "127.0.0.1", "3 paired"):
        assert words in text
    assert "\x1b" not in text


def test_state_is_private(network):
    assert stat.S_IMODE(network.state.stat().st_mode) == 0o700
    for path in network.state.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_second_core_on_the_same_state_is_refused(network):
    text = network.fails("up", "--broker", "embedded")
    assert "already running" in text and f"process {network.core.pid}" in text


def test_status_devices_discover(network):
    status = network.ask("status")
    assert (status["name"], status["devices_up"], status["profile"]) == ("fake", 3, "2/3")
    devices = network.ask("devices")["devices"]
    assert [line["name"] for line in devices] == ["fake-1", "fake-2", "fake-3"] and all(line["up"] for line in devices)
    assert network.ask("discover") == {"found": []}
    text = network.type("devices").stdout.decode()
    assert "SEEN" in text and "fake-2" in text and "\x1b" not in text
    assert b"3 up of 3 paired" in network.type("status").stdout


def test_file_there_and_back(network, file, tmp_path):
    stored = network.ask("put", str(file))
    assert (stored["k"], stored["n"], stored["queued"], stored["size"]) == (2, 3, 0, 3_000_000)
    assert stored["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    (line,) = network.ask("ls")["objects"]
    assert line["survives"] == 1 and line["shards"] == stored["stripes"] * 3 and line["is_readable"]
    assert b"1 loss" in network.type("ls").stdout
    copy = tmp_path / "copy"
    assert network.ask("get", "holiday.mp4", "-o", str(copy))["file"] == str(copy)
    assert copy.read_bytes() == file.read_bytes() and [path.name for path in tmp_path.iterdir()].count("copy") == 1
    assert network.type("get", stored["id"][:6], "-o", "-").stdout == file.read_bytes()
    assert "exists" in network.fails("put", str(file))
    assert network.ask("rm", "holiday.mp4")["waiting"] == 0
    assert network.ask("ls") == {"objects": []}
    assert "no object called" in network.fails("get", "holiday.mp4")


def test_a_part_of_a_file(network, file, tmp_path):
    network.ask("put", str(file), "--name", "parts")
    part = tmp_path / "part"
    answer = network.ask("get", "parts", "--range", "1000000-1999999", "-o", str(part))
    assert (answer["first"], answer["length"]) == (1_000_000, 1_000_000)
    assert part.read_bytes() == file.read_bytes()[1_000_000:2_000_000]
    assert b"each stripe authenticated" in network.type("get", "parts", "--range", "-5", "-o", str(part)).stdout
    assert part.read_bytes() == file.read_bytes()[-5:]
    assert "no part of 3000000 bytes" in network.fails("get", "parts", "--range", "3000000-", status=2)
    network.ask("rm", "parts")


def test_health_in_words_and_numbers(network, file):
    network.ask("put", str(file), "--name", "healthy")
    value = network.ask("objects", "--health")
    line = next(line for line in value["objects"] if line["name"] == "healthy")
    assert (line["survives"], line["of"], line["repairing"], line["reasons"]) == (1, 1, 0, [])
    assert value["summary"]["survive"] == 1 == network.ask("status")["health"]["survive"]
    assert b"any 2 of 3, survives 1 of 1 losses now" in network.type("objects", "--health").stdout
    assert network.ask("objects") == network.ask("ls")
    network.ask("rm", "healthy")


def test_plain_words_and_progress_lines(network, file):
    done = network.type("put", str(file), "--name", "words")
    assert b"any 2 of 3 shards give it back, on fake-1, fake-2, fake-3" in done.stdout
    assert b"100 % of 2.9 MiB" in done.stderr and b"\x1b" not in done.stdout + done.stderr
    assert network.type("rm", "words").returncode == 0


def test_standard_input_and_names(network):
    assert "add --name" in network.fails("put", "-", status=2, data=b"x")
    assert network.ask("put", "-", "--name", "from a pipe/with ünicode?#%", data=b"hello")["size"] == 5
    assert network.type("get", "from a pipe/with ünicode?#%", "-o", "-").stdout == b"hello"
    assert network.ask("rm", "from a pipe/with ünicode?#%")["shards"] == 3
    assert network.ask("put", "-", "--name", "empty", data=b"")["size"] == 0
    assert network.type("get", "empty", "-o", "-").stdout == b""
    network.ask("rm", "empty")


def test_bad_targets_of_get(network, tmp_path):
    network.ask("put", "-", "--name", "small", data=b"hello")
    assert "is a folder" in network.fails("get", "small", "-o", str(tmp_path), status=2)
    assert "cannot be written" in network.fails("get", "small", "-o", str(tmp_path / "absent" / "x"))
    here = tmp_path / "here"
    here.mkdir()
    (here / "small").touch()
    network.folder = here
    assert "exists here already" in network.fails("get", "small")
    network.folder = ROOT
    if os.path.exists("/dev/full"):
        assert "disk is full" in network.fails("get", "small", "-o", "/dev/full")
    assert list(tmp_path.iterdir()) == [here]
    network.ask("rm", "small")


def test_bad_sources_of_put(network, tmp_path):
    assert "cannot be read" in network.fails("put", str(tmp_path / "absent"))
    assert "is a folder" in network.fails("put", str(tmp_path), status=2)
    assert "printable" in network.fails("put", __file__, "--name", "\x1b[2J", status=2)


def test_pair_words(network):
    assert "mistyped" in network.fails("pair", "7QK2-M9XD-4TPX", status=2)
    assert "12 letters" in network.fails("pair", "-", status=2, data=b"ABC\n")
    assert "QR text" in network.fails("pair", "--qr", "http://nonsense", status=2)
    assert "no address" in network.fails("pair", "98YT-PG82-QG8B", "--address", "host:port", status=2)
    done = network.type("pair", "98YT-PG82-QG8B", "--address", "127.0.0.1:1")
    assert done.returncode == 1 and b"check its address" in done.stderr


def test_put_that_is_interrupted_leaves_nothing(network, tmp_path):
    held = sum(line["shards"] for line in network.ask("devices")["devices"])
    command = [sys.executable, "-m", "tools.gateway.cli", "put", "-", "--name", "half", "--state", str(network.state)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdin.write(bytes(5_000_000))
        process.stdin.flush()
        until(
            "shards",
            lambda: network.ask("status")["objects"] == 0 and network.ask("devices")["devices"][0]["shards"] > 0,
        )
        process.kill()
    until("the end of it", lambda: network.ask("status")["waiting"] == 0)
    assert network.ask("ls") == {"objects": []}
    until("room", lambda: sum(line["shards"] for line in network.ask("devices")["devices"]) == held)


def test_forget_guards_the_last_copies(network):
    network.ask("put", "-", "--name", "small", data=b"hello")
    done = network.ask("forget", "fake-3")
    assert done["shards"] == 1 and len(network.ask("devices")["devices"]) == 2
    assert "too few shards left of small" in network.fails("forget", "fake-2")
    assert network.ask("forget", "fake-2", "--force")["lost"] == ["small"]
    assert b"NOT READABLE" in network.type("ls").stdout
    assert "shards needed could be read" in network.fails("get", "small", "-o", "-")
    assert "no device called" in network.fails("forget", "fake-2")


# The process


@pytest.fixture
def alone(tmp_path):
    (tmp_path / "fleet.json").write_text("[]")
    started = []

    def start(*more):
        core = Running(
            tmp_path, "core", "tests.tools.fake_core", str(tmp_path / "s"), str(tmp_path / "fleet.json"), *more
        )
        started.append(core)
        core.says("waiting for devices")
        return core

    yield start
    for core in started:
        core.stop(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_and_it_starts_again(alone, tmp_path, number):
    for _ in range(2):
        core = alone()
        assert core.stop(number, 5) == 0 and "stopping" in core.text
        assert not (tmp_path / "s" / "core.sock").exists()


def test_it_ends_also_when_tasks_hang(alone):
    core = alone("hang")
    started = time.monotonic()
    assert core.stop(seconds=8) == 0 and time.monotonic() - started < 7


def test_it_ends_also_when_the_loop_hangs(alone):
    core = alone("block")
    time.sleep(1.5)
    assert core.stop(seconds=8) == 0 and "did not stop in time" in core.text


def test_killed_core_starts_again(alone):
    alone().stop(signal.SIGKILL)
    alone()


def test_wrong_clock_is_a_warning(monkeypatch, tmp_path):
    from tests.tools.fake_core import FakeCore
    from tools.gateway.app import Options

    (tmp_path / "fleet.json").write_text("[]")
    core = FakeCore(Options(tmp_path / "clock", "x"), tmp_path / "fleet.json")
    monkeypatch.setattr(time, "time", lambda: 946_684_800.0)
    assert any("clock says 2000-01-01" in line for line in core.warnings())
    core.registry.close()
    core.state.close()
