"""What an operator meets at the edges: ports that stay, help that fits, refusals before any work, hints to be typed."""

import asyncio
import contextlib
import io
import socket
import sys
import time
from pathlib import Path

import pytest

import agent
from agent.errors import PortError, UsageError
from tools.gateway import cli
from tools.gateway.app import NEW_PORT, Core, Options
from tools.gateway.command import screen
from tools.gateway.links.reach import Candidate, reachable
from tools.gateway.state import as_typed, typed


def started(folder: Path, port: int | None) -> int:
    """The broker's port of one life of a core."""

    async def main() -> int:
        core = Core(Options(folder, "x", "127.0.0.1", "embedded", port))
        try:
            await core._open_broker()
            number: int = core.broker.local()[1]
            return number
        finally:
            await core.stop()

    return asyncio.run(main())


def test_a_free_port_is_chosen_once(tmp_path):
    first = started(tmp_path, 0)
    assert started(tmp_path, 0) == started(tmp_path, None) == first
    with socket.create_server(("127.0.0.1", first)):
        with pytest.raises(PortError) as busy:
            started(tmp_path, 0)
        assert "--port new" in busy.value.text and f"--state {tmp_path}" in busy.value.text
        assert started(tmp_path, NEW_PORT) != first


def helped(*words: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        cli.main([*words])
    return said.getvalue()


def test_every_help_fits_and_the_version_is_told():
    for command in ("", "up", "devices", "discover", "pair", "forget", "put", "get", "ls", "rm", "status"):
        text = helped(*[command] if command else [], "--help")
        # A path that is longer than the line cannot be broken.
        assert max(len(line) for line in text.splitlines() if "state" not in line) <= 80, text
    assert helped("--version") == f"corelet-core {agent.__version__}\n"


def test_an_address_that_is_none_is_refused_as_one(tmp_path, capsys):
    assert cli.main(["up", "--state", str(tmp_path / "s"), "--listen", "999.1.1.1"]) == 2
    assert "'999.1.1.1' is no address" in capsys.readouterr().err


def test_hints_can_be_typed(tmp_path):
    assert typed(tmp_path / "a b", "pair CODE") == f"corelet-core pair CODE --state '{tmp_path}/a b'"


def test_hints_name_the_program_and_the_state_as_they_were_typed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["my venv/bin/corelet-core"])
    assert typed(tmp_path, "ls") == f"'my venv/bin/corelet-core' ls --state {tmp_path}"
    for text, full in (
        ("nothing: corelet-core ls shows it", "nothing: PROGRAM ls --state /s shows it"),
        ("(corelet-core objects --health says why)", "(PROGRAM objects --health --state /s says why)"),
        ("no keys: corelet-core relay key new NAME", "no keys: PROGRAM relay key new NAME --state /s"),
        ("go: bin/corelet-core up --state /t", "go: PROGRAM up --state /t"),
    ):
        assert as_typed(text, Path("/s")) == full.replace("PROGRAM", "'my venv/bin/corelet-core'")
    assert as_typed("see corelet-core devices", None) == "see 'my venv/bin/corelet-core' devices"
    assert cli.main(["ls", "--state", str(tmp_path)]) == 1
    assert f"start it with: 'my venv/bin/corelet-core' up --state {tmp_path}" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/usr/bin:my venv/bin")
    assert as_typed("see corelet-core devices", None) == "see corelet-core devices"


def test_who_waits_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(screen, "PATIENCE_S", 0.01)
    for is_shown, said in ((True, "waiting ...\n"), (False, "")):
        with screen.patience("waiting ...", is_shown):
            time.sleep(0.1)
        assert capsys.readouterr().err == said
    with screen.patience("waiting ...", True):
        pass
    time.sleep(0.1)
    assert not capsys.readouterr().err


def test_put_is_refused_before_the_file_is_read(tmp_path):
    core = Core(Options(tmp_path, "x"))
    with pytest.raises(UsageError) as none:
        core.objects.may_put("name")
    assert none.value.code == "no_devices"
    core.registry.close()


def test_nobody_at_an_address_is_no_find():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    with pytest.raises(PortError) as absent:
        asyncio.run(reachable(Candidate("127.0.0.1", ["127.0.0.1"], number)))
    assert absent.value.text.count("127.0.0.1") == 1
