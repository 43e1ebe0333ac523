"""Network of CPython (contract.Net): listening, connecting, interfaces and tasks; streams.py has the streams.

Names are resolved in a thread.
"""

import asyncio
import os
import signal
import socket
import sys
import threading

from agent.errors import PortError
from agent.port import faults
from agent.port.cpython.streams import LOCAL_SOURCE, Conn, Listener, address_text, source_of

if False:
    from typing import Any, Awaitable, Callable, Coroutine

UNIX_PATH_BYTES_MAX = 107
IFF_UP = 1

_tasks: "set[asyncio.Task[Any]]" = set()  # asyncio itself keeps only weak references
_on_lost: "list[Callable[[BaseException], None]]" = []


def _listen(family: int, address: "Any", is_dual: bool, backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if is_dual else 1)
        sock.bind(address)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def listen_tcp(host: str, port: int, backlog: int = 16) -> Listener:
    what = f"Port {port}" if not host else f"Port {port} on {host}"
    try:
        if host:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
            sock = _listen(found[0][0], found[0][4], False, backlog)
        elif socket.has_dualstack_ipv6():
            sock = _listen(socket.AF_INET6, ("::", port), True, backlog)
        else:
            sock = _listen(socket.AF_INET, ("0.0.0.0", port), False, backlog)  # noqa: S104 (that is what "" asks for)
    except socket.gaierror as error:
        raise PortError("dns", f"{host} is not a numeric address to listen on; use one such as 192.0.2.1.") from error
    except OSError as error:
        raise faults.net_fault(error, what) from error
    return Listener(sock, sock.getsockname()[1])


def _at(path: str) -> tuple[str, int]:
    """A name for `path` that fits a Unix address (107 bytes), and a descriptor to close, or -1."""
    if len(os.fsencode(path)) <= UNIX_PATH_BYTES_MAX:
        return path, -1
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{folder}/{os.path.basename(path)}", folder


def listen_local(path: str) -> Listener:
    try:
        if os.path.lexists(path):
            os.unlink(path)
        name, folder = _at(path)
        before = os.umask(0o177)
        try:
            return Listener(_listen(socket.AF_UNIX, name, False, 16), 0)
        finally:
            os.umask(before)
            if folder >= 0:
                os.close(folder)
    except OSError as error:
        raise faults.file_fault(error, path) from error


def _unknown(host: str) -> PortError:
    return PortError("dns", f"No address is known for the name {host}. Check the name and the network.")


async def _resolve(host: str, port: int) -> "list[Any]":
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except socket.gaierror:  # a name
        try:
            return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise _unknown(host) from error


async def _connect(family: int, address: "Any", what: str) -> Conn:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise faults.net_fault(error, what) from error
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return Conn(sock, LOCAL_SOURCE if family == socket.AF_UNIX else source_of(address))
    except OSError as error:
        sock.close()
        raise faults.net_fault(error, what) from error
    except asyncio.CancelledError:
        sock.close()
        raise


async def _connect_any(host: str, port: int) -> Conn:
    what = address_text(host, port)
    failure = _unknown(host)
    for family, _, _, _, address in await _resolve(host, port):
        try:
            return await _connect(family, address, what)
        except PortError as error:
            failure = error
    raise failure


async def connect_tcp(host: str, port: int, timeout_ms: int) -> Conn:
    """Each address of a name in turn, all within the timeout."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await _connect_any(host, port)
    except TimeoutError as error:
        text = f"{address_text(host, port)} did not answer within {timeout_ms} ms. Check the address and the network."
        raise PortError("timeout", text) from error


async def connect_local(path: str, timeout_ms: int) -> Conn:
    try:
        name, folder = _at(path)
    except OSError as error:
        raise faults.net_fault(error, path) from error
    try:
        conn: Conn = await wait_for(_connect(socket.AF_UNIX, name, path), timeout_ms)
        return conn
    finally:
        if folder >= 0:
            os.close(folder)


def _is_up(name: str) -> bool:
    try:
        with open(f"/sys/class/net/{name}/flags", "rb") as file:
            return int(file.read(), 16) & IFF_UP != 0
    except OSError:  # gone meanwhile, or no sysfs: then the address list decides
        return True


def interfaces() -> list[tuple[str, str, int]]:
    import ifaddr  # a dependency of zeroconf; loaded when first asked

    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            host = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            found.append((adapter.name, host.partition("%")[0], ip.network_prefix))
    return [one for one in found if _is_up(one[0])]


def place_of(error: BaseException) -> str:
    """ "file:line" where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "an unknown place"


def report_lost(report: "Callable[[BaseException], None]") -> None:
    """Who is told when a spawned task ends with an exception (the supervisor); without one, stderr."""
    _on_lost[:] = [report]


def _ended(task: "asyncio.Task[Any]") -> None:
    _tasks.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None:
        for report in _on_lost:
            report(error)
        if not _on_lost:
            sys.stderr.write(f"A task ended: {error!r}\n")


def spawn(coroutine: "Coroutine[Any, Any, Any]") -> "asyncio.Task[Any]":
    task = asyncio.get_running_loop().create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_ended)
    return task


async def _main(coroutine: "Awaitable[Any]") -> None:
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await coroutine


def run(coroutine: "Coroutine[Any, Any, Any]") -> None:
    try:
        asyncio.run(_main(coroutine))
    except asyncio.CancelledError:  # a signal asked for the end, and every `finally` has run
        return


async def wait_for(coroutine: "Awaitable[Any]", timeout_ms: int) -> "Any":
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await coroutine
    except TimeoutError as error:
        raise PortError("timeout", f"Nothing came within {timeout_ms} ms.") from error
