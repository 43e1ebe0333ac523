"""One get: stripes come in from any k of n devices, plaintext streams out in order, in bounded memory.

For each stripe the k cheapest shards are asked for (devices that are up first, whole data shards before parity, then by
expected wait, scores.py); an error brings in the next one at once, silence after what is late today. Each shard is
checked against its SHA-256 by the client, each stripe by its authentication tag (which binds object, place and end),
the whole by its SHA-256: a wrong byte is never returned. A part is read by its stripes alone and authenticated by them.

Only right bytes prove who answered. A denial or wrong bytes put the device last for this read and make the shard
doubted (upkeep asks again); doubted and lost shards are still asked for, last, as long as their device is known.

Bounds: WINDOW_BYTES of shards and STRIPES_MAX stripes ahead of the reader (one stripe at least).
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from agent.errors import CoreletError, PortError, TrustError
from tools.gateway.objects.coding import Code
from tools.gateway.objects.shards import DENIALS, ShardClient, Target
from tools.gateway.objects.stripes import Place, unseal
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Object, Placed

WINDOW_BYTES = 8 << 20
STRIPES_MAX = 16
ROWS_AT_ONCE = 64  # stripes whose places are read from the registry together
DOUBT = {"kept": 0, "suspect": 1}
PARITY_COST = 2.0  # a parity shard must promise to be this much faster to be preferred


class Download:
    """Reads one object; may be used for single stripes too (repairs)."""

    def __init__(
        self, registry: Registry, client: ShardClient, targets: Callable[[], Mapping[str, Target]], found: Object
    ) -> None:
        self._registry = registry
        self._client = client
        self._targets = targets
        self._object = found
        self._layout = found.layout
        self._code = Code(self._layout.profile)
        self._rows: dict[int, list[Placed]] = {}
        self._denying: set[str] = set()  # devices that did not have what they promised, in this read

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The plaintext, a stripe at a time. PortError("too_few_shards"), TrustError("stripe", "hash")."""
        digest = hashlib.sha256()
        async with aclosing(self._stripes(0, self._layout.stripes(self._object.size))) as pieces:
            async for plain in pieces:
                digest.update(plain)
                yield plain
        if digest.digest() != self._object.sha256:
            raise TrustError("hash", f"{self._object.name} came back with another SHA-256 than it was stored with")

    async def part(self, span: range) -> AsyncGenerator[bytes, None]:
        """Its bytes of these places, which the caller has checked."""
        if not span:
            return
        each = self._layout.stripe_bytes
        number, end = span.start // each, (span.stop - 1) // each + 1
        async with aclosing(self._stripes(number, end)) as pieces:
            async for plain in pieces:
                yield plain[max(0, span.start - number * each) : span.stop - number * each]
                number += 1

    async def _stripes(self, first: int, end: int) -> AsyncGenerator[bytes, None]:
        """Plaintext of stripes first..end-1, in order, read ahead."""
        ahead = min(STRIPES_MAX, max(1, WINDOW_BYTES // (self._layout.profile.k * self._layout.slot)))
        waiting: deque[asyncio.Task[bytes]] = deque()
        try:
            while first < end or waiting:
                while first < end and len(waiting) < ahead:
                    waiting.append(asyncio.create_task(self._plain(first)))
                    first += 1
                plain = await waiting[0]
                waiting.popleft()
                yield plain
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _plain(self, number: int) -> bytes:
        shards = await self.fetch(self._placed(number))
        length = self._layout.length(self._object.size, number)
        is_last = number == self._layout.stripes(self._object.size) - 1
        return await asyncio.to_thread(unseal, self._layout, self._code, Place(number, length, is_last), shards)

    def _placed(self, number: int) -> list[Placed]:
        if number not in self._rows:
            self._rows = self._registry.shards(self._object.id, number, ROWS_AT_ONCE)
        return self._rows.get(number, [])

    async def fetch(self, placed: list[Placed]) -> dict[int, bytes]:
        """k verified shards of one stripe, by index. PortError("too_few_shards")."""
        k = self._layout.profile.k
        candidates = self._ordered(placed)
        shards: dict[int, bytes] = {}
        problems: list[str] = []
        tasks: dict[asyncio.Task[bytes], Placed] = {}
        try:
            while len(shards) < k:
                while candidates and len(tasks) + len(shards) < k:
                    self._ask(candidates.pop(0), tasks)
                if not tasks:
                    raise self._shortage(placed, len(shards), problems)
                late_s = self._client.scores.hedge_s()
                done, _ = await asyncio.wait(tasks, timeout=late_s, return_when=asyncio.FIRST_COMPLETED)
                if not done and candidates and self._client.scores.may_hedge():
                    self._ask(candidates.pop(0), tasks)
                for task in done:
                    self._take(task, tasks.pop(task), shards, problems)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return shards

    def _ask(self, place: Placed, tasks: dict[asyncio.Task[bytes], Placed]) -> None:
        target = self._targets()[place.device]
        tasks[asyncio.create_task(self._client.get(target, place.name, place.size))] = place

    def _take(self, task: asyncio.Task[bytes], place: Placed, shards: dict[int, bytes], problems: list[str]) -> None:
        try:
            shards[place.number] = task.result()
        except CoreletError as error:
            problems.append(error.text)
            if error.code in DENIALS:
                self._denying.add(place.device)
                if place.state == "kept":
                    self._registry.doubt_shard(place)
        else:
            if place.state == "suspect":
                self._registry.trust_shard(place)

    def _ordered(self, placed: list[Placed]) -> list[Placed]:
        """Shards that somebody known has or had, cheapest first. What is doubtful or away is asked last, not never."""
        targets = self._targets()

        def cost(place: Placed) -> tuple[int, bool, bool, float]:
            seconds = self._client.cost(place.device)
            is_parity = place.number >= self._layout.profile.k
            doubt = DOUBT.get(place.state, len(DOUBT))
            is_away = not targets[place.device].is_up
            return doubt, place.device in self._denying, is_away, seconds * (PARITY_COST if is_parity else 1.0)

        return sorted((place for place in placed if place.device in targets), key=cost)

    def _shortage(self, placed: list[Placed], found: int, problems: list[str]) -> CoreletError:
        k = self._layout.profile.k
        targets = self._targets()
        away = sorted(
            {
                targets[each.device].name
                for each in placed
                if each.device in targets and each.device and not targets[each.device].is_up
            }
        )
        why = "; ".join(dict.fromkeys(problems)) or "no device that has one is known"
        hint = f"bring back {' or '.join(away)}" if away else "see corelet-core devices"
        return PortError("too_few_shards", f"{found} of the {k} shards needed could be read ({why}): {hint}")
