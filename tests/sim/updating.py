"""A device that is updated while its power goes: the machines and the driver of ota over a simulated flash, the
operator who wants the next release again and again, and the judge of every start.

Judged at each start: it runs a slot; all bytes of that slot are those of one release; the confirmed slot is untouched;
nothing runs below the floor that was confirmed; a release that crashes starts at most TRIES times; a start costs at
most one try; without rot nothing is ever called damaged or lost. In the end all goals are reached.
"""

from ota import content, install, manifest, pack, slots, verify
from ota.boot import Boot
from ota.disk import Disk
from ota.errors import CoreletError, PortError
from ota.slots import NO_DIGEST, SLOTS, TRIES, Journal
from tests.sim.flash import Flash, PowerCut
from tests.unit.ota.making import CLASS, VENDOR, envelope, image_digest, sha256
from tests.unit.ota.making import manifest as make_manifest
from tests.unit.ota.packing import build, head_of
from tests.unit.ota.patching import delta_name, encode

# Of a power cut, each of them once at every cut point: how much of what was not flushed survives.
CUT_OUTCOMES = ("none", "all") + 5 * ("subset",) + 5 * ("torn",)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.sim.chance import Xorshift32

SEGMENT_BYTES = 1024  # as in a pack of 100 KiB, with a 32nd of the work
SLOT_BYTES = content.PACK_OFFSET + 8192
LIVES_MAX = 60
BOARD = install.Board(VENDOR, CLASS, SLOT_BYTES, ("cpython", [3, 11]), None)
NEEDS = b"\xa1gcpython\x82\x82\x03\x0b\x81\x04"


class Release:
    """`is_bad`: it crashes."""

    def __init__(self, sequence: int, floor: int, body: bytes, is_bad: bool = False) -> None:
        self.sequence, self.floor, self.is_bad = sequence, floor, is_bad
        self.pack = build([("agent/__main__.py", body)])
        self.deltas: dict[str, bytes] = {}
        self.uri = f"packs/{sequence}"
        parameters = {
            1: VENDOR, 2: CLASS, 3: image_digest(sha256(self.pack)), 14: len(self.pack), -1: floor,
            -2: sha256(head_of(self.pack)), -3: NEEDS,
        }  # fmt: skip
        commands = {20: b"\x86\x14\xa1\x15" + _text(self.uri) + b"\x15\x02\x03\x0f"}
        made = make_manifest(sequence, [20, parameters, 1, 15, 2, 15], commands)
        self.envelope = envelope(made, ())  # who signed it is for tests/unit/ota/test_verify.py
        read = manifest.read_envelope(self.envelope)
        self.proven = verify.Release(read.digest, manifest.read_manifest(read), {}, [])
        self.digest = read.digest


def _text(text: str) -> bytes:
    return bytes([0x60 + len(text)]) + text.encode()


class SimFile:
    def __init__(self, slab, folder: "SimFolder") -> None:  # type: ignore[no-untyped-def]
        self.read, self.flush = slab.read, slab.flush_now
        self._slab, self._folder = slab, folder

    def write(self, offset: int, data: bytes) -> None:
        if self._folder.has_room():
            return self._slab.write(offset, data)
        self._slab.write(offset, data[: self._folder.flash._random.below(len(data) + 1)])
        raise PortError("disk_full", "expected room for a write in place, got none")


class SimFolder:
    """`room`: how many writes until the disk is full (where blocks are never written in place, also a preallocated
    file needs new ones); -1: as many as you like."""

    def __init__(self, flash: Flash, room: int = -1) -> None:
        self.flash, self.room = flash, room

    def file(self, name: str) -> SimFile:
        return SimFile(self.flash.open(name), self)

    def has_room(self) -> bool:
        if self.room > 0:
            self.room -= 1
        return self.room != 0


class Source:
    """`lies`, `stops`: permille of the pieces that are wrong, and that are the last."""

    def __init__(self, releases: "list[Release]", random: "Xorshift32", lies: int, stops: int) -> None:
        self._files = {release.uri: release.pack for release in releases}
        for release in releases:
            self._files.update(release.deltas)
        self._random, self._lies, self._stops = random, lies, stops
        self.sent = self.by_delta = self.faults = 0

    def forget_deltas(self) -> None:
        """What comes, comes in full."""
        for uri in list(self._files):
            if uri[:7] == "deltas/":
                self._files[uri] = bytes(100)

    def read(self, uri: str, start: int, length: int):  # type: ignore[no-untyped-def]
        data = self._files[uri][start : start + length]
        self.sent += length
        self.by_delta += length if uri[:7] == "deltas/" else 0
        if self._random.chance(self._stops):
            self.faults += 1
            yield data[: self._random.below(length)]
            raise PortError("source", "expected more, got the end")
        if data and self._random.chance(self._lies):
            self.faults += 1
            at = self._random.below(len(data))
            data = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        yield data


