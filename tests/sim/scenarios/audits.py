"""Audits of a device on which shards rot, come and go, all at once: an honest device is never accused, rot is found.

Invariant: for a shard that nobody touched meanwhile the answer is exactly what is so (there: its root; gone: lost;
rotten: corrupt); for one that was put or deleted meanwhile it is there or lost, never corrupt; the digest of a device
at rest is that of what it should have; after one round of the scrub all that is rotten is confessed, and nothing else.

The product's own drivers run on an event loop, whose order differs between the interpreters, so the trace holds what is
judged, not the order. The receipt is made up: tests/tools/test_audits.py has the real one.
"""

import asyncio
from collections import namedtuple

from agent.core.shards.scrub import Scrub
from agent.core.shards.store import Store
from agent.service import audits, scrub
from agent.service.slabs import Slabs
from agent.wire import answers, audit
from tests.sim.flash import Flash
from tests.sim.referee import sha256
from tests.sim.shard_files import FOLDER, FlashFiles
from tests.sim.world import World

CORE, OTHER = "00112233445566aa", "1111111111111111"
DEVICE = "ffeeddccbbaa0099"
SLOT = 65536
SHARDS = 12
BATCHES = 14
Claims = namedtuple("Claims", ("core",))


class Place:
    """`rotten`: shards of which a byte has flipped; `kept`: those that should be there, rotten ones included."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        files = FlashFiles(Flash(world.random), None, 2)
        files.keeps_bodies = False
        self.files = files
        self.store = Store(40 * SLOT, (SLOT,), lambda core: 1_000_000)
        self.slabs = Slabs(files, FOLDER, self.store, lambda: 0, asyncio.create_task)
        self.audits = audits.Audits(self.store, self.slabs, DEVICE, self._told)
        self.bodies = [self._body(number) for number in range(SHARDS)]
        self.kept: list = []
        self.rotten: list = []
        self.confessed: list = []

    def _body(self, number: int) -> bytes:
        length = (0, 1, 1023, 1024, 1025, 2049, 3000, 7000, 9000, 12000, 12000, 12000)[number % 12]
        return (self.random.bytes(16) * (length // 16 + 1))[:length]

    def _told(self) -> None:
        self.confessed += [report.shard for report in self.store.reports]
        self.store.reports.clear()

    async def put(self, body: bytes) -> None:
        ticket = self.store.put(CORE, sha256(body), len(body), 0, 0)
        if await self.slabs.wait(ticket) == "ready":
            await self.slabs.take_body(ticket, _Body(body).read)

    async def change(self, turns: int, leaving: list, coming: list) -> None:
        """A while after the question; what comes takes the slot of what leaves."""
        for _ in range(turns):
            await asyncio.sleep(0)
        for body in leaving:
            await self.delete(body)
        for body in coming:
            await self.put(body)

    async def delete(self, body: bytes) -> None:
        await self.slabs.wait(self.store.delete(CORE, sha256(body), 0))

    def rot(self, body: bytes) -> None:
        """One bit of what lies in its slot."""
        ticket = self.store.get(CORE, sha256(body), True)
        self.slabs.pump()
        slab = self.store.space.slab_of(ticket.slot)
        path = FOLDER + "/slab.64." + str(slab.number)
        offset = ticket.slot % 256 * SLOT + 128 + self.random.below(len(body))
        file = self.files.open_slab(path)
        file.write(offset, bytes([file.read(offset, 1)[0] ^ 1 << self.random.below(8)]))

    async def ask(self, kind: int, subject: bytes, core: str = CORE) -> "tuple[audit.Challenge, bytes]":
        """The records of an answer, taken in pieces of a random length."""
        challenge = audit.Challenge(kind, self.random.bytes(16), subject)
        self.audits._until.clear()  # no time passes here
        response = self.audits.answer(Claims(core), _encoded(challenge), _sign)
        data = b""
        while len(data) < response.body.length:
            data += await response.body.read(self.random.between(1, 2000))
        length = audit.records_bytes(challenge, DEVICE)
        assert data[length:] == sha256(_encoded(challenge) + data[:length]), "it signs what it sends"
        return challenge, data[:length]


def _encoded(challenge: audit.Challenge) -> bytes:
    from agent import port

    return answers.encode_challenge(port.codec(), challenge)


def _sign(claims: Claims, digest: bytes, length: int, result: str) -> bytes:
    return digest


class _Body:
    """A client's bytes, some at a time."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    async def read(self, bytes_max: int) -> bytes:
        await asyncio.sleep(0)
        piece, self._left = self._left[:bytes_max], self._left[bytes_max:]
        return piece


