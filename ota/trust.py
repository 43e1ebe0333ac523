"""Who may say what: the chain of roots, and the three kinds of documents besides a release.

A document is the CBOR array [payload, signature ...]: byte strings, the signatures as ota/cose.py reads them, detached
over the payload with the document's kind as external_aad, so that one kind never passes for another. Payloads are maps:

    root      1: version  2: [key ...]  3: {role: [threshold, index ...]}  4: greatest age of a beacon, seconds
              5: whether a release without a beacon may be installed
    approval  1: digest of a manifest  2: go (true) or no-go  3: class identifier, or null for all  4: not before, s
    beacon    1: time, s  2: newest sequence number  3: [allowed digest ...]  4: [aborted digest ...]  5: device or null

Roles and thresholds as in TUF (section 5.3 of its specification): a root follows its predecessor by one version and is
signed by the thresholds of both. The first comes from the image, the package or the owner, never over a network. All
of it is pure: what is remembered between calls (root, time floor) is an argument.

PeerError("cbor", "document", "signature_form"), TrustError("root_version", "beacon_time", "beacon_device") and those of
cose.signers.
"""

from collections import namedtuple

from ota import cbor, cose
from ota.errors import LimitError, PeerError, TrustError

DOCUMENT_BYTES_MAX = 32768
DIGESTS_MAX = 64  # allowed, and aborted, in one beacon
NAME_BYTES_MAX = 64

ROOT, RELEASE, APPROVAL = 1, 2, 3
KIND_ROOT, KIND_APPROVAL, KIND_BEACON = b"corelet-root", b"corelet-approval", b"corelet-beacon"
SECONDS_MAX = (1 << 53) - 1

# `roles`: role -> (threshold, public keys); ROOT and RELEASE always, APPROVAL where releases need approval.
Root = namedtuple("Root", ("version", "roles", "beacon_age_max_s", "offline_ok", "needs_approval"))
Approval = namedtuple("Approval", ("digest", "is_go", "class_id", "not_before"))
Beacon = namedtuple("Beacon", ("time", "newest", "allowed", "aborted", "device"))

if False:
    from typing import Any

    Role = tuple[int, tuple[bytes, ...]]


def first_root(data: bytes) -> Root:
    """One that is trusted for where it comes from; it must still be signed by its own threshold."""
    payload, signatures = _open(data)
    root = _read_root(payload)
    threshold, publics = root.roles[ROOT]
    cose.check_threshold(threshold, len(cose.signers(publics, signatures, payload, KIND_ROOT)))
    return root


def held_root(data: bytes) -> Root:
    """One of the own state folder, proven when it came: a signature costs a small board seconds."""
    return _read_root(_open(data)[0])


def next_root(old: Root, data: bytes) -> Root:
    """The successor of `old`: its version plus one, signed by m of the old and m of the new root keys."""
    payload, signatures = _open(data)
    new = _read_root(payload)
    if new.version != old.version + 1:
        raise TrustError("root_version", f"expected root {old.version + 1}, got {new.version}: send the chain in order")
    publics = old.roles[ROOT][1] + tuple([key for key in new.roles[ROOT][1] if key not in old.roles[ROOT][1]])
    keys = [publics[index] for index in cose.signers(publics, signatures, payload, KIND_ROOT)]
    for threshold, members in (old.roles[ROOT], new.roles[ROOT]):
        cose.check_threshold(threshold, len([key for key in keys if key in members]))
    return new


def read_approval(root: Root, data: bytes) -> Approval:
    """TrustError("threshold") also where the root names nobody who approves."""
    payload, signatures = _open(data)
    threshold, publics = root.roles.get(APPROVAL, (1, ()))
    cose.check_threshold(threshold, len(cose.signers(publics, signatures, payload, KIND_APPROVAL)))
    return held_approval(data)


