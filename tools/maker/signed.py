"""What several people sign one after the other: release envelopes and documents of trust, as files that are passed on.

Each signs offline, with one key on one machine; the file grows by a signature. Copies that were signed in parallel are
merged. Nothing is signed that ota would refuse to read.
"""

from collections.abc import Callable
from typing import NamedTuple

from ota import cbor, cose, manifest, trust
from ota.errors import TrustError, UsageError
from tools.maker.keys import Signer

ROOT, APPROVAL, BEACON, RELEASE = "root", "approval", "beacon", "release"
KINDS = {ROOT: trust.KIND_ROOT, APPROVAL: trust.KIND_APPROVAL, BEACON: trust.KIND_BEACON, RELEASE: b""}
SHAPES: dict[str, Callable[[bytes], object]] = {
    ROOT: trust.held_root,
    APPROVAL: trust.held_approval,
    BEACON: trust.held_beacon,
}


class Signed(NamedTuple):
    """`payload`: what signatures cover. `envelope`: of a release the envelope, else None."""

    kind: str
    payload: bytes
    signatures: list[bytes]
    envelope: manifest.Envelope | None = None

    def encoded(self) -> bytes:
        if self.envelope is None:
            return cbor.encode([self.payload, *self.signatures])
        members = {**self.envelope.members, **self.envelope.payloads}
        wrapper = cbor.encode([self.payload, *self.signatures])
        whole = {manifest.AUTHENTICATION: wrapper, manifest.MANIFEST: self.envelope.manifest, **members}
        return cbor.encode(cbor.Tag(manifest.TAG_ENVELOPE, whole))

    def by(self, public: bytes) -> bool:
        """Whether this key signed already."""
        aad = KINDS[self.kind]
        return any(cose.is_by(public, cose.read_signature(one), self.payload, aad) for one in self.signatures)


def opened(kind: str, data: bytes) -> Signed:
    """The file of this kind; nothing is proven but a release's digest. CoreletError."""
    if kind == RELEASE:
        envelope = manifest.read_envelope(data)
        manifest.check_digest(envelope)
        manifest.read_manifest(envelope)
        return Signed(kind, envelope.signed, envelope.signatures, envelope)
    SHAPES[kind](data)
    payload, *signatures = cbor.decode(data, (), 1)
    return Signed(kind, payload, signatures)


def sign(found: Signed, signer: Signer) -> Signed:
    """With one signature more. TrustError("signer_twice"); a leaf of an HSS key is used for a right file only."""
    if found.by(signer.public):
        raise TrustError("signer_twice", "expected a key that has not signed this yet, got one that has")
    _check_room(len(found.signatures) + 1)
    made = found._replace(signatures=[*found.signatures, signer.sign(found.payload, KINDS[found.kind])])
    _check_size(made)
    return made


def merge(files: list[Signed]) -> Signed:
    """All signatures of copies of one file, each key once (by its id: who verifies asks the key itself)."""
    first = files[0]
    signatures: dict[bytes, bytes] = {}
    for one in files:
        if one.payload != first.payload:
            raise UsageError("payload", "expected copies of one file, got files that say different things")
        for signature in one.signatures:
            read = cose.read_signature(signature)
            signatures.setdefault(read.kid or signature, signature)
    _check_room(len(signatures))
    made = first._replace(signatures=list(signatures.values()))
    _check_size(made)
    return made


def _check_room(count: int) -> None:
    if count > cose.SIGNATURES_MAX:
        raise UsageError("too_big", f"expected at most {cose.SIGNATURES_MAX} signatures, got {count}")


def _check_size(made: Signed) -> None:
    most = manifest.ENVELOPE_BYTES_MAX if made.kind == RELEASE else trust.DOCUMENT_BYTES_MAX
    if len(made.encoded()) > most:
        raise UsageError("too_big", f"expected at most {most} bytes with all signatures, got {len(made.encoded())}")
