"""Installs a release into the slot that does not run; without I/O.

`stage` refuses before it writes or fetches a byte (`check`), then stages: the journal first, the envelope, the pack
(ota/fetch.py). Started again after any cut it does the same, and fetches only what is not right already. At the
end the whole image is hashed once more before the release goes on trial. `rollback` puts the other slot's release on
trial without a download, `confirm` ends a trial, `call_off` gives one up that the core aborted before it ran.

LimitError: "space", "memory", "power", "wait". TrustError: "class", "needs", "failed_before", "absent", "operation",
"condition", "head", "segment", "image". UsageError: "restart", "current", "state", "not_here". Who calls has proven and
admitted the release (ota/verify.py).
"""

import hashlib
from collections import namedtuple

from ota import cbor, content, fetch, slots
from ota.commands import NEEDS, read_needs
from ota.content import IMAGE_SIZE, PACK_OFFSET
from ota.errors import LimitError, TrustError, UsageError
from ota.execute import ConditionError, Execution
from ota.manifest import INSTALL, PAYLOAD_FETCH, VALIDATE
from ota.slots import NO_DIGEST, NONE, SLOTS, STAGE, TRIAL, TRIES, Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ota.slots import Journal, Steps
    from ota.verify import Release

MEMORY_BYTES_MIN = 65536  # what staging takes: a head, its digests, an envelope
POWER_PERCENT_MIN = 30

VENDOR, CLASS, USE_BEFORE, SLOT, URI, WAIT_INFO = 1, 2, 4, 5, 21, 29
IMAGE_MATCH, IMAGE_NOT_MATCH, UPDATE_AUTHORIZED = 3, 25, 27
FETCH, INVOKE, WAIT = 21, 23, 29

# What a device is. `slot_bytes`: of each slot file. `interpreter`: (name, version). `package(name)`: version or None.
Board = namedtuple("Board", ("vendor", "class_id", "slot_bytes", "interpreter", "package"))
# How it stands. `running`: the slot whose code runs, or NONE. `time`: core time, s; None: no fresh beacon.
# `free_bytes` of memory and `power_percent` of a battery in use: None where unknown.
Situation = namedtuple("Situation", ("running", "time", "free_bytes", "power_percent"))


