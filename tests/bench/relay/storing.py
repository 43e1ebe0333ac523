"""Work for a device's shard listener until stdin ends: python -m tests.bench.relay.storing < access

One connection puts shard after shard (and deletes old ones), another gets them; each begins the next when it has the
answer to the one before. `access`, one line of JSON: what tokens are made of (whole.Whole.shard_access) and "size".
Prints one line when it has begun, and at the end what was done.
"""

import contextlib
import hashlib
import http.client
import json
import os
import sys
import threading
import time
from collections import deque
from typing import Any

from agent.port.cpython import codec, crypto
from agent.wire import full_core, token

KEPT = 32
TOKEN_S = 30  # as the core's; of those that live a device remembers so many, and then it is busy
BUSY_S = 0.2


class Storing:
    def __init__(self, access: dict[str, Any]) -> None:
        self.access = access
        self.secret = bytes.fromhex(access["secret"])
        self.kept: deque[bytes] = deque()
        self.done = {"put": 0, "get": 0, "delete": 0, "busy": 0}
        self.is_over = False
        self.has_begun = threading.Event()
        self.error = ""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.access["port"], timeout=30)

    def ask(self, conn: http.client.HTTPConnection, operation: str, shard: bytes, body: bytes | None = None) -> bytes:
        claims = token.Claims(
            core=self.access["core"],
            device=self.access["device"],
            expiry=int(time.time()) + TOKEN_S,
            token_id=token.token_id(self.access["boot"], os.urandom(6)),
            operation=operation,
            shard=shard,
            size=len(body or b""),
            keep_until=0,
        )
        bearer = full_core.encode_token(codec, crypto, self.secret, claims)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer, if there is one, says why
            conn.request(operation.upper(), "/shards/" + shard.hex(), body, {"Authorization": "Bearer " + bearer})
        answer = conn.getresponse()
        data = answer.read()
        if answer.status == 503:
            self.done["busy"] += 1
            time.sleep(BUSY_S)
            return self.ask(conn, operation, shard, body)
        if answer.status not in (200, 201):
            raise ValueError(f"{operation} was answered with {answer.status}: {data[:200]!r}")
        self.done[operation] += 1
        return data

    def put(self) -> None:
        conn = self.connect()
        while not self.is_over:
            body = os.urandom(self.access["size"])
            shard = hashlib.sha256(body).digest()
            self.ask(conn, "put", shard, body)
            self.kept.append(shard)
            self.has_begun.set()
            if len(self.kept) > KEPT:
                self.ask(conn, "delete", self.kept.popleft())

    def get(self) -> None:
        conn = self.connect()
        self.has_begun.wait()
        while not self.is_over:
            shard = self.kept[-1 - os.urandom(1)[0] % min(len(self.kept), KEPT // 2)]
            if hashlib.sha256(self.ask(conn, "get", shard)).digest() != shard:
                raise ValueError("a shard came back changed")

    def work(self, action: Any) -> None:
        try:
            action()
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.error = self.error or repr(error)
            self.has_begun.set()


def main() -> int:
    storing = Storing(json.loads(sys.stdin.readline()))
    began = time.monotonic()
    threads = [threading.Thread(target=storing.work, args=(action,)) for action in (storing.put, storing.get)]
    for thread in threads:
        thread.start()
    storing.has_begun.wait(30)
    print("begun", flush=True)
    sys.stdin.read()
    storing.is_over = True
    for thread in threads:
        thread.join()
    print(json.dumps(storing.done | {"seconds": time.monotonic() - began}))
    if storing.error:
        print(storing.error, file=sys.stderr)
    return 1 if storing.error else 0


if __name__ == "__main__":
    sys.exit(main())