class Story:
    """`goals`: (verb, release); `cuts`: after how many operations from a start on the power goes, one after the other.
    `rot`: permille of the starts before which one bit turns. `full`: of the starts after which the disk gets full.
    `refunds_wanted`: orderly ends, `refund` permille of the starts of a good one on trial until there were so many."""

    def __init__(self, flash: Flash, releases: "list[Release]", goals: "list[tuple[str, Release]]") -> None:
        self.flash, self.goals = flash, goals
        self.random = flash._random
        self.by_digest = {release.digest: release for release in releases}
        self.source = Source(releases, self.random, 0, 0)
        self.cuts: list[int] = []
        self.rot = self.full = self.floor = self.attempts = self.refunds = 0
        self.starts = self.cut_count = self.rotted = self.filled = 0  # what happened
        self.bad_starts: dict[int, int] = {}
        self.allowed: list[bytes] = []  # what a confirmed start may run; empty: anything
        self.refunds_wanted, self.refund = 0, 500

    def live(self) -> None:
        """Until all goals are reached."""
        self._set_cut()
        while self.goals:
            self.starts += 1
            assert self.starts < LIVES_MAX, "it does not come to an end"
            try:
                self._one_life()
            except PowerCut:
                self.cut_count += 1
                self.flash.power_cycle()
                self._set_cut()
                self._may_rot()

    def _set_cut(self) -> None:
        self.flash.cut_at = self.flash.operations + self.cuts.pop(0) if self.cuts else 0

    def _may_rot(self) -> None:
        if not self.rotted and self.random.chance(self.rot):
            self.rotted += 1
            file = ("journal", "floor", "target")[self.random.below(3)]
            if file == "target":
                journal = Journal("journal")
                Disk(SimFolder(self.flash)).run(journal.load())
                file = SLOTS[journal.target]
            size = slots.RECORD_BYTES if file in ("journal", "floor") else content.PACK_OFFSET + 2000
            place = self.random.below(size) + (slots.SECTOR_BYTES * self.random.below(2) if size < 500 else 0)
            self.flash.flip_bit(file, place, self.random.below(8))

    def _one_life(self) -> None:
        room = self.random.between(1, 12) if self.random.chance(self.full) else -1
        folder = SimFolder(self.flash, room)
        try:
            self._start(Disk(folder, [self.source]))
        except PortError as error:
            assert error.code == "disk_full" and folder.room == 0, error.code  # stage-0 starts it again later
        self.filled += folder.room == 0

    def _start(self, disk: Disk) -> None:
        journal, copy = Journal("journal"), Journal("floor")
        self.attempts += 1
        choice = disk.run(Boot(journal, copy, None, lambda data: (NO_DIGEST, None)).choose())
        assert choice.what in SLOTS, "nothing to run"
        running = SLOTS.index(choice.what)
        release = self._judge(choice, journal, running)
        verb, wanted = self.goals[0]
        if choice.why == "trial" and release.is_bad:
            return  # it crashes
        if choice.why == "trial" and self.refunds_wanted and self.random.chance(self.refund):
            self.refunds_wanted -= 1
            assert disk.run(journal.refund()), "an orderly end costs a try"
            self.refunds += 1
            return
        if choice.why == "trial":
            self.allowed = []
            disk.run(install.confirm(journal, copy, running))
            self.allowed, self.floor = [release.digest], max(self.floor, release.floor)
        elif release is wanted or journal.bad >= wanted.sequence:
            assert wanted.is_bad == (release is not wanted) or self.cut_count + self.filled >= TRIES or self.rotted, (
                "a good one is lost"
            )
            self.goals.pop(0)
        else:
            self._change(disk, journal, running, wanted, verb)

    def _change(self, disk: Disk, journal: Journal, running: int, wanted: Release, verb: str) -> None:
        situation = install.Situation(running, None, None, None)
        machine = install.Install(journal, BOARD, situation, wanted.proven)
        self.attempts = self.refunds = 0
        try:
            if verb == "install" or self.rotted or journal.digests[journal.target] != wanted.digest:
                disk.run(machine.stage(wanted.envelope))
            else:
                disk.run(machine.rollback())
        except CoreletError as error:
            is_known = error.code in ("segment", "head", "source", "pack", "too_big", "disk_full")
            assert is_known, error.code + " " + error.text

    def _judge(self, choice, journal: Journal, running: int) -> Release:  # type: ignore[no-untyped-def]
        release = self.by_digest[journal.digests[running]]
        self._is_whole(SLOTS[running], release)
        self._is_whole(SLOTS[journal.active], self.by_digest[journal.digests[journal.active]])
        assert choice.sequence == release.sequence >= self.floor, "below the floor"
        assert journal.floor >= self.floor, "the floor sank"
        assert self.rotted or choice.why in ("confirmed", "trial", "trial_failed"), choice.why
        if choice.why == "trial":
            assert self.rotted or journal.tries >= TRIES - self.attempts + self.refunds, "more than one try a start"
            if release.is_bad:
                self.bad_starts[release.sequence] = self.bad_starts.get(release.sequence, 0) + 1
                assert self.bad_starts[release.sequence] <= TRIES * (1 + self.rotted), "too many tries"
        else:
            assert self.rotted or not self.allowed or release.digest in self.allowed, "not what was confirmed"
            self.allowed = [release.digest]
        return release

    def _is_whole(self, slot: str, release: Release) -> None:
        slab = self.flash.open(slot)
        head = content.head(release.envelope)
        assert slab.read(0, len(head)) == head, "the envelope of the slot " + slot
        assert slab.read(content.PACK_OFFSET, len(release.pack)) == release.pack, "the pack of the slot " + slot