async def batch(place: Place) -> None:
    """Some shards change while others, and the same, are asked for."""
    random = place.random
    touched: list = []
    leaving: list = []
    coming: list = []
    for number in range(SHARDS):
        body = place.bodies[number]
        if body in place.rotten or not random.chance(250):
            continue
        touched.append(body)
        if body in place.kept:
            place.kept.remove(body)
            leaving.append(body)
        else:
            place.kept.append(body)
            coming.append(body)
    changes = [place.change(random.below(60), leaving[at : at + 1], coming[at : at + 1]) for at in range(SHARDS)]
    sound = [body for body in place.kept if body and body not in touched and body not in place.rotten]
    if sound and random.chance(300):
        place.rotten.append(sound[random.below(len(sound))])
        place.rot(place.rotten[-1])
    kind = audit.WHOLE if random.chance(300) else audit.LEAF
    subject = b"".join([sha256(body) + len(body).to_bytes(4, "big") for body in place.bodies])
    found = await asyncio.gather(place.ask(kind, subject), *changes)
    challenge, records = found[0]
    judged = answers.read_entries(challenge, DEVICE, records)
    for body, (result, proof) in zip(place.bodies, judged):  # noqa: B905 (no strict= on MicroPython)
        is_kept, is_rotten = body in place.kept, body in place.rotten
        wanted = audit.CORRUPT if is_rotten else audit.HAS if is_kept else audit.LOST
        if body in touched:
            assert result in (audit.HAS, audit.LOST), "an honest device was accused"
        else:
            assert result == wanted, (result, wanted)
            place.world.trace(sha256(body), result, is_kept)
        if result == audit.HAS:
            assert proof == (answers.root_of(body) if kind == audit.LEAF else sha256(challenge.nonce + body))


async def play(place: Place) -> None:
    await place.slabs.open()
    for _ in range(BATCHES):
        await batch(place)
    total = [(0, 0)] * audit.BUCKETS
    for body in place.kept:
        if body not in place.rotten:
            key = int.from_bytes(sha256(body)[:5], "big")
            count, keys = total[audit.bucket_of(key)]
            total[audit.bucket_of(key)] = (count + 1, keys ^ key)
    assert answers.read_digest((await place.ask(audit.DIGEST, b""))[1]) == total
    assert answers.read_digest((await place.ask(audit.DIGEST, b"", OTHER))[1]) == [(0, 0)] * audit.BUCKETS
    more = [body for body in place.kept if body and body not in place.rotten][:2]
    for body in more:
        place.rot(body)
    place.confessed.clear()
    rounds = Scrub(place.store.index, place.store.space)
    for _ in range(place.store.index.records):
        await scrub.verify(place.store, place.slabs, rounds.take())
    place._told()
    assert sorted(place.confessed) == sorted([sha256(body) for body in more])
    for body in place.bodies:
        is_bad = place.store.is_quarantined(CORE, sha256(body))
        assert is_bad == (body in place.rotten or body in more)
        place.world.trace(sha256(body), is_bad)
    await place.slabs.close()


def run(seed: int) -> bytes:
    world = World(seed)
    audits.piece_bytes = lambda slot_bytes: 1024  # who reads slowly is overtaken by who writes
    asyncio.run(play(Place(world)))
    return world.trace_hash()
