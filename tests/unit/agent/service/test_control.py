"""The local control channel: the commands reach the device, its sentences come back, junk is told apart."""

import asyncio
import os

from agent.errors import LimitError, PeerError, PortError, UsageError
from agent.port import files, net
from agent.service import control
from tests.expect import araises

FOLDER = "/tmp/corelet-control-" + os.urandom(6).hex()


class FakeDevice:
    def __init__(self) -> None:
        self.asked = []

    def status(self):
        return {"name": "attic", "cores": []}

    def log_lines(self):
        return ["one", "two"]

    async def open_window(self):
        raise LimitError("busy", "a pairing is being completed", 60)

    async def leave(self, core_id, how):
        self.asked.append((core_id, how))
        raise UsageError("core", "this device does not belong to it")

    async def reset(self):
        return {"restarted": True}


def with_listener(handle, body):
    """`body()` while connections to the folder's socket are served by `handle(listener)`."""

    async def main():
        files.make_folder(FOLDER)
        listener = net.listen_local(FOLDER + "/" + control.SOCKET)
        task = net.spawn(handle(listener))
        try:
            await body()
        finally:
            task.cancel()
            listener.close()
            files.remove_tree(FOLDER)

    asyncio.run(main())


def with_device(device, body):
    with_listener(lambda listener: control.ControlService(device, listener).serve(), body)


def ask(do, **more):
    return control.ask(net, FOLDER, dict(more, do=do))


async def connect():
    return await net.connect_local(FOLDER + "/" + control.SOCKET, 1000)


async def said(data):
    """What comes back for bytes: b"" when the connection ends without a word."""
    conn = await connect()
    try:
        await conn.write(data)
        return await net.wait_for(conn.read(1024), 3000)
    except PortError as error:
        assert error.code == "closed", error.code
        return b""
    finally:
        conn.close()


def test_commands_reach_the_device():
    device = FakeDevice()

    async def body():
        assert await ask("status") == {"name": "attic", "cores": []}
        assert await ask("logs") == {"lines": ["one", "two"]}
        assert await ask("reset") == {"restarted": True}
        error = await araises(UsageError, ask("leave", core="abc"))
        assert error.code == "device" and error.text == "this device does not belong to it"
        for how in ("leave-now", "leaving"):
            await araises(UsageError, ask(how, core="abc"))
        assert device.asked == [("abc", "leave"), ("abc", "leave-now"), ("abc", "leaving")]
        assert "being completed" in (await araises(UsageError, ask("pair-window"))).text

    with_device(device, body)


def test_unknown_requests_are_refused():
    device = FakeDevice()

    async def body():
        for request in (
            {"do": "frobnicate"},
            {"do": "leave"},
            {"do": "leaving"},
            {"do": "leave", "core": 7},
            {"do": "leave", "core": "abc", "and": 1},
            {"do": "status", "core": "abc"},
            {"do": "limit"},
            {"do": "limit", "key": "shard_bps"},
            {"do": "limit", "key": "shard_bps", "value": True},
            {"do": "limit", "key": "shard_bps", "value": "1"},
            {"do": "limit", "key": 1, "value": 1},
            {"do": "limit", "key": "shard_bps", "value": 1, "core": "abc"},
            {"do": ["status"]},
            {},
        ):
            error = await araises(UsageError, control.ask(net, FOLDER, request))
            assert error.code == "device", request
        assert device.asked == [] and (await ask("status"))["name"] == "attic"

    with_device(device, body)


def test_junk_is_answered_or_dropped():
    async def body():
        for line in (b"GET / HTTP/1.1\r\n", b"\n", b"[]\n", b'"do"\n', b"{]}\n", b"\xff\xfe\n", b"[" * 1000 + b"\n"):
            assert b"one flat JSON object" in await said(line), line[:20]
        assert await said(b"x" * (control.REQUEST_BYTES_MAX + control.READ_BYTES + 1)) == b""
        assert (await ask("status"))["name"] == "attic"

    with_device(FakeDevice(), body)


def test_a_request_may_come_in_pieces():
    async def body():
        conn = await connect()
        for piece in (b'{"do"', b': "sta', b'tus"}', b"\nand more"):
            await conn.write(piece)
            await asyncio.sleep(0.01)
        assert b'"attic"' in await net.wait_for(conn.read(1024), 1000)
        conn.close()

    with_device(FakeDevice(), body)


def test_those_who_wait_make_room():
    services = []

    def handle(listener):
        services.append(control.ControlService(FakeDevice(), listener))
        return services[0].serve()

    async def body():
        opened = []
        for number in range(control.PLACES * 3):
            conn = await connect()
            if number % 2:
                await conn.write(b'{"do": ')
            opened.append(conn)
            await asyncio.sleep(0.01)
            assert services[0]._count <= control.PLACES + 1 and len(services[0]._waiting) <= control.PLACES
        assert (await ask("status"))["name"] == "attic"
        for conn in opened:
            conn.close()
        await asyncio.sleep(0.05)
        assert services[0]._count == 0 and services[0]._waiting == []

    with_listener(handle, body)


def test_a_slow_client_is_not_waited_for():
    kept, control.LINE_MS = control.LINE_MS, 50

    async def body():
        conn = await connect()
        await conn.write(b'{"do":')
        try:
            assert await net.wait_for(conn.read(10), 1000) == b""
        except PortError as error:
            assert error.code == "closed"
        conn.close()
        assert (await ask("status"))["name"] == "attic"

    try:
        with_device(FakeDevice(), body)
    finally:
        control.LINE_MS = kept


def test_without_a_device():
    async def main():
        error = await araises(PortError, ask("status"))
        assert error.code == "not_running" and error.text.endswith(": corelet up")
        files.make_folder(FOLDER)
        listener = net.listen_local(FOLDER + "/" + control.SOCKET)
        listener.close()  # killed: its socket is still there, and nobody listens
        assert (await araises(PortError, ask("status"))).code == "not_running"
        files.remove_tree(FOLDER)

    asyncio.run(main())


def test_another_program_on_the_socket():
    answers = (
        b'{"answer": []}\n',
        b'{"error": 7}\n',
        b'{"answer": {}}',
        b"{]}\n",
        b"\xff\xfe\n",
        b"220 mail.example ESMTP\r\n\r\n",
        b"\n",
        b"x" * 6000,
    )
    left = list(answers)
    kept, control.ANSWER_BYTES_MAX = control.ANSWER_BYTES_MAX, 4096

    async def handle(listener):
        while left:
            conn = await listener.accept()
            await conn.read(1024)
            try:
                await conn.write(left.pop(0))
            except PortError as error:
                assert error.code == "closed"  # it has read enough
            conn.close()

    async def body():
        for answer in answers:
            error = await araises(PeerError, ask("status"))
            assert "another program" in error.text, answer[:20]

    try:
        with_listener(handle, body)
    finally:
        control.ANSWER_BYTES_MAX = kept
