"""The driver against a broker that is a list: what it sends, what it does when the connection ends, stop."""

import asyncio

from agent import port
from agent.errors import PortError, UsageError
from agent.service import link
from agent.wire import envelope

CODEC = port.codec()
DEVICE = "00112233445566aa"
CORE = "ffeeddccbbaa9988"
RECORD = {"core": CORE, "ca": b"ca", "cert": b"cert", "brokers": [["10.0.0.1", 8883]]}
UNIX = 1_700_000_000


class Journal:
    def __init__(self) -> None:
        self.lines: list = []

    def info(self, source: str, text: str) -> None:
        self.lines.append(text)

    warning = info
    error = info


class Hooks:
    def __init__(self) -> None:
        self.said: list = []

    def birth(self) -> dict:
        return {"fw": "1"}

    def telemetry(self) -> dict:
        return {}

    def bound(self) -> None:
        self.said.append("bound")

    async def command(self, op: str, body: dict) -> dict:
        self.said.append(op)
        await asyncio.sleep(0)
        if op == "echo":
            return body
        raise UsageError("no_such", "there is no command " + op)


class FakeLink:
    """One connection: `sent` is what was published; `give` delivers; `fail` ends it."""

    def __init__(self, options: object, error: PortError | None) -> None:
        self.options = options
        self.sent: list = []
        self.filters: list = []
        self.is_closed = False
        self._error = error
        self._inbox: list = []
        self._arrived = asyncio.Event()

    async def connect(self) -> None:
        if self._error is not None:
            raise self._error

    async def subscribe(self, topic_filter: str) -> None:
        self.filters.append(topic_filter)

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        if self._error is not None:
            raise self._error
        message = envelope.decode(CODEC, payload)
        self.sent.append((topic.split("/")[3], message.correlation, message.body, retain))

    async def receive(self) -> tuple[str, bytes]:
        while not self._inbox:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.pop(0)

    async def close(self) -> None:
        self.is_closed = True

    def give(self, kind: str, body: dict, correlation: bytes | None = None) -> None:
        expiry = UNIX + 60 if correlation else None
        message = envelope.Envelope(kind, 0, correlation, expiry, body)
        self._inbox.append((envelope.topic(DEVICE, "dn", kind), envelope.encode(CODEC, message)))
        self._arrived.set()

    def fail(self) -> None:
        self._error = PortError("closed", "the broker went away")
        self._arrived.set()


class FakeModule:
    """`errors`: what the first connections end with."""

    def __init__(self, errors: list) -> None:
        self.errors = errors
        self.made: list = []

    def open(self, options: object) -> FakeLink:
        self.made.append(FakeLink(options, self.errors.pop(0) if self.errors else None))
        return self.made[-1]


class FastClock:
    """Runs 100 times as fast, so that pauses of seconds take no time."""

    def now_ms(self) -> int:
        return port.clock.now_ms() * 100


class FastNet:
    spawn = staticmethod(port.net.spawn)

    async def wait_for(self, coroutine: object, timeout_ms: int) -> object:
        return await port.net.wait_for(coroutine, timeout_ms // 100 + 1)


class Stage:
    def __init__(self, errors: list) -> None:
        self.module = FakeModule(errors)
        self.journal = Journal()
        self.hooks = Hooks()
        world = link.Ports(FastClock(), FastNet(), CODEC, port.crypto().entropy, self.module)
        identity = link.Identity(DEVICE, b"key", 4)
        self.service = link.LinkService(RECORD, identity, self.hooks, self.journal, world)

    async def play(self, scene) -> None:  # type: ignore[no-untyped-def]
        task = asyncio.create_task(self.service.run())
        await scene(self)
        await self.service.stop()
        await task

    async def until(self, check) -> None:  # type: ignore[no-untyped-def]
        for _ in range(400):
            if check():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not happen")

    async def connected(self, count: int = 1) -> FakeLink:
        await self.until(lambda: len(self.module.made) >= count and self.module.made[-1].sent)
        made: FakeLink = self.module.made[-1]
        return made


def test_connect_birth_command_goodbye() -> None:
    async def scene(stage: Stage) -> None:
        made = await stage.connected()
        options = made.options
        assert (options.host, options.port, options.server_name) == ("10.0.0.1", 8883, "core-" + CORE)  # type: ignore[attr-defined]
        assert (options.client_id, options.cert_der, options.key_der) == (DEVICE, b"cert", b"key")  # type: ignore[attr-defined]
        assert made.filters == ["c1/" + DEVICE + "/dn/cmd", "c1/" + DEVICE + "/dn/time"]
        assert made.sent == [("birth", None, {"fw": "1", "boot": 4, "session": 1}, True)]
        assert stage.service.is_up and stage.service.trouble == ""
        made.give("time", {"unix": UNIX})
        made.give("cmd", {"op": "echo", "args": {"a": 1}}, b"1")
        made.give("cmd", {"op": "other", "args": {}}, b"2")
        made.give("cmd", {"op": "bound", "args": {}}, b"3")
        await stage.until(lambda: len(made.sent) == 4)
        answers = {each[1]: each[2] for each in made.sent[1:]}
        assert answers[b"1"] == {"ok": True, "result": {"a": 1}}
        assert answers[b"2"]["result"]["code"] == "no_such"
        assert answers[b"3"] == {"ok": True, "result": {}}
        assert sorted(stage.hooks.said) == ["bound", "echo", "other"]
        assert stage.service.core_time(FastClock().now_ms()) is not None

    stage = Stage([])
    asyncio.run(stage.play(scene))
    (made,) = stage.module.made
    assert made.sent[-1] == ("death", None, {"boot": 4, "session": 1}, True)
    assert made.is_closed and not stage.service.is_up


def test_a_link_is_never_used_again() -> None:
    async def scene(stage: Stage) -> None:
        first = await stage.connected(3)
        assert [each.is_closed for each in stage.module.made] == [True, True, False]
        assert stage.journal.lines[:2] == ["nobody there", "nobody there"]
        first.fail()
        second = await stage.connected(4)
        assert first.is_closed and second is not first
        assert second.sent[0][2]["session"] == 4

    stage = Stage([PortError("refused", "nobody there"), PortError("refused", "nobody there")])
    asyncio.run(stage.play(scene))


def test_garbage_from_the_core_is_logged_and_survived() -> None:
    async def scene(stage: Stage) -> None:
        made = await stage.connected()
        made._inbox.append(("c1/" + DEVICE + "/dn/cmd", b"\xff" * 64))
        made.give("time", {"unix": UNIX})
        await stage.until(lambda: stage.service.core_time(0) is not None)
        assert stage.service.is_up

    stage = Stage([])
    asyncio.run(stage.play(scene))
    assert any("CBOR" in line for line in stage.journal.lines)


def test_what_changed_is_told() -> None:
    async def scene(stage: Stage) -> None:
        made = await stage.connected()
        stage.service.refresh()
        await stage.until(lambda: len(made.sent) == 2)
        assert made.sent[1][0] == "birth"

    asyncio.run(Stage([]).play(scene))