class Install:
    """One release on one device."""

    def __init__(self, journal: "Journal", board: Board, situation: Situation, release: "Release") -> None:
        self.journal, self.board, self.situation = journal, board, situation
        self.digest, self.manifest = release.digest, release.manifest
        self.slot = SLOTS[journal.target]
        self.found = content.parameters(self.manifest)
        self.sources = 0
        self.execution = Execution(self.manifest, self)

    def check(self) -> "Steps":
        """Every reason against it that shows before a download; nothing is written."""
        journal, sequence = self.journal, self.manifest.sequence
        if self.digest == journal.digests[1 - journal.target] != NO_DIGEST:
            raise UsageError("current", f"expected another release than {sequence}, which is confirmed already, got it")
        if journal.state == TRIAL and self.digest == journal.digests[journal.target]:
            raise UsageError("current", f"expected another release than {sequence}, which is on trial already, got it")
        if sequence <= journal.bad and self.digest != journal.digests[journal.target]:
            text = f"expected a release above {journal.bad}, which failed here, got {sequence}"
            raise TrustError("failed_before", text + "; release it again under a higher number")
        self._check_place()
        self._check_needs(self.found.get(NEEDS))
        try:
            yield from self.execution.run_shared()
        except ConditionError:
            self._check_class()
            raise
        self._check_class()

    def _check_class(self) -> None:
        found = self.execution.parameters[0]
        if found.get(VENDOR) != self.board.vendor or found.get(CLASS) != self.board.class_id:
            raise TrustError("class", "expected a release for this class of board, got one for another")

    def _check_place(self) -> None:
        if not content.is_named(self.found):
            text = "expected image digest, image size and head digest (3, 14, -2) in the shared sequence, got a part"
            raise TrustError("operation", text)
        room, size = self.board.slot_bytes - PACK_OFFSET, self.found[IMAGE_SIZE]
        if size > room:
            raise LimitError("space", f"expected a pack of at most {room} bytes, got {size}; make larger slots (init)")
        free_bytes, percent = self.situation.free_bytes, self.situation.power_percent
        if free_bytes is not None and free_bytes < MEMORY_BYTES_MIN:
            text = f"expected {MEMORY_BYTES_MIN} bytes of free memory, got {free_bytes}; stop some work, then try again"
            raise LimitError("memory", text)
        if percent is not None and percent < POWER_PERCENT_MIN:
            text = f"expected a battery of at least {POWER_PERCENT_MIN} %, got {percent} %; connect the charger"
            raise LimitError("power", text)

    def _check_needs(self, member: "bytes | None") -> None:
        """The interpreter that runs must be named; packages count only where there can be some (CPython)."""
        name, version = self.board.interpreter
        needs = read_needs(member) if member else {}
        if name not in needs:
            raise TrustError(
                "needs", f"expected a release for {name}, got one for {', '.join(sorted(needs)) or 'none'}"
            )
        for one in sorted(needs):
            if one != name and (name != "cpython" or one == "micropython"):
                continue
            has = version if one == name else self.board.package(one)
            low, below = needs[one]
            if has is None or not low <= has < below:
                text = f"expected {one} of at least {dotted(low)} and below {dotted(below)}, got {dotted(has)}"
                raise TrustError("needs", text + f"; install {one} first")

    def stage(self, envelope: bytes, sources: int = 1) -> "Steps":
        """`envelope`: the release's bytes; `sources`: how many may have its pack. Ends on trial; what was running runs
        on."""
        journal, self.sources = self.journal, sources
        if INSTALL in self.manifest.absent or PAYLOAD_FETCH in self.manifest.absent:
            raise TrustError("absent", "expected an envelope with its commands to install, got one without them")
        if INSTALL not in dict(self.manifest.sequences):
            raise TrustError("operation", "expected a release that says how to install it, got one that does not")
        yield from self._make_way()
        yield from journal.stage(self.digest, self.manifest.sequence)
        head = content.head(envelope)
        if (yield Effect("hash", self.slot, 0, len(head))) != hashlib.sha256(head).digest():
            yield Effect("write", self.slot, 0, head)
        for label in (PAYLOAD_FETCH, INSTALL, VALIDATE):
            yield from self.execution.run(label)
        yield Effect("flush", self.slot, 0, None)
        if not (yield from content.is_image(self.slot, self.found)):
            raise TrustError("image", "expected the image that was signed, got another; install again")
        yield from journal.begin_trial()

    def rollback(self) -> "Steps":
        """To what is in the other slot; the release was read from there."""
        journal = self.journal
        if journal.digests[journal.target] != self.digest:
            raise UsageError("not_here", "expected the digest of the release in the other slot, got another")
        if not (yield from content.is_image(self.slot, self.found)):
            raise TrustError("image", "expected the image that was signed in the other slot, got a damaged one")
        yield from self._make_way()
        yield from journal.stage(self.digest, self.manifest.sequence)
        yield from journal.begin_trial()

    def _make_way(self) -> "Steps":
        """All checks; then a trial is superseded. The slot that runs is never written: that needs a restart first."""
        journal = self.journal
        yield from self.check()
        if journal.generation == 0:
            for slot in SLOTS:
                if (yield from content.read_raw(slot)):
                    raise UsageError(
                        "restart", "expected a journal, got none beside releases; boot finds out which runs"
                    )
        if journal.state == TRIAL:
            yield from journal.give_up(False)
        if self.situation.running == journal.target:
            raise UsageError("restart", "expected the confirmed release to run, got the other; restart, then install")

    def condition(self, code: int, index: int, found: "dict[int, Any]") -> "Steps":
        """Only component 0 is ours, the pack; of any other nothing is true."""
        if index:
            return False
        if code in (VENDOR, CLASS):
            return found.get(code) == (self.board.vendor if code == VENDOR else self.board.class_id)
        if code in (IMAGE_MATCH, IMAGE_NOT_MATCH):
            return (yield from content.is_image(self.slot, found)) == (code == IMAGE_MATCH)
        if code == USE_BEFORE:
            return self.situation.time is not None and self.situation.time < found.get(USE_BEFORE, 0)
        if code == SLOT:
            return found.get(SLOT) == self.journal.target
        return code == UPDATE_AUTHORIZED  # who stages was admitted; a version (28) nobody knows here

    def act(self, code: int, index: int, found: "dict[int, Any]") -> "Steps":
        if code == FETCH and index == 0 and isinstance(found.get(URI), str):
            yield from self._fetch(found)
        elif code == WAIT:
            until = cbor.decode(found.get(WAIT_INFO, b"\xa0"), (), 1).get(5, 0)
            if until > (self.situation.time or 0):
                raise LimitError("wait", f"expected core time {until} or later, it is {self.situation.time}")
        elif code != INVOKE:  # that is what stage-0 does at the next start
            raise TrustError("operation", f"expected commands that this device knows, got command {code}")

    def _fetch(self, found: "dict[int, Any]") -> "Steps":
        """Against the confirmed pack; against nothing where that came with the image or the package."""
        base, manifest = (self.slot, 0, NO_DIGEST), None
        active = self.journal.active
        if active != NONE:
            manifest = yield from content.read(SLOTS[active], self.journal.digests[active])
        if manifest is not None:
            named = content.parameters(manifest)
            base = (SLOTS[active], named[IMAGE_SIZE], content.image_digest(named))
        digest = content.image_digest(self.found)
        yield from fetch.Fetch(self.slot, self.found, digest, base, self.sources).run(found[URI])


def confirm(journal: "Journal", copy: "Journal", running: int) -> "Steps":
    """One record; whatever comes after it may fail. `running`: the slot whose code was found healthy."""
    if journal.state != TRIAL or running != journal.target:
        raise UsageError("state", "expected the release on trial to run, got another state; nothing to confirm")
    manifest = yield from content.read(SLOTS[running], journal.digests[running])
    if manifest is None:
        raise TrustError("image", "expected the release on trial in its slot, got something else")
    yield from journal.confirm(manifest.security_floor)
    yield from slots.keep(journal, copy)


def call_off(journal: "Journal", aborted: "list[bytes]") -> "Steps":
    """What the core aborted and did not run yet. Whether there was something."""
    is_early = journal.state == STAGE or (journal.state == TRIAL and journal.tries == TRIES)
    if not is_early or journal.digests[journal.target] not in aborted:
        return False
    yield from journal.give_up(False)
    return True


def dotted(version: "list[int] | None") -> str:
    return ".".join([str(number) for number in version]) if version else "none"
