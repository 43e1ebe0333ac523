"""A pairing service on a table: its machine, clock, disk and journal are held by the test.

The machine is a scripted one: the real one beside the service would not fit in 128 KiB with its crypto. The two
together: tests/tools/test_pairing.py. On MicroPython the HTTP server and the sockets have stand-ins, too.
"""

import asyncio
import sys

from agent.core.pairing import verifier

# isort: split


class Clock:
    """Stands in for agent.port.clock."""

    now = 1_000_000

    def now_ms(self) -> int:
        return self.now


if sys.implementation.name == "micropython":

    class _Http:
        def Response(status: int, headers: list, body: bytes) -> tuple:  # noqa: N802, N805
            return (status, headers, body)

    class _Port:
        clock = Clock()

    sys.modules["agent.service.http"] = _Http
    sys.modules["agent.port"] = _Port

from agent.service import pairing as service_module  # noqa: E402

# isort: split

from agent.errors import PeerError  # noqa: E402

CORE = "0123456789abcdef"
HEADERS = {"host": "192.0.2.9:7411", "content-type": "application/cbor"}
BUNDLE = {"core": CORE, "name": "Home"}


class Crypto:
    """Enough for a fresh code; `count` makes each draw another."""

    def __init__(self) -> None:
        self.count = 0

    def entropy(self, length: int) -> bytes:
        self.count += 1
        return bytes((self.count,)) * length

    def pbkdf2_sha256(self, password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
        assert iterations == 1000
        return password[:1] * length

    def p256_public(self, scalar: int) -> bytes:
        return b"\x04" + b"p" * 64


class Machine:
    """Plays `script`: for each request the events that come with its answer."""

    def __init__(self) -> None:
        self.crypto = Crypto()
        self.script: list = []
        self.events: list = []
        self.outgoing: list = []
        self.requests: list = []
        self.record: object = None
        self.wake_at: int | None = None
        self.pending_core: str | None = None
        self.is_open = False

    def receive(self, data: bytes, source: object, now: int) -> None:
        self.requests.append(data)
        if data == b"garbage":
            raise PeerError("frame", "garbage")
        self.events.extend(self.script.pop(0) if self.script else [])
        self.outgoing.append((b"answer", source))

    def refuse(self, error: object, source: object, now: int) -> None:
        self.events.append(verifier.RolledBack(CORE))
        self.outgoing = [(error.code.encode(), source)]

    def wake(self, now: int) -> None:
        if self.wake_at is not None and now >= self.wake_at:
            self.wake_at, self.is_open = None, False
            self.events.append(verifier.WindowClosed("expired"))

    def open_window(self, record: object, is_owned: bool, now: int) -> None:
        self.record, self.is_open, self.wake_at = record, True, now + 900_000

    def close_window(self, now: int) -> None:
        self.is_open = False
        self.events.append(verifier.WindowClosed("owner"))

    def seconds_left(self, now: int) -> int:
        return 900

    def commit(self, core: str, now: int) -> bool:
        self.pending_core = None
        self.events.append(verifier.Committed(core))
        return True

    def drain_events(self) -> list:
        events, self.events = self.events, []
        return events

    def drain_outgoing(self) -> list:
        pairs, self.outgoing = self.outgoing, []
        return pairs


class State:
    """Keeps what it is told, or fails as a full disk does. `log`: everything in order."""

    def __init__(self) -> None:
        self.log: list = []
        self.error: Exception | None = None

    def _note(self, word: str, value: object) -> None:
        if self.error is not None:
            raise self.error
        self.log.append((word, value))

    def write_counters(self, counters: dict) -> None:
        self._note("counters", counters["attempts"])

    def save_pending(self, bundle: dict, link_secret: bytes) -> None:
        self._note("pending", bundle["core"])

    def commit_pending(self) -> None:
        self._note("commit", None)

    def drop_pending(self) -> None:
        self.log.append(("drop", None))


class Journal:
    def __init__(self) -> None:
        self.lines: list = []

    def info(self, source: str, text: str) -> None:
        self.lines.append(text)

    warning = error = info


class Request:
    path = "/pair"
    source = ("192.0.2.7", 40000)

    def __init__(self, data: bytes, headers: dict, method: str) -> None:
        self._data = data
        self.headers = headers
        self.method = method

    async def body(self, bytes_max: int) -> bytes:
        if len(self._data) > bytes_max:
            raise PeerError("too_big", "too big")
        return self._data


class Table:
    def __init__(self) -> None:
        self.clock = service_module.clock = Clock()
        self.state, self.journal, self.told = State(), Journal(), []
        self.machine = Machine()
        self.service = service_module.PairingService(self.machine, self.state, self.journal, self.told.append)

    def post(self, data: bytes = b"request", headers: "dict | None" = None, method: str = "POST") -> bytes:
        request = Request(data, HEADERS if headers is None else headers, method)
        response = asyncio.run(self.service.handle(request))
        assert response[0] == 200 and ("Cache-Control", "no-store") in response[1]
        return response[2]

    def told_names(self) -> list:
        return [type(event).__name__ for event in self.told]
