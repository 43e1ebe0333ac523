"""Work that waits: shards to be made again, shards to be deleted. Durable in the registry's queue.

One loop. It serves the devices that are up; a device that comes back is served at once, a job that fails waits
2, 4, 8, … BACKOFF_S_MAX seconds. A missing shard is rebuilt from k others of its stripe, so nothing is spooled on disk.

Bounds: JOBS_AT_ONCE in flight, ROUND_JOBS read per device and round.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from agent.errors import CoreletError, LimitError, PeerError
from tools.gateway.download import Download
from tools.gateway.placement import ranked
from tools.gateway.registry import Registry
from tools.gateway.shards import ShardClient, Target
from tools.gateway.stripes import rebuild
from tools.gateway.tables import Job, Object, Placed

JOBS_AT_ONCE = 4
ROUND_JOBS = 64
ROUND_S = 5.0
BACKOFF_S_MAX = 300

LOG = logging.getLogger("corelet.upkeep")


class Upkeep:
    """Run `run()` as a task for as long as the core lives."""

    def __init__(self, registry: Registry, client: ShardClient, targets: Callable[[], Mapping[str, Target]]) -> None:
        self._registry = registry
        self._client = client
        self._targets = targets
        self._is_wanted = asyncio.Event()
        self._round_ended = asyncio.Condition()

    def wake(self) -> None:
        """There is new work."""
        self._is_wanted.set()

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
        now = int(time.time())
        targets = self._targets()
        jobs: list[Job] = []
        for device in ["", *targets]:
            if device and (not targets[device].is_up or self._client.is_suspended(device)):
                continue
            jobs += self._registry.jobs(device, now, ROUND_JOBS)
        gate = asyncio.Semaphore(JOBS_AT_ONCE)

        async def serve(job: Job) -> bool:
            async with gate:
                return await self._serve(job)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(serve(job)) for job in jobs]
        return any(task.result() for task in tasks)

    async def _serve(self, job: Job) -> bool:
        try:
            if job.kind == "delete":
                await self._delete(job)
            else:
                await self._restore(job)
        except CoreletError as error:
            LOG.info("%s of a shard of object %s waits: %s", job.kind, job.object[:8], error.text)
            self._registry.postpone_job(job, int(time.time()) + min(BACKOFF_S_MAX, 2 << min(job.tries, 10)))
            return False
        return True

    async def _delete(self, job: Job) -> None:
        target = self._targets().get(job.device)
        if target is not None:
            await self._client.delete(target, job.name, job.size)
        self._registry.finish_job(job)

    async def _restore(self, job: Job) -> None:
        """Rebuild one shard from k others and store it, on its own device or, if it has none, on a fresh one."""
        found = self._registry.object_by_id(job.object)
        stripe = self._registry.shards(job.object, job.stripe, 1).get(job.stripe, [])
        mine = [place for place in stripe if place.number == job.number]
        if found is None or not mine or mine[0].state == "kept":
            self._registry.finish_job(job)
            return
        target = self._target(job, found, stripe)
        others = [place for place in stripe if place.number != job.number]
        shards = await Download(self._registry, self._client, self._targets, found).fetch(others)
        made = await asyncio.to_thread(rebuild, found.layout, shards, job.number)
        if made.name != job.name:
            raise PeerError("rebuild", "a rebuilt shard has another name than the one that was lost")
        await self._client.put(target, made.name, made.data)
        self._registry.finish_job(job, mine[0]._replace(device=target.device, state="kept"))

    def _target(self, job: Job, found: Object, stripe: list[Placed]) -> Target:
        targets = self._targets()
        if job.device in targets:
            return targets[job.device]
        taken = {place.device for place in stripe}
        room = {
            device: float(target.free_bytes)
            for device, target in targets.items()
            if device not in taken and target.is_up and found.slot in target.slots and target.free_bytes >= found.slot
        }
        order = ranked(bytes.fromhex(found.id) + job.stripe.to_bytes(8, "big"), room)
        if not order:
            raise LimitError(
                "no_device", "it needs one more device with room: every other one has a shard of it already"
            )
        return targets[order[0]]
