"""The shard store under power cuts: clients of two cores put, extend, offer and delete at once; every cut is survived.

Invariant (referee.py): no acknowledged shard is lost, no wrong byte is served, nothing deleted comes back, the
quota holds. The machine runs with a driver of the world's clock here, in which flushes take time and overlap; the
images are opened by the product's driver. CORELET_FULL=1 judges every prefix of the trace, else PREFIXES of them.
store_log.py does the same in the layout "log".
"""

import gc
import hashlib

from agent.core.shards.layouts import store_of
from agent.core.shards.memo import FILE_BYTES, FILE_NAME, INDEX_NAME
from agent.core.shards.space import Slab
from agent.core.shards.ticket import CHECKPOINT, CREATE, FLUSH, HASH, MEMO, READ, REMOVE, Effect, Ticket
from agent.core.shards.upkeep import Upkeep
from agent.errors import CoreletError, PortError
from tests.sim.chance import Xorshift32
from tests.sim.flash import Flash
from tests.sim.referee import Referee, sha256
from tests.sim.shard_files import FOLDER, FlashFiles
from tests.sim.world import World

CORES = ("00112233445566aa", "ffffffffffffffff")
# (slot sizes, quota): one crowded slab; two slabs; two kinds of them.
GEOMETRIES = (
    ((1024, 2048), 22 * 1024),
    ((262144,), 20 * 262144),
    ((1024, 262144), 3 * 262144 + 9 * 1024),
)
# Of a log: segments of 2 slots and of 1; of 2; of 3.
GEOMETRIES_LOG = (
    ((1024, 2048), 34 * 1024),
    ((262144,), 16 * 262656),
    ((1024,), 24 * 1536),
)
FLASH_DAYS = (0, 1 << 30, 600_000)  # none, enough, enough for a part of them
REQUESTS = {"slabs": 50, "log": 90}
SHARDS = {"slabs": 24, "log": 18}
OPERATIONS = {
    "slabs": ("delete", "delete", "offer", "put", "put", "put", "put", "put"),
    "log": ("delete", "delete", "delete", "delete", "offer", "put", "put", "put", "put", "put"),
}
PREFIXES = 48
START = 1_000_000


