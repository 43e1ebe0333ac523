"""The owner at a terminal: what is asked first, what is said when nothing runs, whose device it is, and a local socket
that junk, half lines and slow or many clients cannot stop."""

import codecs
import contextlib
import os
import pty
import re
import select
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.network import ENVIRONMENT, ROOT, Device, Network, sentence

RUNTIMES = ("cpython", "micropython")
both = pytest.mark.parametrize("runtime", RUNTIMES)
CORE = "0123456789abcdef"
CLIENTS = 60
GROWTH_KIB_MAX = 2048
ANSWER_S_MAX = 8.0


@pytest.fixture
def device(runtime: str, tmp_path: Path) -> Iterator[Device]:
    with Network(tmp_path) as network:
        yield network.device(runtime)


def typed(device: Device, *words: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    command = [*before, *device.command, *words, "--state", str(device.state)]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)


def at_a_terminal(device: Device, answer: str, *words: str) -> tuple[int, str]:
    """(exit status, the screen) of a command whose question is answered."""
    main, side = pty.openpty()
    command = [*device.command, *words, "--state", str(device.state)]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdin=side, stdout=side, stderr=side)
    os.close(side)
    screen, is_answered = "", False
    decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end within a character
    with contextlib.suppress(OSError):  # the end of a terminal
        while select.select([main], [], [], 20)[0] and (piece := os.read(main, 4096)):
            screen += decoder.decode(piece)
            if "go on: " in screen and not is_answered:
                is_answered = True
                os.write(main, answer.encode() + b"\n")
    os.close(main)
    return process.wait(20), screen.replace("\r", "")


@both
def test_what_deletes_is_asked_first(device: Device) -> None:
    device.start()
    (device.state / "cores" / CORE).mkdir()
    for words, loss in (
        (("reset",), "pairing with 1 core and every shard kept here; files that have no other copy are lost"),
        (("leave", CORE), "deletes every shard that it keeps here, once others have them."),
        (
            ("leave", CORE, "--now"),
            "deletes every shard that it keeps here now; files that have no other copy are lost",
        ),
    ):
        line = sentence(typed(device, *words))
        assert loss in line
        assert line.endswith(" ".join([*words, "--yes --state", str(device.state)])), line
        status, screen = at_a_terminal(device, "no", *words)
        assert status == 1 and "nothing was changed" in screen and loss in " ".join(screen.split()), screen
    before = device.status()["device"]
    status, screen = at_a_terminal(device, "yes", "reset")
    assert status == 0 and "The running device begins anew" in screen and "corelet up" not in screen, screen
    end = time.monotonic() + 10
    while device.status().get("device", before) == before:
        assert time.monotonic() < end, device.screen
        time.sleep(0.1)
    device.stop()
    assert typed(device, "reset", "--yes").stdout.strip().endswith(f" up --state {device.state}")


@both
def test_logs_of_a_device_that_does_not_run(device: Device) -> None:
    device.start()
    lines = device.say("logs")["lines"]
    device.stop()
    after = device.say("logs")["lines"]
    assert after[: len(lines)] == lines and after[-1].endswith("stopped")
    assert device.run("logs").stdout.splitlines() == after
    assert sentence(typed(device, "status")).endswith(f" up --state {device.state}")


@both
def test_the_window_for_scripts_and_for_a_terminal(device: Device) -> None:
    device.start()
    window = device.say("pair-window")
    assert window["code"].replace("-", "") in window["qr"].replace("-", "").upper(), window
    for words in (("status",), ("boards",), ("--help",), ("up", "--help"), ("leave", "--help")):
        for line in typed(device, *words).stdout.splitlines():
            assert len(line) <= 80 or line.startswith(("  state ", "Example", "usage")), line
    status, screen = at_a_terminal(device, "", "status")
    assert status == 0 and "\x1b" not in typed(device, "status").stdout and device.say("status")["name"] in screen
    assert re.fullmatch(r"corelet \d+\.\d+\.\d+\S*\n", typed(device, "--version").stdout)


@both
def test_the_device_of_another_user(device: Device) -> None:
    needs.program("setpriv", "util-linux")
    if os.geteuid() != 0:
        needs.absent("needs root: another user has to be played")
    device.start()
    other = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    # The state is below a folder that only we may enter; a system's place, /var/lib, is open to all.
    for folder in list(device.state.parents)[:-1]:
        if folder.stat().st_uid == 0 and str(folder) != "/tmp":
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    for words in (("status",), ("pair-window",), ("reset", "--yes"), ("logs",)):
        line = sentence(typed(device, *words, before=other))
        assert "another user's" in line and ": sudo " in line, line
        assert line.endswith(f" {words[0]} --state {device.state}") and "port" not in line, line
    assert device.status()["boot"] == 1


def connected(device: Device) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    here = os.open(device.state, os.O_RDONLY)
    try:
        connection.connect(f"/proc/self/fd/{here}/control.sock")
    finally:
        os.close(here)
    return connection


@both
def test_bad_clients_of_the_local_socket(device: Device) -> None:
    device.start()
    sendings = (
        b"", b"{", b'{"do": "status"', b'{"do": "status"}\n', b"\n" * 500, b"\0" * 5000, b"x" * 200_000,
        b"[" * 900 + b"\n", b'{"do": "logs"}\n', b"GET /status HTTP/1.1\r\n\r\n", b'{"do": "frobnicate"}\n',
        b'{"do": {"do": {}}}\n',
    )  # fmt: skip
    rounds, sizes = 4, []
    for _ in range(rounds):
        opened = []
        for number in range(CLIENTS):
            with contextlib.suppress(OSError):
                connection = connected(device)
                opened.append(connection)
                connection.setblocking(False)
                connection.send(sendings[number % len(sendings)])  # and nobody reads what comes back
        started = time.monotonic()
        assert device.say("status")["boot"] == 1 and time.monotonic() - started < ANSWER_S_MAX
        for connection in opened:
            connection.close()
        sizes.append(device.rss_kib())
    assert sizes[-1] - sizes[0] < GROWTH_KIB_MAX, sizes
    assert "Traceback" not in device.screen and "unexpected" not in device.run("logs").stdout
    slow = connected(device)
    slow.send(b'{"do":')
    started = time.monotonic()
    assert slow.recv(100) == b"" and time.monotonic() - started < ANSWER_S_MAX
    assert device.status()["boot"] == 1
