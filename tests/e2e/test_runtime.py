"""The port's loop in a real process, on both interpreters: signals run `finally`, idleness costs no wake-ups."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e import needs

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import sys
sys.path.insert(0, ".")
import asyncio
from agent.port import net
from agent.service import http
async def handle(request):
    return http.text_response(200, "hello")
async def main():
    listener = net.listen_tcp("", 0)
    server = http.HttpServer(listener, handle)
    try:
        print("port", listener.port)
        await server.serve()
    finally:
        print("finally")
        await asyncio.sleep(0.01)
        print("the end")
net.run(main())
print("after run")
"""


def _start(runtime: str) -> tuple[subprocess.Popen[str], int]:
    micropython = [needs.program("micropython")] if runtime == "micropython" else []
    command = [*(micropython or [sys.executable, "-u"]), "-c", PROGRAM]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    word, _, port = process.stdout.readline().partition(" ")
    assert word == "port", process.stdout.read()
    return process, int(port)


@pytest.mark.parametrize(
    ("runtime", "number"), [("cpython", signal.SIGTERM), ("cpython", signal.SIGINT), ("micropython", signal.SIGINT)]
)
@pytest.mark.parametrize("has_client", [False, True])
def test_a_signal_ends_orderly(runtime: str, number: int, has_client: bool) -> None:
    """MicroPython cannot catch SIGTERM: that is a power cut there."""
    process, port = _start(runtime)
    try:
        client = socket.create_connection(("127.0.0.1", port)) if has_client else None
        time.sleep(0.2)
        process.send_signal(number)
        output, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert output.splitlines() == ["finally", "the end", "after run"]
    assert process.returncode == 0
    if client is not None:
        client.close()


def _switches(pid: int) -> int:
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        total += sum(int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line)
    return total


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_an_idle_server_sleeps(runtime: str) -> None:
    """With a listener and an idle connection that is waited for; the connection's deadline is its only timer."""

    process, port = _start(runtime)
    try:
        with socket.create_connection(("127.0.0.1", port)):
            time.sleep(0.3)
            before = _switches(process.pid)
            time.sleep(3)
            assert _switches(process.pid) - before <= 2
    finally:
        process.kill()
        process.wait()
