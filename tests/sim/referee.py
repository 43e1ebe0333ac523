"""The crash referee: whatever the power cut leaves, the store keeps what it acknowledged and serves nothing wrong.

    referee = Referee(trace, quota, slots)      # a trace of shard_files.py with the scenario's entries in it
    referee.judge(upto, random)                 # cut after `upto` entries; one random image; raises AssertionError

Entries of the scenario: ("begin", operation, core, shard, data, keep_until), ("ack", operation, core, shard,
result), ("clock", core time). An image is the flash after the first `upto` entries with every 512-byte sector of every
unflushed write kept or lost by chance (flash.py). It is opened by the product's own Slabs and Store, as a restart does;
in some images the checkpoint is missing, an older one, damaged or cut off. Some are stopped in order then and opened
again, so that the checkpoint that the restart wrote is judged, too.

A shard MUST be there once its put was acknowledged, until its delete or forget begins or its promise has ended; it
must be GONE once its delete or forget was acknowledged; else it MAY be there. What is served is always whole and right.
"""

import asyncio
import gc
import hashlib
import os

from agent.core.shards.layouts import store_of
from agent.core.shards.memo import FILE_BYTES, FILE_NAME, INDEX_NAME
from agent.core.shards.store import Store
from agent.service.slab_start import parse_name
from agent.service.slabs import Slabs
from tests.sim.chance import Xorshift32
from tests.sim.flash import Flash
from tests.sim.shard_files import FOLDER, FlashFiles, replay

GONE, MAY, MUST = "gone", "may", "must"
_INDEX, _MEMO = FOLDER + "/" + INDEX_NAME, FOLDER + "/" + FILE_NAME


