"""The data listener: PUT, GET, HEAD and DELETE /shards/<SHA-256 in hex>, and POST /audit, each with a capability token.

Not here: audits (audits.py), what may be done (core/shards/access.py), where it goes (core/shards/store.py), the disk
(slabs.py), what runs beside it (scrub.py), how an answer looks (shard_answers.py), HTTP itself (http.py). Nothing of a
body is read before its token was verified; bodies pass in pieces of at most 16 KiB, and a GET reads one when the peer
has taken the one before. A GET, of a Range too, that says `Want-Merkle-Path: 1` is answered with the nodes that lead
from what is sent to the root of the shard (wire/merkle.py), in hex, as the field Merkle-Path.
"""

import asyncio

from agent import port
from agent.core.shards.access import Access
from agent.core.shards.bandwidth import Bandwidth
from agent.core.shards.confessions import Confessions
from agent.core.shards.layouts import store_of
from agent.errors import CoreletError, LimitError, PeerError, TrustError
from agent.service import lanes, shard_answers, slabs
from agent.service.http import Response
from agent.wire import token

if False:
    from collections.abc import Callable
    from typing import Any

    from agent.service.audits import Audits
    from agent.service.http import Request
    from agent.service.journal import Journal
    from agent.wire.http import Head
    from agent.wire.token import Claims

TOKENS_MAX = 2048  # used token ids remembered at once where the heap is small (24 KiB of it); times 16 elsewhere
ROOMY_KIB = 1024
STARTING = ("agent.service.slab_start", "agent.core.shards.recall", "agent.core.shards.checkpoint")
QUIET_MS = 1000
SCRUB_S = 600  # until the scrub is loaded
DISCARD_BYTES_MAX = 2 << 20
AUDIT = "/audit"
DAMAGED = "What is stored under this name does not match it; it is not served."
STATUS = {"stored": 201, "cached": 201, "declined": 202}
OPERATIONS = {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}


class Place:
    """Where shards are kept: a folder, how many bytes of it, and the sizes of its slots; bytes that may be written in a
    day (0 = any number), and of memory for what is only cached. `hot_bytes`: of memory for what is asked for often
    (hot.py), 0 for no fast lane at all; where memory is short, any number (fresh.py). `bytes_s`: to be sent and
    received, 0 = any number. `layout`: slabs or log."""

    hot_bytes = bytes_s = 0
    layout = "slabs"

    def __init__(
        self, folder: str, quota_bytes: int, slot_bytes: tuple[int, ...], flash_day_bytes: int = 0, cache_bytes: int = 0
    ) -> None:
        self.flash_day_bytes = flash_day_bytes
        self.cache_bytes = cache_bytes
        self.folder = folder
        self.quota_bytes = quota_bytes
        self.slot_bytes = slot_bytes


class Cores:
    """For whom they are kept. `secret(core)`: the link secret, None for a stranger; `time(core)`: its unix seconds,
    None while unknown. `open`: whose shards anybody may GET and HEAD without a token, "" for none."""

    def __init__(self, secret: "Callable[[str], bytes | None]", time: "Callable[[str], int | None]") -> None:
        self.secret = secret
        self.time = time
        self.open = ""


