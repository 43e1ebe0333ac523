"""Starts tests/e2e/shard_server.py and speaks to it: the core's side of the shard listener, with http.client."""

import http.client
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from agent.port.cpython import codec, crypto
from agent.wire import full_core, token
from tests.e2e.shard_server import DEVICE, SECRETS
from tests.programs import Program, interpreter

CORE = "00112233445566aa"
OTHER = "1111111111111111"


class Answer:
    """Status, headers, body; `code`: the first word of a refusal."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def code(self) -> str:
        return self.body.partition(b":")[0].decode()


class ShardDevice:
    """A running server. `boot` grows with each start."""

    def __init__(self, runtime: str, folder: Path, quota: int, slots: tuple[int, ...] = (65536,)) -> None:
        self.runtime = runtime
        self.folder = folder
        self.quota = quota
        self.slots = slots
        self.boot = 0
        self.port = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._process = Program(folder.name, [], folder.parent)  # the folder may be a disk that is full

    def __enter__(self) -> "ShardDevice":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self.boot += 1
        words = [str(self.folder), str(self.quota), str(self.boot), *map(str, self.slots)]
        command = [*interpreter(self.runtime), "tests/e2e/shard_server.py", *words]
        self._process = Program(f"{self.folder.name}-server{self.boot}", command, self.folder.parent)
        self._process.start()
        self.port = int(self._process.says("PORT ", 30).split()[1])

    @property
    def lines(self) -> list[str]:
        """What this run has printed."""
        return self._process.lines

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: what a power cut looks like from inside the process."""
        self._process.stop(signal.SIGKILL)

    def rss_kib(self) -> int:
        return self._process.rss_kib()

    def slab_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.folder / "shards").glob("*.*"))

    def bearer(self, operation: str, shard: bytes, size: int, **changes: Any) -> str:
        """A token that fits, unless `changes` say otherwise."""
        values: dict[str, Any] = {
            "core": CORE, "device": DEVICE, "expiry": int(time.time()) + 60,
            "token_id": token.token_id(self.boot, os.urandom(6)), "operation": operation, "shard": shard, "size": size,
            "keep_until": 0,
        }  # fmt: skip
        secret = changes.pop("secret", SECRETS.get(changes.get("core", CORE), b""))
        return full_core.encode_token(codec, crypto, secret, token.Claims(**(values | changes)))

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(
        self, method: str, shard: bytes, body: bytes | None = None, bearer: str | None = "", **headers: str
    ) -> Answer:
        """One request on a connection of its own. `bearer` "" = a token that fits, None = none."""
        conn = self.connect()
        try:
            if bearer == "":
                bearer = self.bearer(method.lower(), shard, len(body or b""))
            fields = {} if bearer is None else {"Authorization": "Bearer " + bearer}
            conn.request(method, "/shards/" + shard.hex(), body, fields | headers)
            return Answer(conn.getresponse())
        finally:
            conn.close()

    def put(self, data: bytes, **changes: Any) -> Answer:
        shard = crypto.sha256(data)
        return self.ask("PUT", shard, data, self.bearer("put", shard, len(data), **changes))

    def get(self, data: bytes, **headers: str) -> Answer:
        return self.ask("GET", crypto.sha256(data), **headers)

    def receipt(self, answer: Answer, core: str = CORE) -> token.Receipt:
        return full_core.decode_receipt(codec, crypto, SECRETS[core], answer.body)

    def raw(self, text: bytes) -> bytes:
        """What comes back for these bytes until the server closes or 1 s passes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as conn:
            conn.sendall(text)
            found = b""
            try:
                while piece := conn.recv(65536):
                    found += piece
            except TimeoutError:
                pass
            return found
