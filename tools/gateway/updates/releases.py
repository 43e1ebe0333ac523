"""The releases that this core may hand out: roots, envelopes, packs and approvals, as files of its state folder.

    releases.add(Offer(envelope, pack, approvals, roots))      nothing of it is kept unless all of it is right

The operator gives the first root; each later one must follow the newest. An envelope must be signed as the newest root
asks, its pack must be the one it names. Approvals of several people are collected: their signatures are merged.
Files are written whole, the envelope last: a release is there when its envelope is. So a power cut leaves it or not.

Layout: roots/N, packs/NAME, approvals/DIGEST, releases/DIGEST, as a source has them (ota/README.md).
Bounds: RELEASES_MAX, ROOTS_MAX, APPROVALS_MAX in one offer; sizes as ota has them.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from agent.errors import PortError
from ota import cbor, commands, cose, manifest, trust, verify
from ota.content import parameters
from ota.errors import CoreletError, LimitError, TrustError, UsageError
from ota.source import check_uri
from tools.gateway.private import write_private
from tools.maker import packs, signed

RELEASES_MAX = 64
ROOTS_MAX = 64
APPROVALS_MAX = 16
REFERENCE_CHARS_MIN = 4
FOLDERS = ("roots", "packs", "approvals", "releases")
T = TypeVar("T")


class Offer(NamedTuple):
    """What an operator hands in. `pack`: b"" where it is here already."""

    envelope: bytes
    pack: bytes
    approvals: list[bytes]
    roots: list[bytes]


class Kept(NamedTuple):
    """One release. `image`: SHA-256 of its pack, hex; `pack`: the pack's name in the source."""

    digest: str
    sequence: int
    vendor: bytes
    class_id: bytes
    image: str
    size: int
    pack: str
    signatures: int