class ShardService:
    """`identity`: (device id, boot number)."""

    def __init__(self, place: Place, identity: tuple[str, int], cores: Cores, journal: "Journal") -> None:
        self.slot_bytes = place.slot_bytes
        self._asked_ms = 0
        self._folder = place.folder
        self._cores = cores
        self._journal = journal
        self._crypto = port.crypto()
        self._codec = port.codec()
        self._device, self._boot = identity
        is_small = 0 < port.heap.kib() < ROOMY_KIB
        self._access = Access(self._device, self._boot, TOKENS_MAX if is_small else 16 * TOKENS_MAX)
        self._store = store_of(place.layout)(place.quota_bytes, self.slot_bytes, cores.time)
        self._store.limit(place.flash_day_bytes, place.cache_bytes)
        self.confessions = Confessions(self._store)
        self._slabs = slabs.Slabs(port.files, place.folder, self._store, port.clock.now_ms, port.net.spawn)
        self._slabs.turn = asyncio.Lock() if is_small else None
        self._audits: Audits | None = None
        self._slabs.pieces = port.heap.PIECE_BYTES
        self._opened_ms = port.clock.now_ms()
        self.bandwidth = Bandwidth(place.bytes_s) if place.bytes_s else None
        self._hot = lanes.make_hot(place.hot_bytes, self._slabs)

    def lane(self, spawn: "Callable[..., Any]") -> "Any":
        """See lanes.py."""
        return lanes.make_lane((self._hot, self._access, self._cores, self._claims), self.bandwidth, spawn)

    async def open(self) -> None:
        """Find what is kept. PortError when the folder cannot be used."""
        await self._slabs.open()
        port.heap.forget(STARTING)
        self.take_reports()

    async def close(self) -> None:
        """Wait for the flushes under way, close the files."""
        await self._slabs.close()
        self.take_reports()

    def limit(self, key: str, value: int) -> bool:
        """The owner changed a ceiling; False when only a new start follows it."""
        if key == "shard_bytes":
            self._store.space.quota_bytes = value
        elif key == "flash_bytes_day":
            self._store.flash.limit(max(1, value))
        elif key == "shard_bps" and self.bandwidth is not None:
            self.bandwidth.bytes_s = value // 8
        return key in ("shard_bytes", "flash_bytes_day", "shard_bps")

    def usage(self) -> "dict[str, Any]":
        """What store.py says of itself; `moved`: bytes sent and received since the start, where that has a ceiling."""
        usage = self._store.usage(port.clock.now_ms())
        usage["moved"] = self.bandwidth.moved if self.bandwidth is not None else 0
        return usage

    async def forget_core(self, core: str) -> int:
        """Free what that core promised itself here; the bytes that are free again. PortError."""
        self._access.drop_core(core)
        if self._hot is not None:
            self._hot.forget(core)
        freed: int = self.usage()["cores"].get(core, 0)
        await self._slabs.wait(self._store.forget(core, port.clock.now_ms()))
        return freed

    async def scrub(self) -> None:
        """Verify what is kept, for as long as the device runs."""
        await asyncio.sleep(SCRUB_S)
        from agent.service import scrub  # here: a start needs its heap for something else

        await scrub.run(self._store, self._slabs, scrub.Mark(port.files, self._folder + "/scrub"), self)

    def is_quiet(self) -> bool:
        """Whether nobody has asked for anything lately."""
        return port.clock.now_ms() - self._asked_ms > QUIET_MS

    async def handle(self, request: "Request") -> Response:
        """One request; every refusal is a Response."""
        self._asked_ms = port.clock.now_ms()
        self._tell_reads()
        try:
            return await self._answer(request)
        except CoreletError as error:
            return shard_answers.refusal(error)
        finally:
            self.take_reports()

    def _tell_reads(self) -> None:
        """What the fast lane answered since the last time counts for the cache, before anything gives way there."""
        for kept in list(self._hot.held.values()) if self._hot is not None and self._store.cache is not None else ():
            if kept.reads:
                self._store.cache.touch(kept.slot, kept.reads)
                kept.reads = 0

    def take_reports(self) -> None:
        """Tell the journal what the store found out, and remember what its cores must hear."""
        reports, self._store.reports = self._store.reports, []
        for report in reports:
            what = report.shard.hex() if report.shard else "the store"
            self._journal.error("shards", f"{what}: {report.reason}")
            self.confessions.note(report)

    async def _audit(self, request: "Request") -> Response:
        """POST /audit."""
        claims = self._claims(request)
        request.trust()
        try:
            from agent.service import audits  # here: it costs heap, and a device that is never asked does without
        except MemoryError:  # half of it may be there
            port.heap.forget(("agent.service.audits",))
            raise LimitError("busy", "There is no room in the heap for an audit now; ask again.", 3)
        question = await request.body(audits.QUESTION_BYTES_MAX)
        self._access.check(claims, "audit", self._crypto.sha256(question), len(question))
        core_now = self._cores.time(claims.core)
        self._access.check_time(claims, core_now, self._up_s())
        self._access.spend(claims, core_now, self._up_s())
        if self._audits is None:
            self._audits = audits.Audits(self._store, self._slabs, self._device, self.take_reports)
        return self._audits.answer(claims, question, self._sign)

    async def _answer(self, request: "Request") -> Response:
        if request.path == AUDIT and request.method == "POST":
            return await self._audit(request)
        shard = shard_answers.shard_of(request.path)
        operation = OPERATIONS.get(request.method, "")
        if shard is None:
            raise PeerError("not_found", "Expected /shards/ and the 64 lower-case hex digits of a shard's SHA-256.")
        if not operation:
            raise PeerError("method", "Expected PUT, GET, HEAD or DELETE.")
        if self._cores.open and operation in ("get", "head") and "authorization" not in request.headers:
            return await self._get(request, self._cores.open, shard)
        claims = self._claims(request)
        request.trust()
        if operation == "put" and claims.operation == "offer":
            operation = "offer"
        self._access.check(claims, operation, shard, None)
        if operation in ("put", "offer"):
            if "content-length" not in request.headers:
                raise PeerError("length", "A PUT needs Content-Length.")
            self._access.check(claims, operation, shard, request.length)
        core_now = self._cores.time(claims.core)
        self._access.check_time(claims, core_now, self._up_s())
        if operation in ("get", "head"):
            return await self._get(request, claims.core, shard)
        try:
            self._access.spend(claims, core_now, self._up_s())
            return await (self._delete(claims) if operation == "delete" else self._put(request, claims))
        except CoreletError:
            await _discard(request)
            raise

    def _claims(self, request: "Request | Head") -> "Claims":
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise TrustError("token", "Expected a header Authorization: Bearer with a token of a full core.")
        return token.decode_token(self._codec, self._crypto, self._cores.secret, text.strip())

    def _up_s(self) -> int:
        seconds: int = (port.clock.now_ms() - self._opened_ms) // 1000
        return seconds

    async def _put(self, request: "Request", claims: "Claims") -> Response:
        now = port.clock.now_ms()
        try:
            if claims.operation == "offer":
                ticket = self._store.offer(claims.core, claims.shard, claims.size, now)
            else:
                ticket = self._store.put(claims.core, claims.shard, claims.size, claims.keep_until, now)
        except CoreletError:
            self._access.forget(claims)
            raise
        try:
            result = await self._slabs.wait(ticket)
            if result == "ready":
                result = await self._slabs.take_body(ticket, request.read)
        finally:
            self._store.abort(ticket)
        await _discard(request)
        return self._receipt(STATUS.get(result, 200), claims, claims.size, result)

    async def _delete(self, claims: "Claims") -> Response:
        try:
            ticket = self._store.delete(claims.core, claims.shard, port.clock.now_ms())
        except CoreletError:
            self._access.forget(claims)
            raise
        result = await self._slabs.wait(ticket)
        if result == "absent":
            self._access.forget(claims)  # nothing changed
            raise _absent()
        return self._receipt(200, claims, claims.size, result)

    async def _get(self, request: "Request", core: str, shard: bytes) -> Response:
        ticket = self._store.get(core, shard, request.method == "HEAD")
        result = await self._slabs.wait(ticket)
        if result != "found":
            raise _absent() if result == "absent" else PeerError("corrupt", DAMAGED)
        is_partial = request.method == "GET" and "if-range" not in request.headers
        wanted = request.headers.get("range", "") if is_partial else ""
        status, headers, first, length = shard_answers.partial(shard, ticket.length, wanted)
        if request.method == "GET" and request.headers.get("want-merkle-path") == "1":
            from agent.service import paths  # here: few ask for it

            headers.append(("Merkle-Path", await paths.path(self._slabs, ticket, first, length)))
        return Response(status, headers, shard_answers.ShardBody(self, self._slabs, ticket, first, length))

    def _receipt(self, status: int, claims: "Claims", size: int, result: str) -> Response:
        return Response(status, [("Content-Type", "application/cose")], self._sign(claims, claims.shard, size, result))

    def _sign(self, claims: "Claims", shard: bytes, size: int, result: str) -> bytes:
        secret = self._cores.secret(claims.core)
        if secret is None:
            raise TrustError("core", "This device has left the core meanwhile.")
        receipt = token.Receipt(self._device, self._boot, claims.token_id, claims.operation, shard, size, result)
        return token.encode_receipt(self._codec, self._crypto, secret, receipt)


def _absent() -> PeerError:
    return PeerError("not_found", "This device does not keep that shard for this core.")


async def _discard(request: "Request") -> None:
    """Read what an authorised peer still sends, so that the answer reaches it. One that waits for 100 sends nothing."""
    if request.expects_continue or request.left > DISCARD_BYTES_MAX:
        return
    while await request.read(slabs.PIECE_BYTES_MIN):
        continue
