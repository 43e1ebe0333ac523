"""The life of the process `corelet-core up`: log file, screen, signals, and an end that always comes.

SIGTERM and SIGINT stop it in order; a second one, or a stop longer than STOP_S, ends it at once: what matters is
durable at every moment, so that is only impolite. A failure to start is one sentence and exit status 1.

Bounds: the log is two files of LOG_BYTES_MAX / 2; a line that repeats is counted, not repeated.
"""

import asyncio
import contextlib
import logging
import logging.handlers
import os
import resource
import signal
import sys
import threading
from pathlib import Path

from agent.errors import CoreletError, PortError, UsageError
from tools.gateway import api
from tools.gateway.app import Core, Options, own_addresses
from tools.gateway.command import screen

STOP_S = 12.0
LOG_BYTES_MAX = 2 << 20
LOG_LINE_CHARS_MAX = 2000


class _Once(logging.Filter):
    """Folds a message that comes again and again into a count."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""
        self._repeats = 0

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()[:LOG_LINE_CHARS_MAX]
        if text == self._last:
            self._repeats += 1
            return False
        folded = f" (the line before came {self._repeats} more times)" if self._repeats else ""
        self._last, self._repeats = text, 0
        record.msg, record.args = screen.printable(text) + folded, ()
        return True


class _Handler(logging.handlers.RotatingFileHandler):
    """A full disk must not stop the core through its log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """The line is lost; the next may fit."""


def _open_log(folder: Path) -> None:
    handler = _Handler(folder / "core.log", maxBytes=LOG_BYTES_MAX // 2, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handler.addFilter(_Once())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # A line for each shard would turn the log over within minutes, and httpx puts addresses in it.
    for name in ("httpx", "httpcore", "amqtt", "transitions", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)


def run(options: Options, is_json: bool) -> int:
    """Until a signal comes; the exit status: 1 it could not, 2 no such broker."""
    os.umask(0o077)
    _raise_descriptors()
    try:
        core = Core(options)
        _open_log(core.state.folder / "logs")
        return asyncio.run(_live(core, is_json))
    except CoreletError as error:
        print(f"corelet-core: {error.text}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) and error.code == "broker" else 1
    except OSError as error:
        print(f"corelet-core: the core could not go on: {error.strerror or error}", file=sys.stderr)
    return 1


def _raise_descriptors() -> None:
    """As many as we may have, and the broker after us: a thousand devices take more than the usual 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # then what we have must do
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _live(core: Core, is_json: bool) -> int:
    stop = asyncio.Event()
    _on_signal(asyncio.get_running_loop(), stop)
    work = asyncio.create_task(_work(core, is_json))
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await work  # raises what ended it
            raise PortError("api", "the core's local socket stopped working: see its log, then start it again")
        if not is_json:
            screen.say("stopping")
    finally:
        _end_anyway()
        for task in (work, waiting):
            task.cancel()
        await asyncio.gather(work, waiting, return_exceptions=True)
        await core.stop()
        _leave_nothing_behind()
    return 0


async def _work(core: Core, is_json: bool) -> None:
    await core.start()
    await api.serve(core, lambda: _greet(core, is_json))


def _on_signal(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Plain handlers, because the loop's own run only when the loop does."""

    def handle(_number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(1)
        _end_anyway()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _end_anyway() -> None:
    """A thread of its own ends the process when tasks, or the loop itself, hang."""
    if any(thread.name == "end-anyway" for thread in threading.enumerate()):
        return

    def end() -> None:
        print("corelet-core: some part did not stop in time; ended without it", file=sys.stderr, flush=True)
        os._exit(0)

    timer = threading.Timer(STOP_S, end)
    timer.name = "end-anyway"
    timer.daemon = True
    timer.start()


def _leave_nothing_behind() -> None:
    """asyncio.run would wait for ever for a task that refuses to be cancelled; the timer above then decides."""
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()


def _greet(core: Core, is_json: bool) -> None:
    status = core.status()
    if is_json:
        screen.say_json(status)
        return
    port = core.broker.endpoints()[0][1]
    lines = [
        f"Full core {screen.paint(screen.printable(core.options.name), 'bold')} is up"
        + (", but its broker does not answer" if core.links.trouble else ""),
        f"  core id   {status['core']}",
        f"  state     {status['state']}",
        f"  broker    {status['broker']}, port {port}",
        f"  address   {', '.join(own_addresses(core.options.listen))}",
        f"  devices   {status['devices']} paired" if status["devices"] else "",
        *(f"  note      {warning}" for warning in status["warnings"]),
        "waiting for devices; Ctrl+C stops. With the code on a device's screen:",
        f"  {core.hint('pair CODE')}",
    ]
    screen.say("\n".join(line for line in lines if line))
