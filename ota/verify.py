"""May this release run here? The verdict over an envelope, a root, a beacon and an approval; pure.

`read_release` proves an envelope: shape, digests, m-of-n signatures, subset. `admit` then judges what the signed
documents and the device's own floor say. It fetches nothing, writes nothing and chooses no slot.

TrustError: "digest", "signature", "signer_twice", "threshold", "algorithm", "unsupported" for an envelope;
"security_floor", "rollback", "aborted", "beacon_missing", "beacon_stale", "not_allowed", "fast_forward",
"approval_missing", "approval_other", "not_approved", "approval_early" for a release. PeerError, LimitError: malformed.
"""

from collections import namedtuple

from ota import cose, manifest
from ota.errors import TrustError

if False:
    from ota.trust import Approval, Beacon, Root

# `digest` names a release everywhere: in beacons, approvals, journals. `signers`: indexes of the keys that signed.
Release = namedtuple("Release", ("digest", "manifest", "payloads", "signers"))
# What a device knows: highest confirmed security floor, sequence number of what runs, its class identifier, and how
# old the last beacon is (by the own clock since it came).
Device = namedtuple("Device", ("security_floor", "sequence", "class_id", "beacon_age_s"))


def read_release(data: bytes, threshold: int, publics: "tuple[bytes, ...]") -> Release:
    """An envelope that m of these keys signed."""
    envelope = manifest.read_envelope(data)
    manifest.check_digest(envelope)
    found = cose.signers(publics, envelope.signatures, envelope.signed)
    cose.check_threshold(threshold, len(found))
    return Release(envelope.digest, manifest.read_manifest(envelope), envelope.payloads, found)


def admit(release: Release, root: "Root", device: Device, beacon: "Beacon | None", approval: "Approval | None") -> None:
    """TrustError with the first reason against it. Equal sequence numbers are no rollback: a release may be applied
    again."""
    sequence = release.manifest.sequence
    if sequence < device.security_floor:
        raise TrustError("security_floor", f"expected at least release {device.security_floor}, got {sequence}")
    if sequence < device.sequence:
        raise TrustError("rollback", f"expected at least release {device.sequence}, which runs, got {sequence}")
    if beacon is not None:
        _admit_beacon(release, root, device, beacon)
    elif not root.offline_ok:
        raise TrustError("beacon_missing", "expected a beacon of the core beside the release, got none")
    if root.needs_approval:
        _admit_approval(release, device, beacon, approval)


def _admit_beacon(release: Release, root: "Root", device: Device, beacon: "Beacon") -> None:
    if device.beacon_age_s > root.beacon_age_max_s:
        text = f"expected a beacon of at most {root.beacon_age_max_s} s, the last is {device.beacon_age_s} s old"
        raise TrustError("beacon_stale", text)
    if release.digest in beacon.aborted:
        raise TrustError("aborted", "expected a release that goes on, got one that the core aborted")
    if release.digest not in beacon.allowed:
        raise TrustError("not_allowed", "expected a release that the core allows this device, got another")
    if release.manifest.sequence > beacon.newest:
        text = f"expected at most release {beacon.newest}, the newest that the core knows, got "
        raise TrustError("fast_forward", text + str(release.manifest.sequence))


def _admit_approval(release: Release, device: Device, beacon: "Beacon | None", approval: "Approval | None") -> None:
    if approval is None:
        raise TrustError("approval_missing", "expected the approval that this root asks for, got none")
    if approval.digest != release.digest or approval.class_id not in (None, device.class_id):
        raise TrustError("approval_other", "expected the approval of this release for this board, got another")
    if not approval.is_go:
        raise TrustError("not_approved", "expected an approval, got a no-go")
    if approval.not_before > (0 if beacon is None else beacon.time):
        text = f"expected an approval that is in force, got one from {approval.not_before} on (seconds, core time)"
        raise TrustError("approval_early", text)