class Scene:
    """One seed's releases, and a flash where the first is confirmed. `operations`: of `cut` without a cut, so the cut
    points of an update are the numbers from 1 to it."""

    def __init__(self, random: "Xorshift32") -> None:
        pack.SEGMENT_BYTES = SEGMENT_BYTES
        self.random = random
        bodies = [random.bytes(random.between(1, 3000)) for _ in range(4)]
        bodies[1:] = [body[: random.below(2000)] + bodies[0] for body in bodies[1:]]  # so that deltas copy
        self.releases = [Release(1, 0, bodies[0]), Release(2, 1, bodies[1]), Release(3, 0, bodies[2], True)]
        self.releases.append(Release(4, 4, bodies[3]))
        for release in self.releases:
            for base in [b""] + [other.pack for other in self.releases if other is not release]:
                release.deltas[delta_name(base, release.pack)] = encode(base, release.pack)
        self._first = Flash(random)
        for name, length in (("journal", 8192), ("floor", 8192), ("a", SLOT_BYTES), ("b", SLOT_BYTES)):
            self._first.create(name, length)
        disk = Disk(SimFolder(self._first), [Source(self.releases, random, 0, 0)])
        journal, copy = Journal("journal"), Journal("floor")
        situation = install.Situation(slots.NONE, None, None, None)
        disk.run(install.Install(journal, BOARD, situation, self.releases[0].proven).stage(self.releases[0].envelope))
        disk.run(journal.charge())
        disk.run(install.confirm(journal, copy, 0))
        self._durable = {name: self._first._files[name].durable for name in self._first.list()}
        before = self.story().flash.operations
        self.operations = self.cut(0, "none").flash.operations - before

    def story(self) -> Story:
        """A good release, back to the first, a bad one, and one that raises the floor."""
        flash = Flash(self.random)
        flash.tears = True
        for name in sorted(self._durable):
            flash.create(name, self._first.size(name))
            flash._files[name].durable = dict(self._durable[name])
        one, two, three, four = self.releases
        goals = [("install", two), ("rollback", one), ("install", three), ("install", four)]
        return Story(flash, self.releases, goals)

    def cut(self, number: int, outcome: str) -> Story:
        """One cut, at this operation; a trial is ended in order once, so that a refund is cut too."""
        story = self.story()
        story.refunds_wanted, story.refund = 1, 1000
        story.cuts, story.flash.outcome = [number] if number else [], outcome
        story.live()
        assert story.cut_count == (number > 0), "the power did not go"
        return story

    def faulty(self) -> Story:
        """Some of everything: cuts, bit rot, a full disk, a network that lies and ends."""
        story = self.story()
        story.cuts = [self.random.between(1, 30) for _ in range(self.random.between(2, 4))]
        story.source._lies, story.source._stops = 20, 20
        if self.random.chance(300):
            story.source.forget_deltas()
        story.rot, story.full = 100 * self.random.below(4), 50 * self.random.below(4)
        story.refunds_wanted = self.random.below(3)
        story.live()
        return story