class Referee:
    """`images`: how many were judged. `lost_unacked`: puts without an answer that an image had lost: the cuts bite."""

    def __init__(
        self, trace: "list[tuple]", quota: int, slots: "tuple[int, ...]", flash_day: int = 0, layout: str = "slabs"
    ) -> None:
        self.trace = trace
        self.layout = layout
        self.flash_day = flash_day
        self.quota = quota
        self.slots = slots
        self.images = 0
        self.lost_unacked = 0
        self.adopted = 0  # images in which a checkpoint spoke for a slab
        self._left = 0

    def judge_some(self, random: Xorshift32, count: int) -> None:
        """Cuts after `count` random lengths of the trace and after all of it; CORELET_FULL=1: after every length."""
        length = len(self.trace)
        if os.getenv("CORELET_FULL") == "1":
            prefixes = list(range(length + 1))
        else:
            prefixes = [random.below(length + 1) for _ in range(count)] + [length]
        for upto in prefixes:
            self.judge(upto, random)

    def judge(self, upto: int, random: Xorshift32) -> None:
        """One image of a power cut after `upto` entries."""
        if self.images % 4 == 0:
            gc.collect()  # a small heap that is collected only when it is full falls to pieces
        flash = Flash(random)
        older = replay(self.trace, upto, flash)
        flash.power_cycle()
        self.images += 1
        self._spoil_checkpoint(flash, older, random)
        asyncio.run(self._judge(flash, upto, random))

    def _spoil_checkpoint(self, flash: Flash, older: "list[bytes]", random: Xorshift32) -> None:
        """Half of the time; a power cut alone never does that."""
        choice = random.below(10)
        if not flash.exists(_INDEX) or choice > 4:
            return
        size = flash.size(_INDEX)
        if choice == 0:
            flash.remove(_INDEX)
        elif choice == 1:
            for _ in range(1 + random.below(3)):
                flash.flip_bit(_INDEX, random.below(size), random.below(8))
        else:
            data = older[random.below(len(older))] if choice == 2 and older else flash.open(_INDEX).read(0, size)
            data = data if choice == 2 else data[: random.below(size + 1)]
            file = flash.create(_INDEX, len(data))
            file.write(0, data)
            file.flush_now()

    async def _judge(self, flash: Flash, upto: int, random: Xorshift32) -> None:
        expected, clock = self._expected(upto)
        older = [flash.open(_INDEX).read(0, flash.size(_INDEX))] if flash.exists(_INDEX) else []
        await self._restart(flash, expected, clock)
        if self.images % 3 == 0:
            self._spoil_checkpoint(flash, older, random)
            settled = {key: (state if state != MAY else "", data) for key, (state, data) in expected.items()}
            await self._restart(flash, settled, clock)

    def _check_size(self, flash: Flash) -> None:
        """Slab files hold to the quota; beside them there are the memo and the checkpoint, twice while it is made."""
        sizes = {path: flash.size(path) for path in flash.list()}
        slabs = sum([sizes[path] for path in sizes if parse_name(path[len(FOLDER) + 1 :].replace(".new", ""))])
        assert slabs <= self.quota, "more than the quota is on the disk"
        beside = 2 * FILE_BYTES + 2 * (1024 + 20 * 65 + 12 * self.quota // min(self.slots))
        assert sum(sizes.values()) - slabs <= beside, "the store's own files have grown"

    async def _restart(self, flash: Flash, expected: dict, clock: int) -> None:
        self._check_size(flash)
        store = store_of(self.layout)(self.quota, self.slots, lambda core: clock)
        store.limit(self.flash_day, 0)
        slabs = Slabs(FlashFiles(flash), FOLDER, store, lambda: 0, asyncio.create_task)
        await slabs.open()
        self.adopted += any(slab is not None and slab.mark >= 0 for slab in store.space.slabs)
        for core, shard in sorted(expected):
            state, data = expected[(core, shard)]
            found = await self.read(store, slabs, core, shard)
            assert found is None or found == data, "a wrong byte was served"
            assert state != MUST or found == data, "an acknowledged shard is lost"
            assert state != GONE or found is None, "a deleted shard is back"
            self.lost_unacked += state == MAY and found is None
        data = b"after the power cut"
        result = await self.write(store, slabs, "00" * 8, data)
        assert result in ("quota", "flash") or await self.read(store, slabs, "00" * 8, sha256(data)) == data
        await slabs.close()
        self._check_size(flash)

    async def read(self, store: Store, slabs: Slabs, core: str, shard: bytes) -> "bytes | None":
        """What the device would send; None for a refusal."""
        ticket = store.get(core, shard, False)
        if await slabs.wait(ticket) != "found":
            return None
        pieces = []
        for number in range((ticket.length + ticket.piece_bytes - 1) // ticket.piece_bytes):
            pieces.append(slabs.read_piece(ticket, number))
        return b"".join(pieces)

    async def write(self, store: Store, slabs: Slabs, core: str, data: bytes) -> str:
        """Put `data`: the result, or the code of the refusal."""
        ticket = store.put(core, sha256(data), len(data), 0, 0)
        slabs.pump()
        while not ticket.is_at_rest:
            await asyncio.sleep(0)
        if ticket.error is not None:
            return ticket.error.code
        if ticket.result == "ready":
            left = [data]

            async def body(bytes_max: int) -> bytes:
                piece, left[0] = left[0][:bytes_max], left[0][bytes_max:]
                return piece

            await slabs.take_body(ticket, body)
        return ticket.result

    def _expected(self, upto: int) -> "tuple[dict, int]":
        """(core, shard) -> (state, data), and the core's time at the cut."""
        found: dict = {}
        clock = 0
        for number in range(upto):
            entry = self.trace[number]
            if entry[0] == "clock":
                clock = entry[1]
            elif entry[0] == "begin":
                self._begin(found, entry, number)
            elif entry[0] == "ack":
                self._ack(found, entry)
        made = {}
        for key in found:
            state, data, keep_until = found[key][:3]
            if state == MUST and 0 < keep_until <= clock:
                state = MAY
            made[key] = (state, data)
        return made, clock

    def _begin(self, found: dict, entry: tuple, number: int) -> None:
        """A value is (state, data, until when it was promised, when its put began, until when that promises it)."""
        _, operation, core, shard, data, keep_until = entry
        state, _, until, begun, _ = found.get((core, shard), (MAY, data, 0, 0, 0))
        if operation == "put":
            wanted = keep_until if state != MUST or 0 not in (until, keep_until) else 0
            wanted = max(wanted, until) if state == MUST and wanted else wanted
            found[(core, shard)] = (MAY if state == GONE else state, data, until, number, wanted)
            return
        if operation == "offer":  # nothing is promised
            found[(core, shard)] = (
                MAY if state == GONE else state,
                data,
                until,
                begun if state == MUST else number,
                until,
            )
            return
        self._left = number if operation == "forget" else self._left
        for key in list(found):
            if key[0] == core and (key[1] == shard or operation == "forget"):
                found[key] = (MAY if found[key][0] == MUST else found[key][0],) + found[key][1:]

    def _ack(self, found: dict, entry: tuple) -> None:
        _, operation, core, shard, result = entry
        for key in list(found):
            if key[0] != core or (key[1] != shard and operation != "forget"):
                continue
            if operation == "forget" and found[key][3] > self._left:
                continue  # put again by a core that came back meanwhile
            if result in ("stored", "present"):
                found[key] = (MUST, found[key][1], found[key][4]) + found[key][3:]
            elif result in ("deleted", "forgotten"):
                found[key] = (GONE,) + found[key][1:]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
