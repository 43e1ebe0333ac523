"""What the command line says when it cannot reach the core."""

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import PortError
from tests.e2e import needs
from tests.programs import ROOT
from tools.gateway.command.client import Client


def test_no_core(tmp_path: Path) -> None:
    with pytest.raises(PortError) as caught:
        Client(tmp_path / "no one's").ask("GET", "/status")
    assert caught.value.code == "core_not_running"
    assert caught.value.text.endswith(f"corelet-core up --state '{tmp_path}/no one'\"'\"'s'")


def test_the_core_of_another_user(tmp_path: Path) -> None:
    """Asked as nobody; whose it is stands in the sentence, and what to type."""
    needs.root()
    state = tmp_path / "core"
    state.mkdir(mode=0o700)
    program = (
        "import os, sys; from pathlib import Path; from tools.gateway.command.client import Client\n"
        "from agent.errors import PortError\n"
        "client = Client(Path(sys.argv[1]))\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: client.ask('GET', '/status')\n"
        "except PortError as error: print(error.code, error.text)\n"
    )
    command = [sys.executable, "-c", program, str(state)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    owner = getpass.getuser()
    assert done.stdout.startswith(f"denied the core on {state} is {owner}'s"), done
    assert f"sudo -u {owner} corelet-core COMMAND --state {state}" in done.stdout, done
