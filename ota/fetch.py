"""Brings a pack into a slot: what is not right there yet, by a delta against the pack that runs where a source has one,
else in full, from each source in turn; without I/O.

The head, then each segment, flushed one by one so that a cut costs one of them. Whatever way a part came, it counts
when its digest is the one that was signed. So a source that lies, stops or is slow costs one attempt and is left for
the next one; a delta that fails is left for the pack, and after DELTA_FAULTS_MAX times for good.

The error of the last source where none had a part: TrustError("head", "segment"), or what ota/source.py says.
"""

from ota import pack
from ota.commands import HEAD_DIGEST
from ota.content import IMAGE_SIZE, PACK_OFFSET
from ota.errors import CoreletError, PortError, TrustError, UsageError
from ota.slots import Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ota.slots import Steps

DELTA_FAULTS_MAX = 4  # of one source


class Fetch:
    """`found`: what names the pack; `digest`: of all of it. `base`: (slot, bytes, digest) of the pack that runs.
    `sources`: how many there are."""

    def __init__(
        self, slot: str, found: "dict[int, Any]", digest: bytes, base: "tuple[str, int, bytes]", sources: int
    ) -> None:
        self.slot, self.found, self._digest, self._base, self._sources = slot, found, digest, base, sources
        self.pack: Any = None
        self._best = 0  # the source that had the last part
        self._delta: Any = None
        self._asked = self._faults = 0  # sources, for their deltas; records of the last one's that were wrong

    def run(self, uri: str) -> "Steps":
        if not (yield from self._has_head()):
            most = min(pack.HEAD_BYTES_MAX, self.found[IMAGE_SIZE])
            patched = yield from self._patch(0, (0, 0, self.found[HEAD_DIGEST]), most)
            if not patched or not (yield from self._has_head()):
                yield from self._in_turn(self._head, uri)
        for number in range(self.pack.segments):
            segment = self.pack.segment(number)
            if (yield from self._has(segment)):
                continue
            if not (yield from self._patch(number + 1, segment, segment[1])) or not (yield from self._has(segment)):
                yield from self._in_turn(self._segment, uri, segment)

    def _in_turn(self, bring: "Callable[..., Steps]", *what: "Any") -> "Steps":
        failed: CoreletError = UsageError("source", "expected a source, got none")
        for number in range(self._sources):
            which = (self._best + number) % self._sources
            try:
                yield from bring(which, *what)
            except CoreletError as error:
                failed = error
                continue
            self._best = which
            return
        raise failed

    def _head(self, which: int, uri: str) -> "Steps":
        yield from self._part(which, uri, 0, pack.PREFIX_BYTES)
        head_bytes, size = pack.read_prefix((yield Effect("read", self.slot, PACK_OFFSET, pack.PREFIX_BYTES)))
        if size != self.found[IMAGE_SIZE]:  # nor could more than the slot holds be asked for
            raise TrustError("head", f"expected a pack of {self.found[IMAGE_SIZE]} bytes, got one of {size}")
        yield from self._part(which, uri, pack.PREFIX_BYTES, head_bytes - pack.PREFIX_BYTES)
        yield Effect("flush", self.slot, 0, None)
        if not (yield from self._has_head()):
            raise TrustError("head", "expected the pack's head as it was signed, got another; try another source")

    def _segment(self, which: int, uri: str, segment: "tuple[int, int, bytes]") -> "Steps":
        start, length, _ = segment
        yield from self._part(which, uri, start, length)
        yield Effect("flush", self.slot, 0, None)
        if not (yield from self._has(segment)):
            text = f"expected the segment at {start} as it was signed, got another; try another source"
            raise TrustError("segment", text)

    def _part(self, which: int, uri: str, start: int, length: int) -> "Steps":
        failed = yield Effect("fetch", self.slot, PACK_OFFSET + start, (which, uri, start, length))
        if failed:
            raise failed

    def _has(self, segment: "tuple[int, int, bytes]") -> "Steps":
        return (yield Effect("hash", self.slot, PACK_OFFSET + segment[0], segment[1])) == segment[2]

    def _has_head(self) -> "Steps":
        """Whether the slot has the head that was signed; then `pack` is it, read."""
        prefix = yield Effect("read", self.slot, PACK_OFFSET, pack.PREFIX_BYTES)
        length = int.from_bytes(prefix[8:12], "big")
        if not pack.PREFIX_BYTES <= length <= min(pack.HEAD_BYTES_MAX, self.found[IMAGE_SIZE]):
            return False
        if (yield Effect("hash", self.slot, PACK_OFFSET, length)) != self.found[HEAD_DIGEST]:
            return False
        self.pack = pack.Pack((yield Effect("read", self.slot, PACK_OFFSET, length)))
        if self.pack.pack_bytes != self.found[IMAGE_SIZE]:
            raise TrustError("head", f"expected a pack of {self.found[IMAGE_SIZE]} bytes, got {self.pack.pack_bytes}")
        return True

    def _patch(self, number: int, segment: "tuple[int, int, bytes]", bytes_max: int) -> "Steps":
        """Whether a record made it."""
        yield from self._open()
        if self._delta is None or number >= self._delta.records:
            return False
        failed = yield Effect("patch", self.slot, PACK_OFFSET + segment[0], (number, segment, bytes_max))
        if not failed:
            yield Effect("flush", self.slot, 0, None)
            return True
        self._faults += 1
        if isinstance(failed, PortError) or self._faults == DELTA_FAULTS_MAX:
            self._delta = None
        return False

    def _open(self) -> "Steps":
        """The delta in use, or that of the next source which has one for these two packs."""
        slot, size, digest = self._base
        uri = f"deltas/{self._digest.hex()[:16]}-{digest.hex()[:16]}"
        while self._delta is None and self._asked < self._sources:
            found = yield Effect("delta", slot, size, (self._asked, uri))
            self._asked, self._faults = self._asked + 1, 0
            if not isinstance(found, CoreletError) and (found.base, found.target) == (digest, self._digest):
                self._delta = found
