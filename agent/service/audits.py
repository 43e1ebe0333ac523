"""Answers to challenges: does this device still have what it promised? What is asked and said: agent/wire/audit.py.

Loaded when the first challenge comes. An answer is made shard by shard while the core takes it: one piece of one shard
is in memory, and other requests have their turn after each piece. Every byte of a shard is read and hashed, so what is
found rotten is quarantined and reported like anything else. Token, nonce and size were checked before (shards.py).
Bounds: for each core BURST shards at once, then one in SHARD_MS; QUESTION_BYTES_MAX.
"""

import asyncio
import hashlib

from agent import port
from agent.core.shards.header import HEADER_BYTES
from agent.core.shards.index import SLOTS_A_SLAB_MAX
from agent.errors import LimitError, PortError, TrustError
from agent.service.hashing import exactly
from agent.service.messages import Body, Response
from agent.service.slabs import piece_bytes
from agent.wire import audit, merkle

if False:
    from collections.abc import Callable
    from typing import Any

    from agent.core.shards.store import Store
    from agent.core.shards.ticket import Ticket
    from agent.service.slabs import Slabs
    from agent.wire.token import Claims

    Sign = Callable[[Claims, bytes, int, str], bytes]

QUESTION_BYTES_MAX = audit.CHALLENGE_BYTES_MAX
BURST = 2 * audit.ENTRIES_MAX
SHARD_MS = 1000
TRIES = 2


