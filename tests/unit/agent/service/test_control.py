"""The local control channel: the commands reach the device, its sentences come back, junk is told apart."""

import asyncio
import os

from agent.errors import LimitError, PeerError, PortError, UsageError
from agent.port import files, net
from agent.service import control, http
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

    async def leave(self, core_id):
        self.asked.append(core_id)
        raise UsageError("core", "this device does not belong to it")

    async def reset(self):
        return {"restarted": True}


def with_listener(handle, body):
    """`body()` while connections to the folder's socket are served by `handle(conn)`."""

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
    with_listener(lambda listener: http.HttpServer(listener, control.ControlService(device).handle).serve(), body)


def ask(method, path):
    return control.ask(net, FOLDER, method, path)


def test_commands_reach_the_device():
    device = FakeDevice()

    async def body():
        assert await ask("GET", "/status") == {"name": "attic", "cores": []}
        assert await ask("GET", "/logs") == {"lines": ["one", "two"]}
        assert await ask("POST", "/reset") == {"restarted": True}
        error = await araises(UsageError, ask("POST", "/leave?core=abc"))
        assert error.code == "device" and "does not belong" in error.text and device.asked == ["abc"]
        assert "being completed" in (await araises(UsageError, ask("POST", "/pair-window"))).text

    with_device(device, body)


def test_unknown_questions_are_refused():
    async def body():
        for method, path in (
            ("POST", "/status"),
            ("GET", "/reset"),
            ("GET", "/"),
            ("POST", "/leave"),
            ("POST", "/leave?core="),
        ):
            assert (await araises(UsageError, ask(method, path))).code == "device"
        assert (await ask("GET", "/status"))["name"] == "attic"

    with_device(FakeDevice(), body)


def test_without_a_device():
    async def main():
        error = await araises(PortError, ask("GET", "/status"))
        assert error.code == "not_running" and "corelet up" in error.text
        files.make_folder(FOLDER)
        listener = net.listen_local(FOLDER + "/" + control.SOCKET)
        listener.close()  # killed: its socket is still there, and nobody listens
        assert (await araises(PortError, ask("GET", "/status"))).code == "not_running"
        files.remove_tree(FOLDER)

    asyncio.run(main())


def test_another_program_on_the_socket():
    answers = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{]}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n\xff\xfe",
        b"220 mail.example ESMTP\r\n\r\n",
        b"",
    )
    left = list(answers)

    async def handle(listener):
        while left:
            conn = await listener.accept()
            await conn.read(1024)
            await conn.write(left.pop(0) or b"\r\n")
            conn.close()

    async def body():
        for answer in answers:
            try:
                await ask("GET", "/status")
                raise AssertionError(answer)
            except (PeerError, PortError) as error:
                assert error.text, answer

    with_listener(handle, body)
