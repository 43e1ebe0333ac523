"""Network of MicroPython's Unix port (contract.Net): listening, connecting and tasks; streams.py has the streams.

Addresses are sockaddr bytes there; a name (not a number) blocks the loop while libc resolves it. There is no
getsockname, so for port 0 a random one is tried. SIGTERM cannot be caught: it is a power cut; state survives those.
"""

import asyncio
import errno
import gc
import io
import os
import socket
import struct
import sys
from asyncio import core  # type: ignore[attr-defined]

from agent.errors import PortError
from agent.port import faults
from agent.port.micropython import files, privacy
from agent.port.micropython.interfaces import interfaces
from agent.port.micropython.streams import LOCAL_SOURCE, WRITE, Conn, Listener, Waiter, address_text, source_of

if False:
    from typing import Any, Callable, Coroutine

__all__ = ["interfaces"]
AF_UNIX, AF_INET, AF_INET6 = socket.AF_UNIX, socket.AF_INET, socket.AF_INET6
PORT_LOW, PORT_HIGH, PORT_TRIES = 20000, 60000, 32
UNIX_PATH_BYTES_MAX = 107
_running: "list[Any]" = []  # the task of `run`
_on_lost: "list[Callable[[BaseException], None]]" = []


def _resolve(host: str, port: int) -> "list[Any]":
    """(family, sockaddr) pairs of the streams."""
    try:
        found = socket.getaddrinfo(host, port)
    except OSError:
        raise PortError("dns", f"No address is known for the name {host}. Check the name and the network.")
    return [(one[0], one[-1]) for one in found if one[1] == socket.SOCK_STREAM]