class Audits:
    """`told()` is called when the store may have found something rotten."""

    def __init__(self, store: "Store", slabs: "Slabs", device: str, told: "Callable[[], None]") -> None:
        self.device = device
        self._store = store
        self._slabs = slabs
        self._told = told
        self._until: dict[str, int] = {}  # core -> when all that it has made us read would be allowed

    def answer(self, claims: "Claims", question: bytes, sign: "Sign") -> Response:
        """`sign`: ShardService's receipt. PeerError("audit", "cbor"); LimitError("busy")."""
        challenge = audit.decode_challenge(port.codec(), question)
        self._spend(claims.core, max(1, audit.count(challenge)), port.clock.now_ms())
        body = Answer(self, claims, challenge, sign)
        body.begin(question)
        return Response(200, [("Content-Type", "application/octet-stream")], body)

    def _spend(self, core: str, shards: int, now: int) -> None:
        self._until = {each: until for each, until in self._until.items() if until > now}
        until = self._until.get(core, now) + shards * SHARD_MS
        if until > now + BURST * SHARD_MS:
            wait_s = (until - now) // 1000 - BURST
            raise LimitError("busy", f"This core was answered about {BURST} shards; the next ones later.", wait_s)
        self._until[core] = until

    async def record(self, core: str, challenge: audit.Challenge, number: int) -> bytes:
        """The `number`-th record; a digest and a list are one."""
        if challenge.kind == audit.DIGEST:
            return await self._digest(core)
        if challenge.kind == audit.LIST:
            return await self._list(core, challenge.subject[0], int.from_bytes(challenge.subject[1:], "big"))
        shard, size = audit.entry(challenge, number)
        try:
            proof = await self._proof(core, challenge, shard, size)
        finally:
            self._told()
        return proof + bytes(audit.entry_record_bytes(challenge, self.device, shard, size) - len(proof))

    async def _proof(self, core: str, challenge: audit.Challenge, shard: bytes, size: int) -> bytes:
        for _ in range(TRIES):  # it may be put again while it is read
            ticket = self._store.get(core, shard, True)
            result = await self._slabs.wait(ticket)
            if result == "corrupt":
                return bytes([audit.CORRUPT])
            if result != "found" or ticket.length != size:
                break
            try:
                return await self._read(ticket, challenge)
            except PortError as error:
                if error.code != "changed":
                    self._store.spoiled(ticket, "io")
        return bytes([audit.LOST])

    def _piece(self, ticket: "Ticket", start: int, length: int) -> bytes:
        """Unverified: for whoever hashes it. PortError("changed"): the shard was deleted meanwhile."""
        if not self._store.is_current(ticket):
            raise PortError("changed", "The shard was deleted while it was being read.")
        if ticket.body is not None:
            return bytes(ticket.body[start : start + length])
        slab = self._store.space.slab_of(ticket.slot)
        offset = ticket.slot % SLOTS_A_SLAB_MAX * slab.slot_bytes + HEADER_BYTES + start
        return exactly(self._slabs.file(slab), offset, length)

    async def _read(self, ticket: "Ticket", challenge: audit.Challenge) -> bytes:
        """Result and proof of a shard that was located. PortError("changed", "io")."""
        size, is_leaf = ticket.length, challenge.kind == audit.LEAF
        index = audit.leaf_index(challenge.nonce, ticket.shard, self.device, size)
        tree, leaf = merkle.Tree(index), b""
        digest, salted = hashlib.sha256(), hashlib.sha256(challenge.nonce)
        step = piece_bytes(size) // merkle.LEAF_BYTES * merkle.LEAF_BYTES
        for start in range(0, max(1, size), step):
            piece = self._piece(ticket, start, min(step, size - start))
            digest.update(piece)
            if is_leaf:
                tree.extend(piece)
                first = index * merkle.LEAF_BYTES - start
                leaf = piece[first : first + merkle.LEAF_BYTES] if 0 <= first < step else leaf
            else:
                salted.update(piece)
            await asyncio.sleep(0)
        if digest.digest() != ticket.shard:
            self._store.spoiled(ticket, "sha256")
            return bytes([audit.CORRUPT])
        if not is_leaf:
            return bytes([audit.HAS]) + salted.digest()
        tree.root()
        return bytes([audit.HAS]) + leaf + b"".join(tree.path)

    async def _digest(self, core: str) -> bytes:
        number, index = self._store.cores.find(core), self._store.index
        counts, sums = [0] * audit.BUCKETS, [0] * audit.BUCKETS
        for position in range(len(self._store.space.slabs)):
            for _, key in index.keys_in(position, number):
                bucket = audit.bucket_of(key)
                counts[bucket] += 1
                sums[bucket] ^= key
            await asyncio.sleep(0)
        return b"".join([count.to_bytes(4, "big") + sums[at].to_bytes(5, "big") for at, count in enumerate(counts)])

    async def _list(self, core: str, bucket: int, first: int) -> bytes:
        number, index = self._store.cores.find(core), self._store.index
        keys, following = bytearray(), 0
        for position in range(first // SLOTS_A_SLAB_MAX, len(self._store.space.slabs)):
            for slot, key in index.keys_in(position, number):
                if slot < first or audit.bucket_of(key) != bucket or following:
                    continue
                if len(keys) == audit.PAGE_KEYS * audit.KEY_BYTES:
                    following = slot
                else:
                    keys.extend(key.to_bytes(audit.KEY_BYTES, "big"))
            if following:
                break
            await asyncio.sleep(0)
        page = following.to_bytes(4, "big") + (len(keys) // audit.KEY_BYTES).to_bytes(2, "big") + bytes(keys)
        return page + bytes(audit.PAGE_BYTES - len(page))


class Answer(Body):
    """The records, one after the other, then the receipt for all of them."""

    def __init__(self, audits: Audits, claims: "Claims", challenge: audit.Challenge, sign: "Sign") -> None:
        self._audits = audits
        self._claims = claims
        self._challenge = challenge
        self._sign = sign
        self._records = max(1, audit.count(challenge))
        self._next = 0
        self._bytes = audit.records_bytes(challenge, audits.device)
        self._data = b""

    def begin(self, question: bytes) -> None:
        """TrustError("core") when this device has left."""
        self._digest: Any = hashlib.sha256(question)
        self.length = self._bytes + len(self._sign(self._claims, bytes(32), self._bytes, "audited"))

    async def read(self, bytes_max: int) -> bytes:
        """PortError("closed") when the device has left the core meanwhile."""
        if not self._data:
            self._data = await self._following()
        data, self._data = self._data[:bytes_max], self._data[bytes_max:]
        return data

    async def _following(self) -> bytes:
        if self._next < self._records:
            self._next += 1
            record = await self._audits.record(self._claims.core, self._challenge, self._next - 1)
            self._digest.update(record)
            return record
        try:
            return self._sign(self._claims, self._digest.digest(), self._bytes, "audited")
        except TrustError as error:
            raise PortError("closed", error.text)

    def close(self) -> None:
        self._data = b""
