"""One put: bytes stream in, stripes go out to devices, in bounded memory.

Each stripe is sealed, written down, then sent to n devices at once. It has succeeded at `profile.receipts_min` valid
receipts; slower devices get STRAGGLER_S more, and what is missing then is queued. A device that refuses is replaced by
the next in the stripe's order when there is one to spare. Any stripe that fails ends the put; the caller undoes it.

Bounds: WINDOW_BYTES of sealed shards and STRIPES_MAX stripes in flight (one stripe at least), one being collected.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

from agent.errors import CoreletError, LimitError
from tools.gateway.audits.challenges import prove
from tools.gateway.objects.coding import Code, Profile, profile_for
from tools.gateway.objects.placement import happiness, place, ranked
from tools.gateway.objects.shards import ShardClient, Target
from tools.gateway.objects.stripes import SLOTS, Layout, Shard, seal, stripe_bytes
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Placed

WINDOW_BYTES = 8 << 20
STRIPES_MAX = 16
STRAGGLER_S = 5.0


class Blocks:
    """A byte stream of unknown length, taken in pieces of a chosen size, knowing which piece is the last."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._held: list[bytes] = []  # joined only when a block is taken: each byte is copied once
        self._held_bytes = 0
        self._is_ended = False

    async def fill(self, count: int) -> int:
        """Hold `count` bytes, or all that are left. Returns how many are held."""
        while self._held_bytes < count and not self._is_ended:
            piece = await anext(self._source, None)
            if piece is None:
                self._is_ended = True
            elif piece:
                self._held.append(piece)
                self._held_bytes += len(piece)
        return self._held_bytes

    async def take(self, count: int) -> tuple[bytes, bool]:
        """(the next `count` bytes or what is left, whether nothing follows)."""
        await self.fill(count + 1)
        joined = b"".join(self._held)
        block, rest = joined[:count], joined[count:]
        self._held = [rest] if rest else []
        self._held_bytes = len(rest)
        return block, not rest


class Choice(NamedTuple):
    """How an object will be cut and which devices may hold it."""

    profile: Profile
    slot: int
    targets: Mapping[str, Target]


async def choose(targets: Mapping[str, Target], blocks: Blocks) -> Choice:
    """Profile by the devices that are up and stay; the largest slot class that enough of them offer and that the object
    fills. UsageError("no_devices"), LimitError("no_room")."""
    up = {device: target for device, target in targets.items() if target.is_host}
    profile = profile_for(len(up))
    for slot in reversed(SLOTS):
        fit = {device: each for device, each in up.items() if each.takes(slot)}
        is_smallest = slot == SLOTS[0]
        needed = profile.receipts_min if is_smallest else profile.n
        if len(fit) < needed:
            continue
        if is_smallest or await blocks.fill(stripe_bytes(profile, slot)) >= stripe_bytes(profile, slot):
            return Choice(profile, slot, fit)
    with_room = sum(each.free_bytes >= SLOTS[0] for each in up.values())
    text = (
        f"{len(up)} devices are up but only {with_room} have room, and {profile.receipts_min} are needed: "
        "raise an owner's storage limit, remove objects (corelet-core rm) or pair more devices"
    )
    raise LimitError("no_room", text)