def held_approval(data: bytes) -> Approval:
    """As `held_root`."""
    values = _map(_open(data)[0], 4)
    if not _is_digest(values[1]) or not isinstance(values[2], bool) or not _is_number(values[4]):
        raise _bad("approval")
    if values[3] is not None and (not isinstance(values[3], bytes) or len(values[3]) != 16):
        raise _bad("approval")
    return Approval(values[1], values[2], values[3], values[4])


def read_beacon(public: bytes, data: bytes, device: str, time_floor: int) -> Beacon:
    """By the one core whose key this is. Its time must be later than `time_floor`, the latest that this core signed
    before, so that a beacon counts once and time never runs backwards."""
    payload, signatures = _open(data)
    cose.check_threshold(1, len(cose.signers((public,), signatures, payload, KIND_BEACON)))
    beacon = held_beacon(data)
    if beacon.device not in (None, device):
        raise TrustError("beacon_device", "expected a beacon for this device, got one for another")
    if beacon.time <= time_floor:
        raise TrustError("beacon_time", f"expected a beacon of later than {time_floor}, got one of {beacon.time}")
    return beacon


def held_beacon(data: bytes) -> Beacon:
    """As `held_root`."""
    values = _map(_open(data)[0], 5)
    if not _is_number(values[1]) or not _is_number(values[2], cbor.INT_MAX):
        raise _bad("beacon")
    for digests in (values[3], values[4]):
        if not isinstance(digests, list) or len(digests) > DIGESTS_MAX or not all(_is_digest(one) for one in digests):
            raise _bad("beacon")
    if values[5] is not None and (not isinstance(values[5], str) or len(values[5]) > NAME_BYTES_MAX):
        raise _bad("beacon")
    return Beacon(values[1], values[2], values[3], values[4], values[5])


def _open(data: bytes) -> "tuple[bytes, list[bytes]]":
    """(payload, signatures); nothing is proven."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise LimitError("too_big", f"expected a document of at most {DOCUMENT_BYTES_MAX} bytes, got {len(data)}")
    parts = cbor.decode(data, (), 1)
    if not isinstance(parts, list) or not parts or [part for part in parts if not isinstance(part, bytes)]:
        raise _bad("document")
    return parts[0], parts[1:]


def _map(payload: bytes, labels: int) -> "dict[Any, Any]":
    """A map of exactly the labels 1 to `labels`."""
    values = cbor.decode(payload, (), 3)
    if not isinstance(values, dict) or sorted(values, key=str) != list(range(1, labels + 1)):
        raise _bad("payload")
    return values


def _read_root(payload: bytes) -> Root:
    values = _map(payload, 5)
    keys, roles = values[2], values[3]
    if not _is_number(values[1]) or not _is_number(values[4]) or not isinstance(values[5], bool):
        raise _bad("root")
    if not isinstance(keys, list) or not 1 <= len(keys) <= cose.KEYS_MAX or not isinstance(roles, dict):
        raise _bad("root")
    for index, key in enumerate(keys):
        if not isinstance(key, bytes) or not cose.is_public(key) or key in keys[:index]:
            raise _bad("root: each key once, and of P-256 or HSS/LMS;")
    if ROOT not in roles or RELEASE not in roles or [role for role in roles if role not in (ROOT, RELEASE, APPROVAL)]:
        raise _bad("root: the roles root, release and perhaps approval;")
    made = {role: _read_role(keys, roles[role]) for role in roles}
    return Root(values[1], made, values[4], values[5], APPROVAL in roles)


def _read_role(keys: "list[bytes]", role: object) -> "Role":
    if not isinstance(role, list) or len(role) < 2 or not all(_is_number(one) for one in role):
        raise _bad("role")
    threshold, members = role[0], role[1:]
    if not 1 <= threshold <= len(members) or members != sorted(set(members)) or members[-1] >= len(keys):
        raise _bad("role: a threshold that its keys, in ascending order, can reach;")
    return threshold, tuple([keys[index] for index in members])


def _is_number(value: object, most: int = SECONDS_MAX) -> bool:
    return type(value) is int and 0 <= value <= most


def _is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _bad(what: str) -> PeerError:
    return PeerError("document", f"expected a document of trust ({what}), got something else")
