"""Several sources for one device: what one of them has not, has wrong or is too slow with, comes from the next. Packs:
ota/fetch.py."""

from ota import cbor, port, trust
from ota.errors import CoreletError, LimitError, TrustError, UsageError
from ota.manifest import ENVELOPE_BYTES_MAX
from ota.source import open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ota.client import State
    from ota.trust import Root
    from ota.verify import Release

SOURCES_MAX = 8
ROOTS_MAX = 64  # in one refresh


class Sources:
    """`places`: of ota/source.py, also several with commas. `all`: open, those that failed last behind the others."""

    def __init__(self, places: "list[str]") -> None:
        names = ",".join(places).split(",")
        if len(names) > SOURCES_MAX:
            raise UsageError("usage", f"expected at most {SOURCES_MAX} sources, got {len(names)}")
        self.all = [open_source(name) for name in names]

    def first(self, use: "Callable[[Any], Any]") -> "Any":
        """What `use(source)` gives, of the first where that is neither None nor an error. None: no source has it. The
        error of the last, where there was nothing else."""
        failed: CoreletError | None = None
        is_answered = False
        for source in list(self.all):
            try:
                found = use(source)
            except CoreletError as error:
                failed = error
                self.all.remove(source)
                self.all.append(source)
                continue
            if found is not None:
                return found
            is_answered = True
        if failed and not is_answered:
            raise failed
        return None

    def refresh(self, state: "State") -> str:
        """Newer roots, from whoever has the next one; then the newest beacon of all, since one may hold it back."""
        for _ in range(ROOTS_MAX):
            found = self.first(lambda source: _next_root(state, source))
            if not found:
                break
            state.files.replace("root", found[1])
            state.root = found[0]
        came: list[tuple[Any, bytes]] = []
        if state.files.exists("core"):
            self.first(lambda source: _read_beacon(state, source, came))
        result = "same" if came else "no_beacon"
        for beacon, document in came:
            if state.beacon is None or beacon.time > state.beacon.time:
                start, now = port.uptime()
                state.files.replace("beacon", cbor.encode([start, now, document]))
                state.beacon, state.beacon_document, state.beacon_age_s = beacon, document, 0
                result = "fresh"
        return result

    def newest(self, state: "State") -> "tuple[bytes, Release]":
        """Of what the beacon allows the highest sequence number, by its digest."""
        if state.beacon is None:
            raise TrustError("beacon_missing", "expected a beacon that says what to install, got none; refresh first")
        made: list[tuple[bytes, Release]] = []
        for digest in state.beacon.allowed:
            if digest in state.beacon.aborted:
                continue
            found = self.first(lambda source: _named(state, source, digest))  # noqa: B023 (used before the next)
            if found and (not made or found[1].manifest.sequence > made[0][1].manifest.sequence):
                made = [found]
        if not made:
            raise LimitError("nothing", "expected a release that the beacon allows at this source, got none")
        return made[0]

    def admit(self, state: "State", release: "Release", sequence: int) -> None:
        """By the approval of the first that has a right one, where one has to be."""

        def judge(source: "Any") -> bool:
            uri = f"approvals/{release.digest.hex()}"
            approval = source.small(uri, trust.DOCUMENT_BYTES_MAX) if state.root.needs_approval else None
            state.admit(release, sequence, approval)
            return True

        self.first(judge)


def _named(state: "State", source: "Any", digest: bytes) -> "tuple[bytes, Release] | None":
    """The release with that digest, as one source has it."""
    data = source.small(f"releases/{digest.hex()}", ENVELOPE_BYTES_MAX)
    if data is None:
        return None
    release = state.read_release(data)
    if release.digest != digest:
        raise TrustError("digest", f"expected the release {digest.hex()[:16]} that the beacon names, got another")
    return data, release


def _next_root(state: "State", source: "Any") -> "tuple[Root, bytes] | None":
    data = source.small(f"roots/{state.root.version + 1}", trust.DOCUMENT_BYTES_MAX)
    return None if data is None else (trust.next_root(state.root, data), data)


def _read_beacon(state: "State", source: "Any", came: "list[tuple[Any, bytes]]") -> None:
    document = source.small("beacon", trust.DOCUMENT_BYTES_MAX)
    if document:
        floor = state.beacon.time if state.beacon else 0
        is_same = document == state.beacon_document
        came.append((state.beacon if is_same else state.judge_beacon(document, floor), document))
