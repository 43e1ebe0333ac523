"""Objects: put, get, list, remove, re-code. What a user means; upload, download and upkeep do the moving.

An object is listed only when all of it is safe. A put that ends early, by an error, by a reader that went away or by a
stop of the core, is undone: its shards are queued for deletion, at the next start if need be.
"""

import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import NamedTuple

from agent.errors import CoreletError, UsageError
from tools.gateway.coding import profile_for
from tools.gateway.download import Download
from tools.gateway.registry import Registry
from tools.gateway.shards import ShardClient, Target
from tools.gateway.stripes import KEY_BYTES, OBJECT_ID_BYTES, Layout
from tools.gateway.tables import Object
from tools.gateway.upkeep import Upkeep
from tools.gateway.upload import Blocks, Upload, choose

NAME_CHARS_MAX = 200

LOG = logging.getLogger("corelet.objects")


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


class Objects:
    """`targets()` describes every paired device as of now."""

    def __init__(self, registry: Registry, client: ShardClient, targets: Callable[[], Mapping[str, Target]]) -> None:
        self._registry = registry
        self._client = client
        self._targets = targets
        self.upkeep = Upkeep(registry, client, targets)
        self._names: set[str] = set()  # of puts in progress

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
        profile_for(sum(target.is_up for target in self._targets().values()))

    def _check_name(self, name: str) -> None:
        if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
            text = f"an object's name has 1 to {NAME_CHARS_MAX} printable characters: choose one with --name"
            raise UsageError("name", text)
        if self._registry.has_name(name) or name in self._names:
            raise UsageError("name_taken", f"an object called {name!r} exists: remove it first or choose --name")

    async def _store(
        self, source: AsyncIterator[bytes], name: str, progress: Callable[[int], None], replaces: str = ""
    ) -> Stored:
        blocks = Blocks(source)
        choice = await choose(self._targets(), blocks)
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
            int(time.time()),
        )
        self._registry.start_object(made)
        try:
            size, digest = await Upload(self._registry, self._client, layout, choice).run(blocks, progress)
            self._registry.finish_object(made.id, size, digest, replaces)
        except BaseException:
            self._registry.drop_object(made.id)
            raise
        finally:
            self.upkeep.wake()
        return self._report(made._replace(size=size, sha256=digest, state="stored"))

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

    def get(self, found: Object) -> AsyncGenerator[bytes, None]:
        """Its plaintext. Ends normally only when all of it was returned and its SHA-256 is right."""
        return Download(self._registry, self._client, self._targets, found).chunks()

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

    async def recode(self, reference: str) -> Stored:
        """Store it again with the profile of today's fleet, under the same name; then the old shards go."""
        found = self._registry.object(reference)
        async with aclosing(self.get(found)) as source:
            return await self._store(source, found.name, lambda _: None, replaces=found.id)

    async def recode_better(self, devices: int) -> int:
        """Re-code whatever survives fewer losses than a fleet of so many devices allows. Returns how many were."""
        wanted = profile_for(devices)
        done = 0
        for found in self._registry.objects():
            if found.n - found.k < wanted.n - wanted.k and found.n < wanted.n:
                try:
                    await self.recode(found.id)
                    done += 1
                except CoreletError as error:  # the next round tries again; the others must not wait for this one
                    LOG.warning("%s could not be coded anew: %s", found.id[:8], error.text)
        return done