class Driver:
    """Carries out effects: a flush takes 1-20 ms, a hash 0-3 ms, the rest happens at once."""

    def __init__(self, world: World, layout: str, slots: "tuple[int, ...]", quota: int, flash_day: int) -> None:
        self.world = world
        self.trace: list = []
        self.files = FlashFiles(Flash(world.random), self.trace)
        self.copies = 0
        self.store = store_of(layout)(quota, slots, lambda core: START + world.now // 1000)
        self.store.limit(flash_day, 0)

    def pump(self) -> None:
        store = self.store
        while store.effects or store.ended:
            while store.effects:
                self._carry_out(store.effects.pop(0))
            while store.ended:
                ticket = store.ended.pop(0)
                if ticket.notice is not None:
                    notice, ticket.notice = ticket.notice, None
                    notice(ticket)

    def write_body(self, effect: Effect, data: bytes) -> None:
        self._file(effect).write(effect.offset, data)
        self.store.done(effect, None, self.world.now)

    def _carry_out(self, effect: Effect) -> None:
        result: object = None
        if effect.kind == FLUSH:
            file = self._file(effect)
            self.world.after(self.world.random.between(1, 20), self._flushed, effect, file, file.begin_flush())
            return
        if effect.kind == HASH:
            self.world.after(self.world.random.below(4), self._hashed, effect)
            return
        if effect.kind == MEMO:
            path = FOLDER + "/" + FILE_NAME
            file = self.files.open_slab(path) if self.files.exists(path) else self.files.create_slab(path, FILE_BYTES)
            file.write(effect.offset, effect.data)
            self.world.after(self.world.random.between(1, 20), self._flushed, effect, file, file.begin_flush())
            return
        if effect.kind == CHECKPOINT:
            self.files.write_pieces(FOLDER + "/" + INDEX_NAME, effect.data)
        elif effect.kind == CREATE:
            self.files.create_slab(self._path(effect.slab), effect.length)
        elif effect.kind == REMOVE:
            self.files.remove(self._path(effect.slab))
        elif effect.kind == READ:
            result = self._file(effect).read(effect.offset, effect.length)
        else:
            self._file(effect).write(effect.offset, effect.data)
        self.store.done(effect, result, self.world.now)

    def _flushed(self, effect: Effect, file: object, began: int) -> None:
        file.end_flush(began)
        self.store.done(effect, None, self.world.now)
        self.pump()

    def _hashed(self, effect: Effect) -> None:
        try:
            slab, offset = effect.data or (effect.slab, effect.offset)
            data = self.files.open_slab(self._path(slab)).read(offset, effect.length)
            if effect.data is not None:
                self.copies += 1
                self._file(effect).write(effect.offset, data)
            self.store.done(effect, hashlib.sha256(data).digest(), self.world.now)
        except PortError as error:
            self.store.done(effect, error, self.world.now)
        self.pump()

    def _path(self, slab: Slab) -> str:
        kind = "log" if slab.notes_bytes else "slab"
        return FOLDER + "/" + kind + "." + str(slab.slot_bytes // 1024) + "." + str(slab.number)

    def _file(self, effect: Effect) -> object:
        return self.files.open_slab(self._path(effect.slab))


class Clients:
    """Many of them, each at a random time, many at once; in some worlds a core leaves in between."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.world = driver.world
        self.layout = "log" if driver.store.space.notes_bytes else "slabs"
        self.shards = [self._data(number) for number in range(SHARDS[self.layout])]
        for _ in range(REQUESTS[self.layout]):
            self.world.at(self.world.random.below(400), self.request)
        if self.world.random.chance(500):
            self.world.at(self.world.random.below(400), self._forget)
        for _ in range(4):
            self.world.at(self.world.random.below(400), self._checkpoint)
        self.world.at(900, self._flush)
        self.world.at(1000, self._checkpoint)  # nothing is moving: it describes every slab
        for _ in range(REQUESTS[self.layout] // 5):
            self.world.at(1050 + self.world.random.below(400), self.request)

    def _flush(self) -> None:
        Upkeep(self.driver.store).flush_all(self.world.now)
        self.driver.pump()

    def _checkpoint(self) -> None:
        self.world.trace("checkpoint", Upkeep(self.driver.store).checkpoint(self.world.now))
        self.driver.pump()

    def _data(self, number: int) -> bytes:
        is_large = number % 4 == 0 and self.driver.store.space.sizes[-1] > 1024
        length = self.world.random.between(0, 1300 if is_large else 600)
        return self.world.random.bytes(min(length, 40)) * (length // 40 + 1)

    def _forget(self) -> None:
        self._note("begin", "forget", CORES[0], b"", b"", 0)
        ticket = self.driver.store.forget(CORES[0], self.world.now)
        ticket.notice = lambda ticket: self._settled(ticket, b"")
        self.driver.pump()

    def request(self) -> None:
        gc.collect()
        random = self.world.random
        core = CORES[random.below(2)]
        data = self.shards[random.below(len(self.shards))]
        keep_until = [0, START + 3600, START + 7200 * 4][random.below(3)]
        operations = OPERATIONS[self.layout]
        operation = operations[random.below(len(operations))]
        self._note("clock", START + self.world.now // 1000)
        try:
            if operation == "put":
                ticket = self.driver.store.put(core, sha256(data), len(data), keep_until, self.world.now)
            elif operation == "offer":
                ticket = self.driver.store.offer(core, sha256(data), len(data), self.world.now)
            else:
                ticket = self.driver.store.delete(core, sha256(data), self.world.now)
        except CoreletError as error:
            self.world.trace("refused", operation, error.code)
            return
        self._note("begin", operation, core, sha256(data), data, keep_until)
        ticket.notice = lambda ticket: self._settled(ticket, data)
        self.driver.pump()

    def _settled(self, ticket: Ticket, data: bytes) -> None:
        self.world.trace(ticket.operation, ticket.result, ticket.error.code if ticket.error else "")
        if ticket.result == "ready":
            self.world.after(self.world.random.below(30), self._send, ticket, data)
        elif ticket.error is None:
            self._note("ack", ticket.operation, ticket.core, ticket.shard, ticket.result)

    def _send(self, ticket: Ticket, data: bytes) -> None:
        """One piece of the body, the end of it, or a client that has gone."""
        if self.world.random.chance(30):
            self.driver.store.abort(ticket)
            self.world.trace("gone")
            return
        if ticket.received < ticket.length:
            piece = data[ticket.received : ticket.received + self.world.random.between(1, 700)]
            self.driver.write_body(self.driver.store.receive(ticket, len(piece), self.world.now), piece)
            self.world.after(self.world.random.below(10), self._send, ticket, data)
            return
        ticket.notice = lambda ticket: self._settled(ticket, data)
        try:
            self.driver.store.commit(ticket, sha256(data), self.world.now)
        except CoreletError as error:
            self.world.trace("refused", "commit", error.code)
        self.driver.pump()

    def _note(self, *entry: object) -> None:
        self.driver.trace.append(entry)


def run(seed: int, layout: str = "slabs") -> bytes:
    world = World(seed)
    slots, quota = (GEOMETRIES_LOG if layout == "log" else GEOMETRIES)[seed % len(GEOMETRIES)]
    flash_day = FLASH_DAYS[seed // len(GEOMETRIES) % len(FLASH_DAYS)]
    driver = Driver(world, layout, slots, quota, flash_day)
    clients = Clients(driver)
    world.run(2_000)
    world.at(7_200_000, clients.request)  # the short promises have ended
    world.run(7_300_000)
    trace = driver.trace
    world.trace("copies", driver.copies)
    assert driver.copies or layout == "slabs", "nothing had to move"
    del driver, clients  # a second disk has to fit the heap
    for entry in trace:
        world.trace(*entry)
    referee = Referee(trace, quota, slots, flash_day, layout)
    referee.judge_some(Xorshift32(seed + 77), PREFIXES)
    assert referee.lost_unacked, "the cuts did not bite"
    assert referee.adopted or flash_day == FLASH_DAYS[2], "no checkpoint was used"
    return world.trace_hash()