class Releases:
    """Of the core whose state this is. Calls may come from a thread, one at a time (updates.py sees to that)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _disk(folder):
            for name in FOLDERS:
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            numbers = sorted(int(path.name) for path in (folder / "roots").iterdir() if path.name.isdigit())
            self.root = self._opened(trust.held_root, "roots", str(numbers[-1])) if numbers else None
            digests = sorted(path.name for path in (folder / "releases").iterdir() if len(path.name) == 64)
            self.kept = {digest: self._opened(read, "releases", digest) for digest in digests}
            self._sweep()

    def add(self, offer: Offer) -> Kept:
        """UsageError("root", "pack", "name_taken"), TrustError, PeerError as ota says them, LimitError("releases")."""
        root, roots = self._follow(offer.roots)
        threshold, publics = root.roles[trust.RELEASE]
        verify.read_release(offer.envelope, threshold, publics)
        found = read(offer.envelope)
        if found.digest not in self.kept and len(self.kept) >= RELEASES_MAX:
            raise LimitError("releases", f"there are {RELEASES_MAX} releases: remove one with corelet-core release rm")
        self._check_pack(found, offer)
        approval = self._approval(root, found, offer.approvals)
        with _disk(self.folder):
            for version, data in roots:
                write_private(self.folder / "roots" / str(version), data)
            self.root = root
            if offer.pack:
                write_private(self.folder / found.pack, offer.pack)
            if approval:
                write_private(self.folder / "approvals" / found.digest, approval)
            write_private(self.folder / "releases" / found.digest, offer.envelope)
        self.kept = self.kept | {found.digest: found}  # not in place: the loop may be reading it
        return found

    def _follow(self, files: list[bytes]) -> tuple[trust.Root, list[tuple[int, bytes]]]:
        """The newest root with these, and those of them that are new here."""
        root = self.root
        new: list[tuple[int, bytes]] = []
        if len(files) > ROOTS_MAX:
            raise LimitError("roots", f"expected at most {ROOTS_MAX} roots at once, got {len(files)}")
        for data in files:
            version = trust.held_root(data).version
            if root is not None and version <= root.version:
                if self._read("roots", str(version)) not in (b"", data) and version not in dict(new):
                    raise TrustError("root", f"expected root {version} as this core has it, got another")
                continue
            root = trust.first_root(data) if root is None else trust.next_root(root, data)
            new.append((root.version, data))
        if root is None:
            text = "expected the root that releases are signed under with the first of them: add --root FILE"
            raise UsageError("root", text)
        return root, new

    def _check_pack(self, found: Kept, offer: Offer) -> None:
        others = [one for one in self.kept.values() if one.pack == found.pack and one.image != found.image]
        if others:
            text = f"expected a pack of another name, {found.pack} belongs to release {others[0].sequence}"
            raise UsageError("name_taken", text)
        if offer.pack:
            packs.check_pack(signed.opened(signed.RELEASE, offer.envelope), offer.pack)
        elif not any(one.image == found.image for one in self.kept.values()):
            raise UsageError("pack", "expected the pack of this release, which is not here yet: add --pack FILE")

    def _approval(self, root: trust.Root, found: Kept, files: list[bytes]) -> bytes:
        """All signatures so far, those that were here too; b"": none."""
        if len(files) > APPROVALS_MAX:
            raise LimitError("approvals", f"expected at most {APPROVALS_MAX} approvals at once, got {len(files)}")
        before = self._read("approvals", found.digest)
        parts = [signed.opened(signed.APPROVAL, data) for data in [before, *files] if data]
        if not files or not parts:
            return b""
        publics = root.roles.get(trust.APPROVAL, (1, ()))[1]
        if before and parts[0].payload != parts[-1].payload:
            parts = parts[1:]  # who approves may change their minds; then all of them sign anew
        made = signed.merge(parts)
        said = trust.held_approval(made.encoded())
        if said.digest.hex() != found.digest:
            raise TrustError("approval_other", "expected an approval of this release, got one of another")
        cose.signers(publics, made.signatures, made.payload, trust.KIND_APPROVAL)
        return made.encoded()

    def remove(self, digest: str) -> None:
        """The envelope first: without it the rest is nothing."""
        found = self.kept[digest]
        self.kept = {name: one for name, one in self.kept.items() if name != digest}
        with _disk(self.folder):
            (self.folder / "releases" / digest).unlink(missing_ok=True)
            (self.folder / "approvals" / digest).unlink(missing_ok=True)
            if not any(one.pack == found.pack for one in self.kept.values()):
                (self.folder / found.pack).unlink(missing_ok=True)

    def find(self, reference: str) -> Kept:
        """By its digest, the beginning of it, or its sequence number. UsageError("no_such_release", "ambiguous")."""
        found = [one for one in self.kept.values() if one.digest == reference]
        found = found or [one for one in self.kept.values() if str(one.sequence) == reference]
        if not found and len(reference) >= REFERENCE_CHARS_MIN:
            found = [one for one in self.kept.values() if one.digest.startswith(reference)]
        if not found:
            text = f"there is no release {reference!r}: corelet-core release ls shows what there is"
            raise UsageError("no_such_release", text)
        if len(found) > 1:
            raise UsageError("ambiguous", f"{reference!r} fits {len(found)} releases: write its digest")
        return found[0]

    def judge(self, found: Kept) -> str:
        """Why devices would refuse it, as a sentence; "" when they would not for what the core can know."""
        assert self.root is not None
        try:
            threshold, publics = self.root.roles[trust.RELEASE]
            verify.read_release(self._read("releases", found.digest), threshold, publics)
            if self.root.needs_approval:
                data = self._read("approvals", found.digest)
                if not data:
                    raise TrustError("approval_missing", "expected the approval that the root asks for, got none")
                if not trust.read_approval(self.root, data).is_go:
                    raise TrustError("not_approved", "expected an approval, got a no-go")
        except CoreletError as error:
            return str(error.text)
        return ""

    def approvals(self, digest: str) -> int:
        """How many have signed."""
        data = self._read("approvals", digest)
        return len(signed.opened(signed.APPROVAL, data).signatures) if data else 0

    def newest(self) -> int:
        """The highest sequence number here."""
        return max((one.sequence for one in self.kept.values()), default=0)

    def small(self, kind: str, name: str) -> bytes:
        """A root, an envelope or an approval; b"": it is not here."""
        if kind == "roots":
            return self._read(kind, name) if name.isdigit() and len(name) < 10 else b""
        return self._read(kind, name) if name in self.kept else b""

    def pack_path(self, name: str) -> Path | None:
        """Of `packs/NAME`."""
        return self.folder / name if any(one.pack == name for one in self.kept.values()) else None

    def by_image(self, beginning: str) -> Kept | None:
        """Whose pack's digest begins so."""
        return next((one for one in self.kept.values() if one.image.startswith(beginning)), None)

    def _read(self, kind: str, name: str) -> bytes:
        try:
            return (self.folder / kind / name).read_bytes()
        except FileNotFoundError:
            return b""

    def _opened(self, reader: Callable[[bytes], T], kind: str, name: str) -> T:
        """One that was right when it was kept. PortError("damaged")."""
        try:
            return reader(self._read(kind, name))
        except CoreletError as error:
            text = f"{self.folder / kind / name} is damaged ({error.text}): put the file that was added there again"
            text += ", or remove it" * (kind == "releases")
            raise PortError("damaged", text) from error

    def _sweep(self) -> None:
        """What an add that was cut left."""
        known = {self.folder / one.pack for one in self.kept.values()}
        known |= {self.folder / "approvals" / digest for digest in self.kept}
        for kind in ("packs", "approvals"):
            for path in (self.folder / kind).iterdir():
                if path not in known:
                    path.unlink()


def read(envelope: bytes) -> Kept:
    """What it says; nothing is proven. UsageError("pack") for one that names no pack as it is served here."""
    opened = manifest.read_envelope(envelope)
    said = manifest.read_manifest(opened)
    found = parameters(said)
    uris = [
        argument[packs.URI]
        for _, sequence in said.sequences
        for code, argument in sequence
        if code == commands.OVERRIDE_PARAMETERS and packs.URI in argument
    ]
    if len(set(uris)) != 1 or not uris[0].startswith("packs/") or uris[0].count("/") != 1 or ".new" in uris[0]:
        raise UsageError("pack", f"expected an envelope that names one pack as packs/NAME, got {uris or 'none'}")
    image = commands.read_digest(cbor.decode(found[commands.IMAGE_DIGEST], (), 1))
    return Kept(
        opened.digest.hex(), said.sequence, found.get(packs.VENDOR_ID, b""), found.get(packs.CLASS_ID, b""),
        image.hex(), found.get(packs.IMAGE_SIZE, 0), check_uri(uris[0]), len(opened.signatures),
    )  # fmt: skip


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = (
            f"{folder} could not be read or written ({os.strerror(error.errno or 0)}): check the disk, then try again"
        )
        raise PortError("io", text) from error