def _listen(family: int, address: "Any", is_dual: bool, backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == AF_INET6:
            sock.setsockopt(41, 26, 0 if is_dual else 1)  # IPV6_V6ONLY
        sock.bind(address)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _listen_tcp(host: str, port: int, backlog: int) -> socket.socket:
    if host:
        family, address = _resolve(host, port)[0]
        return _listen(family, address, False, backlog)
    try:
        return _listen(AF_INET6, _resolve("::", port)[0][1], True, backlog)
    except OSError as error:
        if error.errno not in faults.NO_FAMILY + faults.NO_ADDRESS:
            raise
        return _listen(AF_INET, _resolve("0.0.0.0", port)[0][1], False, backlog)  # noqa: S104 ("" asks for it)


def _random_port() -> int:
    return PORT_LOW + int.from_bytes(os.urandom(4), "big") % (PORT_HIGH - PORT_LOW)


def listen_tcp(host: str, port: int, backlog: int = 16) -> Listener:
    tries = 1 if port else PORT_TRIES
    while True:
        chosen = port or _random_port()
        tries -= 1
        try:
            return Listener(_listen_tcp(host, chosen, backlog), chosen)
        except OSError as error:
            if not tries or error.errno != errno.EADDRINUSE:
                raise faults.net_fault(error, f"Port {chosen}" + (f" on {host}" if host else ""))


def _unix_address(path: str) -> "tuple[bytes, Any]":
    """sockaddr of `path` and an open folder to close, or None; a long path goes by way of its folder's descriptor."""
    name, folder = path.encode(), None
    if len(name) > UNIX_PATH_BYTES_MAX:
        folder = open(files.folder_of(path), "rb")  # noqa: SIM115 (the caller closes it)
        name = f"/proc/self/fd/{folder.fileno()}/{path.rpartition('/')[2]}".encode()
    return struct.pack("@H", AF_UNIX) + name + b"\0", folder


def listen_local(path: str) -> Listener:
    folder = None
    try:
        if files.exists(path):
            os.remove(path)
        address, folder = _unix_address(path)
        sock = _listen(AF_UNIX, address, False, 16)
        privacy.shell("chmod 600 " + privacy.quote(path))
        return Listener(sock, 0)
    except OSError as error:
        raise faults.file_fault(error, path)
    finally:
        if folder is not None:
            folder.close()


async def _connect(family: int, address: "Any", what: str) -> Conn:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    waiter = Waiter(sock)
    try:
        while True:
            try:
                sock.connect(address)  # asked again after the wait, it tells the result (there is no getsockopt)
                return Conn(sock, LOCAL_SOURCE if family == AF_UNIX else source_of(address))
            except OSError as error:
                if error.errno not in (errno.EINPROGRESS, errno.EALREADY):
                    raise faults.net_fault(error, what)
            await waiter.wait(WRITE)  # type: ignore[misc]
    except (PortError, asyncio.CancelledError):
        sock.close()
        raise


async def _connect_any(host: str, port: int) -> Conn:
    failure = PortError("dns", f"No address is known for the name {host}. Check the name and the network.")
    for family, address in _resolve(host, port):
        try:
            return await _connect(family, address, address_text(host, port))
        except PortError as error:
            failure = error
    raise failure


async def connect_tcp(host: str, port: int, timeout_ms: int) -> Conn:
    """Each address of a name in turn, all within the timeout."""
    try:
        conn: Conn = await asyncio.wait_for_ms(_freed(_connect_any(host, port)), timeout_ms)  # type: ignore[attr-defined]
        return conn
    except asyncio.TimeoutError:  # noqa: UP041 (not the builtin there)
        text = f"{address_text(host, port)} did not answer within {timeout_ms} ms. Check the address and the network."
        raise PortError("timeout", text)


async def connect_local(path: str, timeout_ms: int) -> Conn:
    folder = None
    try:
        address, folder = _unix_address(path)
        conn: Conn = await wait_for(_connect(AF_UNIX, address, path), timeout_ms)
        return conn
    except OSError as error:
        raise faults.net_fault(error, path)
    finally:
        if folder is not None:
            folder.close()


def place_of(error: BaseException) -> str:
    """ "file:line" where it was raised."""
    text = io.StringIO()
    sys.print_exception(error, text)  # type: ignore[attr-defined]
    place = "an unknown place"
    for line in text.getvalue().split("\n"):
        parts = line.split('"')
        if line.startswith("  File ") and len(parts) > 2:
            place = parts[1] + ":" + parts[2].split(",")[1].strip().replace("line ", "")
    return place


def report_lost(report: "Callable[[BaseException], None]") -> None:
    """Who is told when a spawned task ends with an exception (the supervisor); without one, stderr."""
    _on_lost[:] = [report]


def _lost(loop: "Any", context: "dict[str, Any]") -> None:
    try:
        for report in _on_lost:
            report(context["exception"])
    except MemoryError:  # no room even for the line that says so; raised here it would end the loop and the device
        gc.collect()
    if not _on_lost:
        core.Loop.default_exception_handler(loop, context)


async def _freed(coroutine: "Coroutine[Any, Any, Any]") -> "Any":
    """A task that asyncio's queue has let go keeps its pointers (child, child_last) to those that stood behind it. One
    that has ended so would keep the next that ends, and that the one after: of a flood of connections nothing is freed
    while a task lives that saw its beginning. An ended task that points at a blank one ends the chain."""
    try:
        return await coroutine
    except KeyboardInterrupt:  # it may hit any task. Killed by it, this one would be waited for without an end.
        if not _running:
            raise
        _running[0].cancel()
    finally:
        queue = core.TaskQueue()
        queue.push(core.cur_task)  # it runs, so it is in no queue
        queue.push(core.Task(None))
        queue.pop()


def spawn(coroutine: "Coroutine[Any, Any, Any]") -> "Any":
    return asyncio.create_task(_freed(coroutine))


async def _main(coroutine: "Coroutine[Any, Any, Any]") -> "Any":
    try:
        return await coroutine
    except KeyboardInterrupt:  # it hit this task: what it does at its end is done, and a cancel would never reach it
        return None


def run(coroutine: "Coroutine[Any, Any, Any]") -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_lost)
    task = asyncio.create_task(_main(coroutine))
    _running[:] = [task]
    try:
        core.run_until_complete(task)
    except KeyboardInterrupt:
        core.cur_task = None  # the interrupt may have hit any task: none is running now
        task.cancel()
        try:
            core.run_until_complete(task)
        except asyncio.CancelledError:
            return
    except asyncio.CancelledError:
        return


async def wait_for(coroutine: "Coroutine[Any, Any, Any]", timeout_ms: int) -> "Any":
    try:
        return await asyncio.wait_for_ms(_freed(coroutine), timeout_ms)  # type: ignore[attr-defined]
    except asyncio.TimeoutError:  # noqa: UP041 (not the builtin there)
        raise PortError("timeout", f"Nothing came within {timeout_ms} ms.")
