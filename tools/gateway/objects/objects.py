"""Objects: put, get, list, remove. What a user means; upload, download, upkeep and recoding do the moving.

An object is listed only when all of it is safe. A put that ends early, by an error, by a reader that went away or by a
stop of the core, is undone: its shards are queued for deletion, at the next start if need be.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import NamedTuple

from agent.errors import LimitError, TrustError, UsageError
from tools.gateway.objects.absences import Absences
from tools.gateway.objects.care import Brake, Care
from tools.gateway.objects.coding import profile_for
from tools.gateway.objects.download import Download
from tools.gateway.objects.health import Doctor
from tools.gateway.objects.recoding import Recoding
from tools.gateway.objects.repair import Repair
from tools.gateway.objects.shards import ShardClient, Target
from tools.gateway.objects.stripes import KEY_BYTES, OBJECT_ID_BYTES, Layout
from tools.gateway.objects.upkeep import Upkeep
from tools.gateway.objects.upload import Blocks, Upload, choose
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Object

NAME_CHARS_MAX = 200
RANGE_CHARS_MAX = 41
READERS_S_MAX = 600.0  # what an object coded anew waits for those who still read the old one


class Listed(NamedTuple):
    """One line of `ls`: `shards` have a receipt; `survives` losses from now on, below 0 = not readable now."""

    object: Object
    shards: int
    survives: int


class Stored(NamedTuple):
    """What a put did. `warning` is "" or one sentence."""

    object: Object
    devices: list[str]
    queued: int
    warning: str


def span_of(text: str, size: int) -> range:
    """ "FIRST-LAST", "FIRST-" or "-COUNT" (the last ones) of so many bytes, both ends included, as in HTTP (RFC 9110
    section 14.1.2). UsageError("range")."""
    first, dash, last = text.partition("-")
    is_form = (
        dash and (first or last) and all(part == "" or part.isascii() and part.isdigit() for part in (first, last))
    )
    if is_form and len(text) <= RANGE_CHARS_MAX:
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start < end and (not first or not last or int(first) <= int(last)):
            return range(start, end)
    raise UsageError("range", f"{text[:50]!r} is no part of {size} bytes: FIRST-LAST from 0, FIRST- or -COUNT")


class Objects:
    """`targets()` describes every paired device as of now."""

    def __init__(
        self,
        registry: Registry,
        client: ShardClient,
        targets: Callable[[], Mapping[str, Target]],
        care: Care | None = None,
    ) -> None:
        self._registry = registry
        self._client = client
        self._targets = targets
        self._care = care or Care()
        self.absences = Absences(registry)
        brake = Brake(self._care.background_bps)
        self.repair = Repair(registry, targets, self.absences, self._care)
        self.upkeep = Upkeep(registry, client, targets, self.repair, brake)
        work = (self.get, self._replace)
        self.recoding = Recoding(registry, targets, self.absences, (self._care, brake), work)
        self.doctor = Doctor(registry, targets, self.absences, self.recoding)
        self._names: set[str] = set()  # of puts in progress
        self._readers: dict[str, int] = {}  # object -> gets in progress

    def undo_unfinished(self) -> int:
        """At start: queue the deletion of what interrupted puts left behind. Returns how many shards."""
        return sum(self._registry.drop_object(object_id) for object_id in self._registry.unfinished())

    async def put(self, source: AsyncIterator[bytes], name: str, progress: Callable[[int], None]) -> Stored:
        """Store a stream under a new name. UsageError: "name", "name_taken", "no_devices"; LimitError."""
        self._check_name(name)
        self._names.add(name)
        try:
            return await self._store(source, name, progress)
        finally:
            self._names.discard(name)

    def may_put(self, name: str) -> None:
        """What `put` would refuse before it looks at a byte."""
        self._check_name(name)
        profile_for(sum(target.is_host for target in self._targets().values()))

    def _check_name(self, name: str) -> None:
        if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
            text = f"an object's name has 1 to {NAME_CHARS_MAX} printable characters: choose one with --name"
            raise UsageError("name", text)
        if self._registry.has_name(name) or name in self._names:
            raise UsageError("name_taken", f"an object called {name!r} exists: remove it first or choose --name")

    async def _store(self, source: AsyncIterator[bytes], name: str, progress: Callable[[int], None]) -> Stored:
        made = await self._upload(source, name, self._targets(), progress)
        try:
            self._registry.finish_object(made.id, made.size, made.sha256)
        except BaseException:
            self._registry.drop_object(made.id)
            raise
        return self._report(made._replace(state="stored"))

    async def _upload(
        self,
        source: AsyncIterator[bytes],
        name: str,
        targets: Mapping[str, Target],
        progress: Callable[[int], None],
        created: int = 0,
    ) -> Object:
        """All of it is on devices, and not listed yet."""
        blocks = Blocks(source)
        choice = await choose(targets, blocks)
        profile = choice.profile
        layout = Layout(secrets.token_bytes(OBJECT_ID_BYTES), secrets.token_bytes(KEY_BYTES), profile, choice.slot)
        made = Object(
            layout.object_id.hex(),
            name,
            0,
            b"",
            layout.key,
            profile.k,
            profile.n,
            layout.slot,
            "writing",
            created or int(time.time()),
        )
        self._registry.start_object(made)
        try:
            size, digest = await Upload(self._registry, self._client, layout, choice).run(blocks, progress)
        except BaseException:
            self._registry.drop_object(made.id)
            raise
        finally:
            self.upkeep.wake()
        return made._replace(size=size, sha256=digest)

    async def _replace(self, source: AsyncIterator[bytes], old: Object, targets: Mapping[str, Target]) -> None:
        """Store it again under the same name, then in one commit put it in the place of `old`."""
        made = await self._upload(source, old.name, targets, lambda _: None, old.created)
        try:
            if made.sha256 != old.sha256:
                raise TrustError("hash", "it came back with another SHA-256 than it was stored with")
            await self.upkeep.settle(made.id, self._care.patience_s)
            lacking = self._registry.lacking(made.id)
            if lacking:
                raise LimitError("receipts", f"{lacking} shards of it have no receipt yet")
            deadline = time.monotonic() + READERS_S_MAX
            while self._readers.get(old.id) and time.monotonic() < deadline:  # noqa: ASYNC110 (seldom, and not urgent)
                await asyncio.sleep(0.1)
            self._registry.finish_object(made.id, made.size, made.sha256, old.id)
        except BaseException:
            self._registry.drop_object(made.id)
            raise
        finally:
            self.upkeep.wake()

    def _report(self, stored: Object) -> Stored:
        places = [place for stripe in self._registry.shards(stored.id).values() for place in stripe]
        names = {device: target.name for device, target in self._targets().items()}
        kept = sorted({names.get(place.device, place.device) for place in places if place.state == "kept"})
        queued = sum(place.state != "kept" for place in places)
        warning = ""
        if stored.k == stored.n:
            warning = "no second copy: only one device is up, so losing it loses this file (pair a second device)"
        return Stored(stored, kept, queued, warning)

    def find(self, reference: str) -> Object:
        """By name, id or beginning of an id."""
        return self._registry.object(reference)

    async def get(self, found: Object, span: range | None = None) -> AsyncGenerator[bytes, None]:
        """Its plaintext, or `span` of it. All of it ends normally only when its SHA-256 is right; a part is
        authenticated stripe by stripe."""
        download = Download(self._registry, self._client, self._targets, found)
        self._readers[found.id] = self._readers.get(found.id, 0) + 1
        try:
            async with aclosing(download.chunks() if span is None else download.part(span)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._readers[found.id] -= 1
            if not self._readers[found.id]:
                del self._readers[found.id]

    def listed(self) -> list[Listed]:
        """All objects, with what they survive now."""
        survival = self._registry.survival([device for device, target in self._targets().items() if target.is_up])
        return [Listed(found, *survival.get(found.id, (0, -found.k))) for found in self._registry.objects()]

    async def remove(self, reference: str, wait_s: float) -> tuple[Object, int, int]:
        """Unlist it at once and delete its shards; (object, shards, how many still wait for devices that are away)."""
        found = self._registry.object(reference)
        shards = self._registry.drop_object(found.id)
        await self.upkeep.settle(found.id, wait_s)
        return found, shards, self._registry.jobs_of(found.id)