class Upload:
    """Runs once. `room` shrinks as shards go out, so that a long put follows what it has filled itself."""

    def __init__(self, registry: Registry, client: ShardClient, layout: Layout, choice: Choice) -> None:
        self._registry = registry
        self._client = client
        self._layout = layout
        self._targets = choice.targets
        self._room = {device: float(target.free_bytes) for device, target in choice.targets.items()}
        self._code = Code(layout.profile)
        self._object = layout.object_id.hex()

    async def run(self, blocks: Blocks, progress: Callable[[int], None]) -> tuple[int, bytes]:
        """(bytes, SHA-256 of the plaintext). `progress(bytes safe so far)`. Raises the first stripe's CoreletError."""
        sealed = self._layout.profile.n * self._layout.slot
        window = asyncio.Semaphore(min(STRIPES_MAX, max(1, WINDOW_BYTES // sealed)))
        digest, size, number, is_last = hashlib.sha256(), 0, 0, False
        done = 0

        async def stripe(number: int, block: bytes, is_last: bool) -> None:
            nonlocal done
            try:
                length, shards = (
                    len(block),
                    await asyncio.to_thread(seal, self._layout, self._code, number, block, is_last),
                )
                del block
                await self._stripe(number, shards)
                done += length
                progress(done)
            finally:
                window.release()

        try:
            async with asyncio.TaskGroup() as group:
                while not is_last:
                    await window.acquire()
                    block, is_last = await blocks.take(self._layout.stripe_bytes)
                    digest.update(block)
                    size += len(block)
                    group.create_task(stripe(number, block, is_last))
                    del block
                    number += 1
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        return size, digest.digest()

    async def _stripe(self, number: int, shards: list[Shard]) -> None:
        key = self._layout.object_id + number.to_bytes(8, "big")
        # Suspended devices stay in the order: their shard is queued, not moved for a short absence.
        weights = {device: room for device, room in self._room.items() if room >= self._layout.slot}
        profile = self._layout.profile
        chosen = place(key, weights, profile.n)
        if happiness([chosen] * profile.n) < profile.receipts_min:
            text = (
                f"only {len(chosen)} devices still have room and {profile.receipts_min} are needed: pair more devices"
            )
            raise LimitError("no_room", text)
        spares = ranked(key, weights)[profile.n :]
        wanted = [
            Placed(self._object, number, index, shard.name, len(shard.data), device, "sent")
            for index, (shard, device) in enumerate(zip(shards, chosen + [""] * (profile.n - len(chosen)), strict=True))
        ]
        self._registry.add_shards(wanted)
        self._registry.add_proofs(wanted, await asyncio.to_thread(prove, [shard.data for shard in shards]))
        for device in chosen:
            self._room[device] -= self._layout.slot
        kept, errors = await self._send(wanted, shards, spares)
        missing = [shard for shard in wanted if shard.number not in {each.number for each in kept}]
        if len(kept) < profile.receipts_min:
            raise _shortage(len(kept), profile, errors)
        self._registry.settle_stripe(kept, missing)

    async def _send(
        self, wanted: list[Placed], shards: list[Shard], spares: list[str]
    ) -> tuple[list[Placed], list[CoreletError]]:
        """(shards with a receipt, on the device that gave it; what went wrong)."""
        tasks = {
            asyncio.ensure_future(self._keep(place, shards[place.number], spares)) for place in wanted if place.device
        }
        kept: list[Placed] = []
        errors: list[CoreletError] = []
        try:
            while tasks:
                is_enough = len(kept) >= self._layout.profile.receipts_min
                timeout = STRAGGLER_S if is_enough else None
                done, tasks = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for task in done:
                    result = task.result()
                    (errors if isinstance(result, CoreletError) else kept).append(result)  # type: ignore[arg-type]
        finally:
            for task in tasks:
                task.cancel()
        return kept, errors

    async def _keep(self, wanted: Placed, shard: Shard, spares: list[str]) -> Placed | CoreletError:
        """Store one shard on its device or on a spare one."""
        device = wanted.device
        while True:
            try:
                await self._client.put(self._targets[device], shard.name, shard.data)
                return wanted._replace(device=device, state="kept")
            except CoreletError as error:
                if error.code in ("quota", "too_big"):
                    self._room[device] = 0
                if not spares:
                    return error
                # It may have stored the shard without our hearing of it.
                self._registry.enqueue_delete([wanted._replace(device=device)])
                device = spares.pop(0)
                self._room[device] -= self._layout.slot


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to tell: an error of ours before anything it caused."""
    leaves: list[BaseException] = []
    groups: list[BaseExceptionGroup[BaseException]] = [errors]
    while groups:
        for error in groups.pop().exceptions:
            if isinstance(error, BaseExceptionGroup):
                groups.append(error)
            else:
                leaves.append(error)
    return next((error for error in leaves if isinstance(error, CoreletError)), leaves[0])


def _shortage(kept: int, profile: Profile, errors: list[CoreletError]) -> CoreletError:
    reasons = "; ".join(sorted({error.text for error in errors})) or "devices went away"
    text = f"only {kept} of the {profile.receipts_min} devices needed kept their shard: {reasons}"
    return LimitError("too_few_receipts", text)
