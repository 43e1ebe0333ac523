"""Work that waits: shards to be made again, shards to be deleted. Durable in the registry's queue.

One loop. It asks repair.py what else there is, and serves the devices that are up; a device that comes back is served
at once, a job that fails waits 2, 4, 8, … BACKOFF_S_MAX seconds. A missing shard is rebuilt from k others of its
stripe, so nothing is spooled on disk.

A plain "I do not have it" proves nothing: whoever sits at the device's address can say it. A doubted shard ("check")
is asked for again; it is lost, and an absent one deleted, only when DENIALS_MIN answers said so, DENIED_AGAIN_S apart.

The lost shards of one stripe are made again together, out of one reading of k others. A deletion and a restoration of
one shard on one device never overlap.

Bounds: JOBS_AT_ONCE in flight, JOBS_OF_ONE of one device's, STRIPES_AT_ONCE of them rebuild; ROUND_JOBS read per device
and round; after ROUND_S_MAX a round begins no more of them, so a device that is slow on purpose keeps no other waiting;
the care's brake.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

from agent.errors import CoreletError, LimitError, PeerError
from tools.gateway.objects.care import Brake
from tools.gateway.objects.download import Download
from tools.gateway.objects.placement import ranked
from tools.gateway.objects.repair import Repair
from tools.gateway.objects.shards import DENIALS, ShardClient, Target
from tools.gateway.objects.stripes import rebuild
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Job, Object, Placed

JOBS_AT_ONCE = 4
JOBS_OF_ONE = 2
STRIPES_AT_ONCE = 2
ROUND_JOBS = 64
ROUND_S = 5.0
ROUND_S_MAX = 10.0
BACKOFF_S_MAX = 300
DENIALS_MIN = 3
DENIED_AGAIN_S = 300  # so the first and the last answer are ten minutes apart
RETRY_S = 30  # a check or deletion that got no answer

LOG = logging.getLogger("corelet.upkeep")


class Upkeep:
    """Run `run()` as a task for as long as the core lives. `brake`: for what rebuilding reads."""

    def __init__(
        self,
        registry: Registry,
        client: ShardClient,
        targets: Callable[[], Mapping[str, Target]],
        repair: Repair,
        brake: Brake,
    ) -> None:
        self._registry = registry
        self._client = client
        self._targets = targets
        self._repair = repair
        self._brake = brake
        self._unix_time: Callable[[], float] = time.time
        self._rebuilding = asyncio.Semaphore(STRIPES_AT_ONCE)
        self._deleting: set[tuple[str, bytes]] = set()  # (device, shard)
        self._is_wanted = asyncio.Event()
        self._round_ended = asyncio.Condition()

    def wake(self) -> None:
        """There is new work."""
        self._is_wanted.set()

    def released(self) -> None:
        """A device has gone for good: its shards are to be made again at once."""
        self._repair.wake()
        self.wake()

    def welcome(self, device: str) -> None:
        """This device is back: what waited for it is due."""
        self._client.welcome(device)
        self._registry.hasten_jobs(device)
        self._registry.hasten_jobs("")
        self.wake()

    async def run(self) -> None:
        """Until cancelled. A round that breaks is logged and tried again: the queue is durable, nothing is lost."""
        while True:
            try:
                is_busy = await self.round()
            except CoreletError as error:
                LOG.warning("the queue of waiting work stopped for a moment: %s", error.text)
                is_busy = False
            async with self._round_ended:
                self._round_ended.notify_all()
            if is_busy:
                continue
            self._is_wanted.clear()
            try:
                async with asyncio.timeout(ROUND_S):
                    await self._is_wanted.wait()
            except TimeoutError:
                continue

    async def settle(self, object_id: str, wait_s: float) -> None:
        """Return when no job for this object is left, or after `wait_s`."""
        self.wake()
        deadline = time.monotonic() + wait_s
        while self._registry.jobs_of(object_id) and time.monotonic() < deadline:
            try:
                async with asyncio.timeout(min(0.2, wait_s)), self._round_ended:
                    await self._round_ended.wait()
            except TimeoutError:
                continue

    async def round(self) -> bool:
        """Serve what is due on devices that can be reached. Whether anything was done."""
        now = int(self._unix_time())
        targets = self._targets()
        await self._repair.plan()
        groups: dict[tuple[object, ...], list[Job]] = {}
        for device in self._registry.due(now):
            if device and (device not in targets or not targets[device].is_up or self._client.is_suspended(device)):
                continue
            for job in self._registry.jobs(device, now, ROUND_JOBS):
                # A restoration shares what it reads with those of the same stripe.
                key = (job.object, job.stripe) if job.kind == "put" else (job.id,)
                groups.setdefault(key, []).append(job)
        gate, deadline = asyncio.Semaphore(JOBS_AT_ONCE), time.monotonic() + ROUND_S_MAX
        gates: dict[str, asyncio.Semaphore] = {}

        async def serve(jobs: list[Job]) -> bool:
            device = jobs[0].device
            own = gates.setdefault(device, asyncio.Semaphore(JOBS_OF_ONE)) if device else contextlib.nullcontext()
            async with own, gate:
                if time.monotonic() > deadline:
                    return True  # it is still to be done
                read: dict[int, bytes] = {}
                return any([await self._serve(job, read) for job in jobs])

        return any(await asyncio.gather(*[serve(jobs) for jobs in groups.values()]))

    async def _serve(self, job: Job, read: dict[int, bytes]) -> bool:
        """`read`: shards of its stripe that were read already. Each job stands alone: what one device makes fail, even
        by a defect of ours, must not stop the others."""
        try:
            if job.kind == "put":
                await self._restore(job, read)
            else:
                await {"delete": self._delete, "check": self._check}[job.kind](job)
        except CoreletError as error:
            LOG.info("%s of a shard of object %s waits: %s", job.kind, job.object[:8], error.text)
            if job.kind == "put" and job.device and error.code in ("quota", "too_big"):
                self._registry.free_job(job)
                return True
            self._postpone(job, error.code in DENIALS)
            return False
        except Exception as error:
            LOG.error("%s of a shard of object %s failed", job.kind, job.object[:8], exc_info=error)
            self._postpone(job, is_denial=False)
            return False
        return True

    def _postpone(self, job: Job, is_denial: bool) -> None:
        """`tries` counts the failures of a restoration; of a check or deletion only the denials."""
        wait_s = min(BACKOFF_S_MAX, 2 << min(job.tries, 10))
        if job.kind != "put":
            wait_s = DENIED_AGAIN_S if is_denial else RETRY_S
        self._registry.postpone_job(job, int(self._unix_time()) + wait_s, job.kind == "put" or is_denial)

    async def _delete(self, job: Job) -> None:
        target = self._targets().get(job.device)
        if not self._registry.has_job(job):
            return  # the shard is wanted there again
        self._deleting.add((job.device, job.name))
        try:
            if target is not None:
                await self._client.delete(target, job.name, job.size)
        except PeerError as error:
            if not _is_final(job, error):
                raise
        finally:
            self._deleting.discard((job.device, job.name))
        self._registry.finish_job(job)

    async def _check(self, job: Job) -> None:
        """Ask the device of a doubted shard again."""
        place = self._place(job)
        target = self._targets().get(job.device)
        if place is None or target is None or (place.device, place.state) != (job.device, "suspect"):
            self._registry.finish_job(job)
            return
        try:
            await self._client.get(target, job.name, job.size)
        except PeerError as error:
            if not _is_final(job, error):
                raise
            LOG.warning("%s has lost a shard of object %s: it is made again", target.name, job.object[:8])
            self._registry.lose_shard(place)
            return
        self._registry.trust_shard(place)

    def _place(self, job: Job) -> Placed | None:
        stripe = self._registry.shards(job.object, job.stripe, 1).get(job.stripe, [])
        return next((place for place in stripe if place.number == job.number), None)

    async def _restore(self, job: Job, read: dict[int, bytes]) -> None:
        """Store one shard again and get a receipt: where it was if it is there after all, else rebuilt from k others,
        on the device the job names or a fresh one."""
        found = self._registry.object_by_id(job.object)
        place = self._place(job)
        target = None if place is None else self._targets().get(place.device)
        is_moving = target is not None and target.is_emptied
        if found is None or place is None or (place.state == "kept" and not is_moving):
            self._registry.finish_job(job)
            return
        stripe = self._registry.shards(job.object, job.stripe, 1)[job.stripe]
        if is_moving:
            await self._brake.pass_by(job.size)
        data = await self._still_there(place, target)
        if target is None or data is None or is_moving:
            target = self._target(job, found, stripe)
        if data is None:
            data = await self._rebuilt(job, found, [each for each in stripe if each.number != job.number], read)
        kept = place._replace(device=target.device, state="kept")
        if (target.device, job.name) in self._deleting:
            raise LimitError("busy", f"{target.name} is just deleting an older copy")
        self._registry.withdraw_delete(kept)
        await self._client.put(target, job.name, data)
        self._registry.finish_job(job, kept)

    async def _still_there(self, place: Placed, target: Target | None) -> bytes | None:
        if target is None or not target.is_up:
            return None
        try:
            return await self._client.get(target, place.name, place.size)
        except CoreletError as error:
            LOG.debug("%s", error.text)
            return None

    async def _rebuilt(self, job: Job, found: Object, others: list[Placed], read: dict[int, bytes]) -> bytes:
        async with self._rebuilding:
            if not read:
                await self._brake.pass_by(found.k * job.size)
                read.update(await Download(self._registry, self._client, self._targets, found).fetch(others))
            made = await asyncio.to_thread(rebuild, found.layout, read, job.number)
        if made.name != job.name:
            raise PeerError("rebuild", "a rebuilt shard has another name than the one that was lost")
        return made.data

    def _target(self, job: Job, found: Object, stripe: list[Placed]) -> Target:
        """LimitError("no_device")."""
        targets = self._targets()
        if job.device in targets:
            return targets[job.device]
        own = next((each.device for each in stripe if each.number == job.number), "")
        taken = {place.device for place in stripe}
        room = {
            device: float(target.free_bytes)
            for device, target in targets.items()
            if device not in taken and target.is_host and target.takes(found.slot)
        }
        order = ranked(bytes.fromhex(found.id) + job.stripe.to_bytes(8, "big"), room)
        if not order and own in targets and targets[own].is_host:
            return targets[own]
        if not order:
            raise LimitError(
                "no_device", "it needs one more device with room: every other one has a shard of it already"
            )
        return targets[order[0]]


def _is_final(job: Job, error: PeerError) -> bool:
    """The device has denied it often enough, over long enough, to be believed."""
    return error.code in DENIALS and job.tries + 1 >= DENIALS_MIN
