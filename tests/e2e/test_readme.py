"""The README's commands, in its order, as they stand there; only state folders and free ports are added."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tools import readme

BIN = Path(sys.executable).parent
CODE = re.compile(r"setup code\s+([0-9A-Z-]{14})")
LOOPBACK = ["--listen", "127.0.0.1", "--port", "0"]


class Terminal:
    """Runs one line of the README in `folder`; `up` stays in the background."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.background: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, words: list[str]) -> str:
        program = words[0].rpartition("/")[2]
        command = [str(BIN / program), *words[1:], "--state", str(self.folder / program)]
        if words[1] != "up":
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, (words, done.stdout, done.stderr)
            return done.stdout
        command += [*LOOPBACK, "--data-port", "0", "--relay-port", "0"] if program == "corelet" else LOOPBACK
        with (self.folder / f"{program}.log").open("wb") as log:
            self.background[program] = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        return self.wait(program, "waiting for")

    def wait(self, program: str, words: str) -> str:
        for _ in range(150):
            text = (self.folder / f"{program}.log").read_text()
            if words in text:
                return text
            time.sleep(0.1)
        raise AssertionError(f"{program} did not say {words!r}: {text}")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    needs.program("mosquitto")
    terminal = Terminal(tmp_path)
    yield terminal
    for process in terminal.background.values():
        process.send_signal(signal.SIGINT)
        process.wait(20)


def commands() -> list[list[str]]:
    block = readme.README.read_text().split("## By hand")[1].split("```sh\n")[1].split("```")[0]
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("venv/")]


def test_the_commands_by_hand(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"corelet" * 100_000)
    code = ""
    for words in commands():
        said = terminal.run([*words[:-1], code] if "pair" in words else words)
        found = CODE.search(said)
        code = found.group(1) if found else code
    assert (tmp_path / "copy.mp4").read_bytes() == (tmp_path / "holiday.mp4").read_bytes()


def test_the_owners_words_beside_them(terminal: Terminal) -> None:
    terminal.run(["corelet", "up", "--name", "attic"])
    for word in ("status", "pair-window", "logs", "boards"):
        assert terminal.run(["corelet", word])
