"""A device's shard listener as the contracts describe it, in memory on loopback, with faults to switch on.

Tokens and receipts are the real ones (agent/wire/token.py); the storage is a dict.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field

from agent import port
from agent.errors import CoreletError
from agent.wire import audit, merkle, token
from tools.gateway.audits.inventory import digest_of
from tools.gateway.objects.shards import Target

CORE_ID = "c0" * 8
PHRASES = {200: "OK", 201: "Created"}


@dataclass
class FakeDevice:
    number: int
    slots: tuple[int, ...] = (65536, 262144, 1048576)
    quota: int = 1 << 30
    boot: int = 7
    is_up: bool = True
    shards: dict[bytes, bytes] = field(default_factory=dict)
    used_tokens: set[bytes] = field(default_factory=set)
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    delay_s: float = 0.0
    busy_answers: int = 0  # so many requests are told 503 first
    is_lying: bool = False  # sends other bytes than it stored
    is_forging: bool = False  # receipts for something else
    stranger: tuple[int, bytes] = (0, b"")  # somebody else is at its address: (status, head lines) for everything
    is_mute: bool = False  # answers no audit
    is_leaving: bool = False
    rotten: set[bytes] = field(default_factory=set)
    challenges: list[audit.Challenge] = field(default_factory=list)
    port: int = 0

    @property
    def id(self) -> str:
        return f"{self.number:016x}"

    @property
    def link_secret(self) -> bytes:
        return hashlib.sha256(b"secret" + self.id.encode()).digest()

    @property
    def used_bytes(self) -> int:
        return sum(len(data) + 128 for data in self.shards.values())

    def target(self) -> Target:
        free = self.quota - self.used_bytes
        return Target(
            self.id,
            f"fake-{self.number}",
            ("127.0.0.1",),
            self.port,
            self.boot,
            self.slots,
            0 if self.is_leaving else free,
            self.link_secret,
            self.is_up,
            is_leaving=self.is_leaving,
        )

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 21)
        self.port = self._server.sockets[0].getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_up = True

    async def kill(self) -> None:
        """As SIGKILL would: the listener and every connection are gone."""
        self.is_up = False
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = lines[0].split(" ")
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                status, answer = await self._answer(method, target, headers, body)
                writer.write(
                    f"HTTP/1.1 {status} {PHRASES.get(status, 'No')}\r\nContent-Length: {len(answer)}\r\n".encode()
                )
                writer.write(self.stranger[1] or (b"Retry-After: 1\r\n" if status == 503 else b""))
                writer.write(b"\r\n")
                writer.write(b"" if method == "HEAD" else answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        name = hashlib.sha256(body).digest() if target == "/audit" else bytes.fromhex(target.removeprefix("/shards/"))
        self.requests.append((method, name))
        await asyncio.sleep(self.delay_s)
        if self.stranger[0]:
            return self.stranger[0], b"hello"
        try:
            secrets = {CORE_ID: self.link_secret}
            claims = token.decode_token(
                port.codec(), port.crypto(), secrets, headers["authorization"].removeprefix("Bearer ")
            )
        except CoreletError as error:
            return 401, f"{error.code}: {error.text}".encode()
        if claims.expiry < time.time() or not token.is_of_boot(claims.token_id, self.boot):
            return 401, b"token: expired"
        operation = "audit" if target == "/audit" else method.lower()
        if (claims.device, claims.operation, claims.shard) != (self.id, operation, name):
            return 403, b"token: for something else"
        if self.busy_answers:
            self.busy_answers -= 1
            return 503, b"busy: later"
        if method in ("PUT", "DELETE", "POST"):
            if claims.token_id in self.used_tokens:
                return 409, b"token: used"
            self.used_tokens.add(claims.token_id)
        return getattr(self, "_" + method.lower())(name, body, claims)

    def _put(self, name: bytes, body: bytes, claims: token.Claims) -> tuple[int, bytes]:
        if len(body) > max(self.slots) - 128:
            return 413, b"too_big: no slot"
        if hashlib.sha256(body).digest() != name or claims.size != len(body):
            return 422, b"hash: differs"
        if name in self.shards:
            return 200, self._receipt(claims, "present")
        if self.used_bytes + len(body) + 128 > self.quota:
            return 507, b"quota: full"
        self.shards[name] = body
        return 201, self._receipt(claims, "stored")

    def _get(self, name: bytes, body: bytes, claims: token.Claims) -> tuple[int, bytes]:
        if name not in self.shards:
            return 404, b"not_found: no"
        data = self.shards[name]
        return 200, bytes([data[0] ^ 1]) + data[1:] if self.is_lying else data

    _head = _get

    def _post(self, name: bytes, body: bytes, claims: token.Claims) -> tuple[int, bytes]:
        """An audit; `rotten`: shards of which it says that they are."""
        challenge = audit.decode_challenge(port.codec(), body)
        self.challenges.append(challenge)
        if self.is_mute:
            return 500, b"io: no"
        if challenge.kind == audit.DIGEST:
            rows = digest_of(shard[:5] for shard in self.shards if shard not in self.rotten)
            records = b"".join(count.to_bytes(4, "big") + total.to_bytes(5, "big") for count, total in rows)
        elif challenge.kind == audit.LIST:
            records = self._page(challenge.subject[0], int.from_bytes(challenge.subject[1:], "big"))
        else:
            records = b"".join(self._record(challenge, number) for number in range(audit.count(challenge)))
        digest = bytes(32) if self.is_forging else hashlib.sha256(body + records).digest()
        receipt = token.Receipt(self.id, self.boot, claims.token_id, "audit", digest, len(records), "audited")
        return 200, records + token.encode_receipt(port.codec(), port.crypto(), self.link_secret, receipt)

    def _page(self, bucket: int, first: int) -> bytes:
        keys = sorted(shard[:5] for shard in self.shards if shard[0] >> 4 == bucket and shard not in self.rotten)[
            first:
        ]
        following = first + audit.PAGE_KEYS if len(keys) > audit.PAGE_KEYS else 0
        keys = keys[: audit.PAGE_KEYS]
        page = following.to_bytes(4, "big") + len(keys).to_bytes(2, "big") + b"".join(keys)
        return page.ljust(audit.PAGE_BYTES, b"\0")

    def _record(self, challenge: audit.Challenge, number: int) -> bytes:
        shard, size = audit.entry(challenge, number)
        length = audit.entry_record_bytes(challenge, self.id, shard, size)
        if shard not in self.shards or shard in self.rotten:
            return bytes([audit.CORRUPT if shard in self.rotten else audit.LOST]).ljust(length, b"\0")
        data = self.shards[shard]
        data = bytes([data[0] ^ 1]) + data[1:] if self.is_lying else data
        if challenge.kind == audit.WHOLE:
            return bytes([audit.HAS]) + hashlib.sha256(challenge.nonce + data).digest()
        index = audit.leaf_index(challenge.nonce, shard, self.id, size)
        tree = merkle.Tree(index)
        leaves = [data[at : at + 1024] for at in range(0, max(1, size), 1024)]
        for leaf in leaves:
            tree.add(leaf)
        tree.root()
        return bytes([audit.HAS]) + leaves[index] + b"".join(tree.path)

    def _delete(self, name: bytes, body: bytes, claims: token.Claims) -> tuple[int, bytes]:
        if self.shards.pop(name, None) is None:
            return 404, b"not_found: no"
        return 200, self._receipt(claims, "deleted")

    def _receipt(self, claims: token.Claims, result: str) -> bytes:
        shard = bytes(32) if self.is_forging else claims.shard
        receipt = token.Receipt(self.id, self.boot, claims.token_id, claims.operation, shard, claims.size, result)
        return token.encode_receipt(port.codec(), port.crypto(), self.link_secret, receipt)
