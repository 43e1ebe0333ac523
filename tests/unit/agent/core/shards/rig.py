"""A driver of the store without files or tasks: slabs are in memory, effects happen at once unless held back."""

import hashlib

from agent.core.shards import store as _  # noqa: F401 (first: it is large)
from agent.core.shards.layouts import store_of
from agent.core.shards.recall import Recall
from agent.core.shards.ticket import CREATE, FLUSH, HASH, MEMO, READ, REMOVE
from agent.errors import PortError

CORE = "00112233445566aa"
OTHER = "1111111111111111"
SLOT = 1024
MOST = SLOT - 128


def payload(number, length=100):
    """Bytes that differ for each number."""
    seed = hashlib.sha256(str(number).encode()).digest()
    return (seed * (length // 32 + 1))[:length]


def name_of(data):
    return hashlib.sha256(data).digest()


class Slots:
    """A slab file that takes only the memory of what was written."""

    def __init__(self, slot_bytes, length):
        self.length = length
        self._slot_bytes = slot_bytes
        self._slots = {}

    def slot(self, place):
        """The written part of a slot, to be changed in place."""
        return self._slots.setdefault(place, bytearray())

    def read(self, offset, length):
        if length > self._slot_bytes:
            length, rest = self._slot_bytes, length - self._slot_bytes
            return self.read(offset, length) + self.read(offset + length, rest)
        place, start = divmod(offset, self._slot_bytes)
        data = bytes(self._slots.get(place, b"")[start : start + length])
        return data + bytes(length - len(data))

    def write(self, offset, data):
        place, start = divmod(offset, self._slot_bytes)
        slot = self.slot(place)
        if len(slot) < start + len(data):
            slot.extend(bytes(start + len(data) - len(slot)))
        slot[start : start + len(data)] = data


class Rig:
    """`held`: kinds of effects that wait for `release`. `failing`: kind -> code. `log`: kinds, in order. `day`: flash
    bytes, 0 = any number; `cache`: bytes of memory for it. `layout`: see `both`; a log gets a larger quota, so that as
    many records fit beside what it needs for cleaning."""

    day = 0
    cache = 0
    layout = "slabs"

    def __init__(self, quota=64 * SLOT, slots=(SLOT,), times=None):
        self.times = times if times is not None else {CORE: 1_000_000, OTHER: 1_000_000}
        self.slots = slots
        self.quota = quota if self.layout == "slabs" else quota_of_log(quota // slots[0], slots[0])
        self.slabs = {}
        self.memos = [bytes(512), bytes(512)]
        self.held = ()
        self.waiting = []
        self.failing = {}
        self.log = []
        self.now = 0
        self.start()

    def start(self):
        """A new process on what the slabs hold."""
        self.store = store_of(self.layout)(self.quota, self.slots, self.times.get)
        self.store.limit(self.day, self.cache)
        recall = Recall(self.store)
        if any(self.memos[1]):
            recall.recall_memo(self.memos)
            recall.distrust()
        self.waiting = []
        for slot_bytes, number in sorted(self.slabs):
            self.store.space.next_number = max(self.store.space.next_number, number + 1)
            file = self.slabs[(slot_bytes, number)]
            slab = recall.attach(slot_bytes, number, file.length // (slot_bytes + self.store.space.notes_bytes))
            if self.layout == "log":
                self.store.space.recall(slab, file.read)
            for place in range(slab.slots - 1, -1, -1):
                slot = slab.position * 256 + place
                data = self.header(slot)
                for twin in recall.load(slab, place, data):
                    recall.settle_twins(slot, data, twin, self.header(twin))
        self.store.start()
        self.pump()

    def header(self, slot):
        slab = self.store.space.slab_of(slot)
        return self.slabs[slab.name].read(slot % 256 * slab.slot_bytes, 128)

    def pump(self):
        while self.store.effects:
            effect = self.store.effects.pop(0)
            if effect.kind in self.held:
                self.waiting.append(effect)
            else:
                self.carry_out(effect)
        self.store.ended.clear()

    def release(self, kind=None):
        """Carry out what was held back."""
        waiting, self.waiting = self.waiting, []
        for effect in waiting:
            if kind is None or effect.kind == kind:
                self.carry_out(effect)
            else:
                self.waiting.append(effect)
        self.pump()

    def carry_out(self, effect, data=None):
        if len(self.log) >= 100:
            self.log.clear()  # so that long tests fit a small heap
        self.log.append(effect.kind)
        if effect.kind in self.failing:
            self.store.done(effect, PortError(self.failing[effect.kind], "a test said so"), self.now)
            return
        name = effect.slab.name if effect.slab else None
        result = None
        if effect.kind == MEMO:
            self.memos[effect.offset // 4096] = effect.data
        elif effect.kind == CREATE:
            self.slabs[name] = Slots(name[0], effect.length)
        elif effect.kind == REMOVE:
            del self.slabs[name]
        elif effect.kind == HASH and effect.data is not None:
            result = self.slabs[effect.data[0].name].read(effect.data[1], effect.length)
            self.slabs[name].write(effect.offset, result)
            result = hashlib.sha256(result).digest()
        elif effect.kind in (READ, HASH) and name not in self.slabs:
            result = PortError("not_found", "its file was removed")
        elif effect.kind in (READ, HASH):
            result = self.slabs[name].read(effect.offset, effect.length)
            result = hashlib.sha256(result).digest() if effect.kind == HASH else result
        elif effect.kind != FLUSH:
            written = effect.data if effect.data is not None else data
            assert len(written) == effect.length
            self.slabs[name].write(effect.offset, written)
        assert sum([slab.length for slab in self.slabs.values()]) <= max(self.quota, self.store.space.allocated_bytes)
        self.store.done(effect, result, self.now)

    def begin(self, data, core=CORE, keep_until=0):
        ticket = self.store.put(core, name_of(data), len(data), keep_until, self.now)
        self.pump()
        return ticket

    def send(self, ticket, data, piece=64):
        """The body and the commit."""
        for start in range(0, len(data), piece):
            part = data[start : start + piece]
            self.carry_out(self.store.receive(ticket, len(part), self.now), part)
        self.store.commit(ticket, name_of(data), self.now)
        self.pump()

    def put(self, data, core=CORE, keep_until=0):
        ticket = self.begin(data, core, keep_until)
        if ticket.result == "ready":
            self.send(ticket, data)
        return ticket.error.code if ticket.error else ticket.result

    def get(self, shard, core=CORE):
        """The bytes, or the result."""
        ticket = self.store.get(core, shard, False)
        self.pump()
        return self.bytes_of(ticket)

    def bytes_of(self, ticket):
        if ticket.result != "found":
            return ticket.result
        assert self.store.is_current(ticket)
        slab = self.store.space.slab_of(ticket.slot)
        at = ticket.slot % 256 * slab.slot_bytes + 128
        return self.slabs[slab.name].read(at, ticket.length)

    def head(self, shard, core=CORE):
        ticket = self.store.get(core, shard, True)
        self.pump()
        return ticket.result

    def delete(self, shard, core=CORE):
        ticket = self.store.delete(core, shard, self.now)
        self.pump()
        return ticket.error.code if ticket.error else ticket.result

    def reports(self):
        reports, self.store.reports = self.store.reports, []
        return [(report.core, report.reason) for report in reports]


def fill(rig: Rig, first: int = 0) -> int:
    """Put until refused; how many were stored."""
    number = first
    while rig.put(payload(number)) == "stored":
        number += 1
    return number - first


def quota_of_log(slots: int, slot_bytes: int) -> int:
    """The smallest one in which so many slots can be filled."""
    pieces = slots
    while True:
        whole = max(1, pieces // 8)
        if (pieces - whole) // whole * whole >= slots:
            return pieces * (slot_bytes + 512)
        pieces += 1
