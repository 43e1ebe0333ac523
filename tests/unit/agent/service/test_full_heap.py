"""A heap that is full at the worst moment costs one connection, never a listener or a service."""

import asyncio

from agent.errors import PortError
from agent.port import net
from agent.service import control, http, supervisor


class Conn:
    """One that says nothing; `is_closed` is what is judged."""

    source = ("127.0.0.1", 1)

    def __init__(self):
        self.is_closed = False

    async def read(self, bytes_max):
        return b""

    async def write(self, data):
        return None

    def close(self):
        self.is_closed = True


class Listener:
    """Gives what it was made with, one after the other: connections, and errors to raise."""

    def __init__(self, gives):
        self.gives = gives
        self.is_closed = False

    async def accept(self):
        if not self.gives:
            await asyncio.Event().wait()
        given = self.gives.pop(0)
        if isinstance(given, Conn):
            return given
        raise given

    def close(self):
        self.is_closed = True


async def _handle(request):
    return http.text_response(200, "done")


def _serving(serve, listener, body):
    async def main():
        task = net.spawn(serve())
        await asyncio.sleep(0.05)
        await body(task)
        assert not listener.is_closed and not task.done()
        task.cancel()
        await asyncio.sleep(0.01)

    net.run(main())


def _of_each_kind(listener):
    return [http.HttpServer(listener, _handle), control.ControlService(None, listener)]


def _without_room_for(module, name, body):
    """While `module.name` is asked for it raises."""
    real = getattr(module, name)

    def full(*arguments):
        if name == "spawn":
            arguments[0].close()
        raise MemoryError

    setattr(module, name, full)
    try:
        body()
    finally:
        setattr(module, name, real)


def test_a_full_heap_at_the_accept():
    for number in range(2):
        conns = [Conn(), Conn()]
        listener = Listener([conns[0], MemoryError(), conns[1]])
        service = _of_each_kind(listener)[number]

        async def body(task, conns=conns, listener=listener):
            assert listener.gives == [] and conns[1].is_closed, "served and ended as before"

        _serving(service.serve, listener, body)


def test_a_full_heap_at_the_task_of_a_connection():
    real = net.spawn
    for number in range(2):
        conns = [Conn(), Conn()]
        listener = Listener(list(conns))
        service = _of_each_kind(listener)[number]

        async def main(service=service, conns=conns, listener=listener):
            task = real(service.serve())
            await asyncio.sleep(0.05)
            assert [conn.is_closed for conn in conns] == [True, True], "they are dropped at once"
            assert not listener.is_closed and not task.done()
            task.cancel()
            await asyncio.sleep(0.01)

        _without_room_for(net, "spawn", lambda main=main: net.run(main()))


def test_a_full_heap_at_the_buffers_of_a_connection():
    """It gives its place back all the same: of such ones there would soon be none left."""
    lost = []
    for number, (module, name) in enumerate(((http, "Wire"), (control, "_read_line"))):
        conn = Conn()
        listener = Listener([conn])
        service = _of_each_kind(listener)[number]

        async def body(task, conn=conn, service=service):
            assert conn.is_closed
            assert (service._count if isinstance(service, control.ControlService) else len(service._tasks)) == 0

        net.report_lost(lost.append)
        _without_room_for(
            module, name, lambda service=service, listener=listener, body=body: _serving(service.serve, listener, body)
        )
    assert [type(error) for error in lost] == [MemoryError, MemoryError]


def test_a_failure_that_there_is_no_room_to_tell():
    """What failed starts again."""
    real = asyncio.sleep
    count = []

    class Full:
        def error(self, source, text):
            raise MemoryError

    async def fails():
        count.append(1)
        raise PortError("io", "Bad.")

    async def sleep(seconds):
        await real(0 if seconds >= 1 else seconds)

    async def main():
        keeper = supervisor.Supervisor(Full())
        keeper.spawn("bad", fails)
        for _ in range(20):
            await real(0.002)
        await keeper.stop()

    asyncio.sleep = sleep
    try:
        net.run(main())
    finally:
        asyncio.sleep = real
    assert len(count) > 2
