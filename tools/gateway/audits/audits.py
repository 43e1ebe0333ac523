"""Audits of the fleet: whether each device still has what it promised, and what follows when it has not.

A_DAY questions a day and device, spread evenly, and once an hour its inventory. Outcomes (research note, section 5):

ok        the receipt and the proof are right
lost      signed by the device: it has it no longer. The shard is made again, its reputation falls, the inventory is due
corrupt   signed: what it has is rotten, or its proof is false. The same
timeout   its link is up and nothing came that proves anything: the same question is asked again, sooner, and after some
          of them it gets no new shards; whoever sits at its address can bring this about, so it costs no more
offline   nothing follows
confessed its own scrub found it: the shard is made again, and its reputation stays as it was

A device whose reputation is gone (reputation.py) gets no new shards, and those it has move to others (repair.py). It is
trusted again when it is paired anew.
Bounds: AT_ONCE devices at a time, one question at a time for each; those of challenges.py and inventory.py.
"""

import asyncio
import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.errors import CoreletError, UsageError
from agent.wire.audit import ENTRIES_MAX
from tools.gateway.audits import challenges, inventory
from tools.gateway.audits.reputation import FAILURES, Reputation
from tools.gateway.objects.shards import DENIALS, ShardClient, Target
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Placed

HEAR_S = 60.0  # between confessions: they cost nothing, and must not fill the queue that all repairs wait in
A_DAY = 48
DAY_S = 86400.0
INVENTORY_S = 3600.0
AGAIN_S = 60.0  # after the first time-out; then twice as long each time, up to the usual pause
WHOLE_ONE_IN = 8
AT_ONCE = 8
ROUND_SHARDS = 32  # asked for by hand; with an inventory it is less than a device answers without a pause
LOSE_AT_ONCE = 100  # about 25 ms
SWEEP_S = DAY_S

LOG = logging.getLogger("corelet.audits")


class Round(NamedTuple):
    """What was asked of one device now. `problem`: a sentence, "" when it answered; `missing`: shards that are not in
    its inventory (-1: it was not asked), `strays`: that nobody knows of."""

    device: str
    name: str
    outcomes: Mapping[str, int]
    problem: str = ""
    missing: int = -1
    strays: int = 0


class _Pace:
    """When one device is due, in monotonic seconds; `confessed`: what it said last of its own rot."""

    def __init__(self, now: float) -> None:
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None
        # Not all of them in the same second.
        self.audit_at = now + secrets.randbelow(int(DAY_S / A_DAY))
        self.inventory_at = now + secrets.randbelow(int(INVENTORY_S))
        self.confessed: Sequence[str] = ()
        self.hear_at = now


