"""The contract of agent.port.net, on whichever interpreter runs this."""

import asyncio
import gc
import os

from agent.errors import PortError
from agent.port import files, net
from tests.expect import araises, raises

FOLDER = "/tmp/corelet-net-" + os.urandom(6).hex()


async def _echo(listener):
    conn = await listener.accept()
    try:
        while True:
            data = await conn.read(1024)
            if not data:
                return conn.source
            await conn.write(data)
    finally:
        conn.close()


async def _talk(listener, connecting):
    task = net.spawn(_echo(listener))
    conn = await connecting
    await conn.write(b"hello")
    assert await conn.read(100) == b"hello"
    big = bytes(10000)
    writer = net.spawn(conn.write(big))
    count = 0
    while count < len(big):
        count += len(await conn.read(4096))
    await writer
    conn.close()
    source = await task
    listener.close()
    return source


def test_tcp_both_families():
    async def main():
        listener = net.listen_tcp("", 0)
        assert listener.port > 0
        source = await _talk(listener, net.connect_tcp("127.0.0.1", listener.port, 2000))
        assert source[0] == "127.0.0.1", source
        listener = net.listen_tcp("::1", 0)
        source = await _talk(listener, net.connect_tcp("::1", listener.port, 2000))
        assert source[0] == "::1", source
        listener = net.listen_tcp("127.0.0.1", 0)
        await _talk(listener, net.connect_tcp("localhost", listener.port, 2000))

    asyncio.run(main())


def test_local_also_with_a_long_path():
    async def main():
        files.make_folder(FOLDER + "/" + "x" * 120)
        for path in (FOLDER + "/a.sock", FOLDER + "/" + "x" * 120 + "/a.sock"):
            net.listen_local(path).close()  # leaves a stale one
            listener = net.listen_local(path)
            assert os.stat(path)[0] & 0o777 == 0o600
            source = await _talk(listener, net.connect_local(path, 1000))
            assert source == ("local", 0)
        assert (await araises(PortError, net.connect_local(path, 1000))).code == "refused"
        assert (await araises(PortError, net.connect_local(FOLDER + "/none", 1000))).code == "refused"

    try:
        asyncio.run(main())
    finally:
        files.remove_tree(FOLDER)


def test_errors_have_codes_and_say_what_to_do():
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)
        error = raises(PortError, net.listen_tcp, "127.0.0.1", listener.port)
        assert error.code == "port_busy" and str(listener.port) in error.text
        error = raises(PortError, net.listen_tcp, "", listener.port)
        assert error.code == "port_busy"
        listener.close()
        error = await araises(PortError, net.connect_tcp("127.0.0.1", listener.port, 2000))
        assert error.code == "refused", error.code
        error = await araises(PortError, net.connect_tcp("name.invalid", 80, 5000))
        assert error.code == "dns", error.code
        assert raises(PortError, net.listen_tcp, "192.0.2.77", 0).code == "unreachable"

    asyncio.run(main())


def test_wait_for():
    async def slow():
        await asyncio.sleep(5)

    async def quick():
        return 7

    async def main():
        assert (await araises(PortError, net.wait_for(slow(), 20))).code == "timeout"
        assert await net.wait_for(quick(), 1000) == 7

    asyncio.run(main())


def test_close_wakes_those_who_wait():
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)
        client = await net.connect_tcp("127.0.0.1", listener.port, 1000)
        server = await listener.accept()
        reading, accepting = net.spawn(_code(client.read(10))), net.spawn(_code(listener.accept()))
        await asyncio.sleep(0.01)
        client.close()
        listener.close()
        assert await net.wait_for(_join(reading), 1000) in ("closed", b"")
        assert await net.wait_for(_join(accepting), 1000) == "closed"
        assert (await araises(PortError, client.read(1))).code == "closed"
        assert (await araises(PortError, client.write(b"1"))).code == "closed"
        assert await server.read(1) == b""
        server.close()

    async def _join(task):
        return await task

    async def _code(waiting):
        try:
            return await waiting
        except PortError as error:
            return error.code

    asyncio.run(main())


def test_a_cancelled_reader_does_not_stop_the_writer():
    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)
        client = await net.connect_tcp("127.0.0.1", listener.port, 1000)
        server = await listener.accept()
        size = 8000000
        writing = net.spawn(_write_much(client, size))
        await araises(PortError, net.wait_for(client.read(10), 30))
        count = 0
        while count < size:
            count += len(await net.wait_for(server.read(4096), 2000))
        await writing
        for one in (client, server, listener):
            one.close()

    async def _write_much(conn, size):
        piece = bytes(4000)
        for _ in range(size // 4000):
            await conn.write(piece)

    asyncio.run(main())


def test_a_task_that_waits_does_not_keep_those_that_ended_since():
    """asyncio's queue on MicroPython links each task to those behind it, and never undoes that."""

    async def brief():
        buffer = bytes(1000)
        return len(buffer)

    async def main():
        listener = net.listen_tcp("127.0.0.1", 0)
        client = await net.connect_tcp("127.0.0.1", listener.port, 1000)
        server = await listener.accept()
        gc.collect()
        before = _allocated_bytes()
        idle = net.spawn(client.read(1))
        for _ in range(20):
            net.spawn(brief())
        await asyncio.sleep(0.05)
        gc.collect()
        kept = _allocated_bytes() - before
        server.close()
        assert await net.wait_for(_read(idle), 1000) == b""
        client.close()
        listener.close()
        assert kept < 8192, kept

    async def _read(idle):
        return await idle

    asyncio.run(main())


def _allocated_bytes():
    """Of the heap where one is told; CPython's references are freed as they end."""
    count = getattr(gc, "mem_alloc", None)
    return count() if count is not None else 0


def test_interfaces_have_loopback():
    found = net.interfaces()
    assert ("lo", "127.0.0.1", 8) in found, found
    assert all(len(one) == 3 and "%" not in one[1] for one in found)


def test_run_ends_and_runs_finally():
    seen = []

    async def main():
        try:
            await asyncio.sleep(0)
        finally:
            seen.append(1)

    net.run(main())
    assert seen == [1]


def test_lost_tasks_are_reported():
    lost = []

    async def bad():
        raise ValueError("lost")

    async def main():
        net.report_lost(lost.append)
        net.spawn(bad())
        await asyncio.sleep(0.01)

    net.run(main())
    assert len(lost) == 1 and isinstance(lost[0], ValueError)


def test_an_interrupt_that_hits_the_first_task_is_the_end():
    """Others may sleep for ever; nobody waits for a task that is no more."""

    async def main():
        net.spawn(asyncio.sleep(3600))
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    try:
        net.run(main())
    except KeyboardInterrupt:
        pass
