"""`corelet store` as a real process on either interpreter, and tokens for it: the shard device that needs no core."""

import os
import time
from pathlib import Path
from typing import Any

from agent.port.cpython import crypto
from agent.wire import token
from tests.e2e.shard_device import ShardDevice
from tests.programs import Program, interpreter

KEY = b"only for tests, and not short"


class LoneStore(ShardDevice):
    """`words`: further options of the command."""

    def __init__(self, runtime: str, folder: Path, quota: int, words: tuple[str, ...] = ()) -> None:
        super().__init__(runtime, folder, quota)
        self.words = words
        self.key_file = folder / "store.key"
        self.key_file.touch(0o600)
        self.key_file.write_bytes(KEY + b"\n")
        self.core, self.device, self.secret = token.alone(crypto, KEY)

    def command(self) -> list[str]:
        words = ["--dir", str(self.folder / "shards"), "--quota", str(self.quota), "--listen", "127.0.0.1:0"]
        program = [*interpreter(self.runtime), "-m", "agent", "store"]
        return [*program, *words, "--token-key-file", str(self.key_file), *self.words]

    def start(self) -> None:
        self.boot += 1
        self._process = Program(f"store{self.boot}", self.command(), self.folder)
        self._process.start()
        self.port = int(self._process.says("storing; clients come to ").partition(";")[2].split(":")[1].split(";")[0])

    def bearer(self, operation: str, shard: bytes, size: int, **changes: Any) -> str:
        own = {"core": self.core, "device": self.device, "secret": self.secret}
        made = {"token_id": token.dated_id(time.time_ns() // 1_000_000, os.urandom(8))}
        return super().bearer(operation, shard, size, **(own | made | changes))