class Audits:
    """`confessions(device)`: names in hex, or their beginnings. `on_loss()`: there is something to make again."""

    def __init__(
        self,
        registry: Registry,
        client: ShardClient,
        targets: Callable[[], Mapping[str, Target]],
        confessions: Callable[[str], Sequence[str]],
        on_loss: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._client = client
        self._targets = targets
        self._confessions = confessions
        self._on_loss = on_loss
        self._paces: dict[str, _Pace] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._swept_at = time.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self.tick()
                await asyncio.sleep(1)
        finally:
            for task in self._tasks():
                task.cancel()
            await self.settle()

    def tick(self) -> None:
        """Ask whom it is time to ask; hear what devices confess. It waits for nobody: a device that is slow keeps no
        other one waiting."""
        now, targets = time.monotonic(), self._targets()
        self._paces = {device: self._pace(device) for device in targets}
        for device, target in targets.items():
            pace = self._paces[device]
            self._hear(device, pace)
            is_free = pace.task is None or pace.task.done()
            if target.is_up and is_free and now >= min(pace.audit_at, pace.inventory_at):
                pace.task = asyncio.create_task(self._attend(target, pace))
        if now - self._swept_at > SWEEP_S:
            self._swept_at = now
            self._registry.sweep_proofs()

    async def settle(self) -> None:
        """When all that was begun has ended."""
        await asyncio.gather(*self._tasks(), return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [pace.task for pace in self._paces.values() if pace.task is not None]

    async def round(self, reference: str = "") -> list[Round]:
        """Ask now: one device, or all; for ROUND_SHARDS shards and the inventory. UsageError("device")."""
        targets = self._targets()
        wanted = [self._registry.device(reference).id] if reference else list(targets)
        if reference and wanted[0] not in targets:
            raise UsageError("device", f"{reference} has left this core: it cannot be asked for anything")
        return list(await asyncio.gather(*[self._whole_round(targets[device]) for device in wanted]))

    @staticmethod
    def listed(found: Reputation) -> dict[str, Any]:
        """For `corelet-core devices`."""
        return {
            "score": round(found.score, 4), "trusted": found.is_trusted, "takes_more": found.takes_more,
            "audits": found.audits, "failures": found.failures, "confessed": found.confessed,
            "outcome": found.outcome, "at": found.at, "tries": found.tries,
        }  # fmt: skip

    def _pace(self, device: str) -> _Pace:
        return self._paces.setdefault(device, _Pace(time.monotonic()))

    async def _attend(self, target: Target, pace: _Pace) -> None:
        """What is due for one device. What it makes fail, even by a defect of ours, concerns nobody else."""
        try:
            async with self._gate, pace.lock:
                if time.monotonic() >= pace.audit_at:
                    await self._audit(target, pace, 1)
                if time.monotonic() >= pace.inventory_at:
                    await self._inventory(target, pace)
        except Exception:
            LOG.exception("an audit of %s failed", target.name)
            pace.audit_at = pace.inventory_at = time.monotonic() + INVENTORY_S

    async def _whole_round(self, target: Target) -> Round:
        pace = self._pace(target.device)
        if not target.is_up:
            return Round(target.device, target.name, {"offline": 1}, f"{target.name} is not connected")
        async with self._gate, pace.lock:
            first = await self._audit(target, pace, ROUND_SHARDS)
            if first.problem:
                return first
            second = await self._inventory(target, pace)
        outcomes = Counter(first.outcomes) + Counter(second.outcomes)
        return second._replace(outcomes=outcomes)

    async def _audit(self, target: Target, pace: _Pace, count: int) -> Round:
        """One question. A device that owes an answer is asked the same again, and nothing else before."""
        owed = self._registry.reputation(target.device).contained
        question = challenges.ask_again(self._registry, target.device, json.loads(owed)) if owed else None
        if question is None:
            shards = await asyncio.to_thread(self._registry.sample, target.device, count)
            is_whole = count == 1 and secrets.randbelow(WHOLE_ONE_IN) == 0
            question = challenges.ask_fresh(self._registry, shards, is_whole)
        pace.audit_at = time.monotonic() + DAY_S / A_DAY
        if question is None:
            return Round(target.device, target.name, {})
        return await self._put(target, pace, question)

    async def _put(self, target: Target, pace: _Pace, question: challenges.Question) -> Round:
        try:
            judged = await challenges.put(self._client, self._registry, target, question)
        except CoreletError as error:
            return self._unanswered(target, pace, question, error)
        now = int(time.time())
        # What was removed or moved while the question was on its way says nothing about the device.
        judged = [(shard, outcome) for shard, outcome in judged if self._registry.is_kept(shard)]
        outcomes = [outcome for _, outcome in judged]
        self._registry.note_reputation(self._registry.reputation(target.device).after(outcomes, now))
        failed = [(shard, outcome) for shard, outcome in judged if outcome in FAILURES]
        if failed:
            words = Counter(outcome for _, outcome in failed)
            said = " and ".join(f"{count} {word}" for word, count in sorted(words.items()))
            LOG.warning("an audit of %s: %s of %d shards; they are made again", target.name, said, len(judged))
            self._lose([shard for shard, _ in failed])
            pace.inventory_at = 0.0
        return Round(target.device, target.name, Counter(outcomes))

    def _unanswered(self, target: Target, pace: _Pace, question: challenges.Question, error: CoreletError) -> Round:
        latest = self._targets().get(target.device)
        if latest is None or not latest.is_up:
            return Round(target.device, target.name, {"offline": 1}, error.text)
        before = self._registry.reputation(target.device)
        self._registry.note_reputation(before.contain(question.kept(), int(time.time())))
        if question.kind == challenges.READ and error.code in DENIALS:
            self._registry.doubt_shard(question.shards[0])  # nobody has signed that: it is asked again before it counts
        pace.audit_at = time.monotonic() + min(DAY_S / A_DAY, AGAIN_S * 2 ** min(before.tries, 10))
        LOG.info("an audit of %s proves nothing and is repeated: %s", target.name, error.text)
        return Round(target.device, target.name, {"timeout": 1}, error.text)

    async def _inventory(self, target: Target, pace: _Pace) -> Round:
        """Compare; challenge what is missing. When all of a first few are gone, the others on its list are, too: it has
        signed that as well."""
        pace.inventory_at = time.monotonic() + INVENTORY_S
        try:
            found = await inventory.drift(self._client, self._registry, target)
        except CoreletError as error:
            LOG.info("the inventory of %s is not known: %s", target.name, error.text)
            return Round(target.device, target.name, {}, error.text)
        if found.strays:
            LOG.info("%s keeps %d shards that this core does not know", target.name, found.strays)
        outcomes: Counter[str] = Counter()
        shards = await asyncio.to_thread(self._registry.kept_named, target.device, found.missing)
        if shards:
            question = challenges.ask_fresh(self._registry, shards[:ENTRIES_MAX], False)
            assert question is not None
            answer = await self._put(target, pace, question)
            pace.inventory_at = time.monotonic() + INVENTORY_S
            outcomes = Counter(answer.outcomes)
            if outcomes and not answer.problem and not outcomes["ok"]:
                for start in range(ENTRIES_MAX, len(shards), LOSE_AT_ONCE):
                    self._lose(shards[start : start + LOSE_AT_ONCE])
                    await asyncio.sleep(0)  # others have their turn
        return Round(target.device, target.name, outcomes, "", len(found.missing), found.strays)

    def _lose(self, shards: Sequence[Placed]) -> int:
        lost = self._registry.lose_shards(shards) if shards else 0
        if lost:
            self._on_loss()
        return lost

    def _hear(self, device: str, pace: _Pace) -> None:
        """A device that finds its own rot is thanked: nothing is held against it."""
        names, now = self._confessions(device), time.monotonic()
        if now < pace.hear_at or tuple(names) == tuple(pace.confessed):
            return
        pace.confessed, pace.hear_at = names, now + HEAR_S
        lost = self._lose(self._registry.kept_named(device, [bytes.fromhex(name) for name in names]))
        if lost:
            LOG.warning("device %s says that it found %d shards rotten: they are made again", device, lost)
            before = self._registry.reputation(device)
            self._registry.note_reputation(before._replace(confessed=before.confessed + lost))
