"""The port's loop in a real process, on both interpreters: signals run `finally`, idleness costs no wake-ups."""

import contextlib
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.programs import RUNTIMES, Program, interpreter

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


def _start(runtime: str, folder: Path) -> tuple[Program, int]:
    process = Program(runtime, [*interpreter(runtime), "-c", PROGRAM], folder)
    process.start()
    return process, int(process.says("port ").split()[1])


@pytest.mark.parametrize(
    ("runtime", "number"), [("cpython", signal.SIGTERM), ("cpython", signal.SIGINT), ("micropython", signal.SIGINT)]
)
@pytest.mark.parametrize("has_client", [False, True])
def test_a_signal_ends_orderly(runtime: str, number: int, has_client: bool, tmp_path: Path) -> None:
    """MicroPython cannot catch SIGTERM: that is a power cut there."""
    process, port = _start(runtime, tmp_path)
    try:
        client = socket.create_connection(("127.0.0.1", port)) if has_client else None
        time.sleep(0.2)
        assert process.stop(number, 10) == 0
    finally:
        process.stop(signal.SIGKILL)
    assert process.lines[1:] == ["finally", "the end", "after run"]
    if client is not None:
        client.close()


# It computes without a pause, so that it is the one which an interrupt hits; the others wait for its end.
BUSY = """
import asyncio
from agent.port import net
async def busy():
    try:
        while True:
            for _ in range(500000):
                pass
            await asyncio.sleep(0)
    finally:
        print("busy: finally")
async def main():
    task = net.spawn(busy())
    print("begun")
    try:
        await asyncio.Event().wait()
    finally:
        if not task.done():
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
        print("the end")
net.run(main())
print("after run")
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_interrupt_in_a_task_beside_the_first(runtime: str, tmp_path: Path) -> None:
    """On MicroPython it is raised wherever the interpreter is; killed by it, that task would never be over."""
    process = Program(runtime, [*interpreter(runtime), "-c", BUSY], tmp_path)
    process.start()
    try:
        process.says("begun")
        time.sleep(0.2)
        assert process.stop(signal.SIGINT, 5) == 0
    finally:
        process.stop(signal.SIGKILL)
    assert process.lines[1:] == ["busy: finally", "the end", "after run"]


def test_an_idle_server_sleeps(tmp_path: Path) -> None:
    """With a listener and an idle connection that is waited for; the connection's deadline is its only timer."""
    with contextlib.ExitStack() as stack:
        running = []
        for runtime in RUNTIMES:
            process, port = _start(runtime, tmp_path)
            stack.callback(process.stop, signal.SIGKILL)
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            running.append(process)
        time.sleep(0.3)
        before = [process.switches() for process in running]
        time.sleep(3)
        assert all(process.switches() - seen <= 2 for process, seen in zip(running, before, strict=True))
