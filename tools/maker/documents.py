"""Documents of trust as they are made: roots, approvals and beacons (ota/trust.py has their bytes). Unsigned here."""

from typing import NamedTuple

from ota import cbor, trust
from ota.errors import TrustError, UsageError
from tools.maker.keys import key_id, kind_of
from tools.maker.signed import APPROVAL, BEACON, ROOT, SHAPES

ROLES = {"root": trust.ROOT, "release": trust.RELEASE, "approval": trust.APPROVAL}
BEACON_AGE_S = 7 * 86400


class Change(NamedTuple):
    """What to do to a root, all of it by public keys. `thresholds`: role -> number. None: as it was."""

    added: list[tuple[int, bytes]]
    removed: list[tuple[int, bytes]]
    replaced: list[tuple[bytes, bytes]]
    thresholds: dict[int, int]
    beacon_age_s: int | None = None
    is_offline_ok: bool | None = None


def first_root(change: Change) -> bytes:
    """The document, unsigned."""
    return _root(trust.Root(0, {}, BEACON_AGE_S, False, False), change)


def next_root(old: trust.Root, change: Change) -> bytes:
    """Version plus one; what is not changed stays."""
    return _root(old, change)


def _root(old: trust.Root, change: Change) -> bytes:
    keys: list[bytes] = []
    roles: dict[int, list[int]] = {}
    for role in ROLES.values():
        threshold, publics = old.roles.get(role, (0, ()))
        members = _changed(role, list(publics), change)
        if not members and role == trust.APPROVAL:
            continue
        for public in members:
            if public not in keys:
                keys.append(public)
        threshold = change.thresholds.get(role, threshold)
        _check(role, threshold, members)
        roles[role] = [threshold, *sorted(keys.index(public) for public in members)]
    age = old.beacon_age_max_s if change.beacon_age_s is None else change.beacon_age_s
    is_offline_ok = old.offline_ok if change.is_offline_ok is None else change.is_offline_ok
    return _unsigned(ROOT, {1: old.version + 1, 2: keys, 3: roles, 4: age, 5: is_offline_ok})


def _changed(role: int, members: list[bytes], change: Change) -> list[bytes]:
    for old, new in change.replaced:
        if old in members and new in members:
            raise UsageError("key", f"expected a new key to replace by, got one that is in role {_word(role)} already")
        members = [new if one == old else one for one in members]
    for where, public in change.removed:
        if where == role:
            if public not in members:
                raise UsageError("key", f"expected a key of role {_word(role)} to remove, got another")
            members.remove(public)
    for where, public in change.added:
        if where == role:
            if public in members:
                raise UsageError("key", f"expected each key once in role {_word(role)}, got one again")
            members.append(public)
    return members


def _check(role: int, threshold: int, members: list[bytes]) -> None:
    if not 1 <= threshold <= len(members):
        text = f"expected --threshold {_word(role)} from 1 to the number of its keys, {len(members)}, got {threshold}"
        raise UsageError("threshold", text + (f": add some with --add {_word(role)} FILE" if not members else ""))


def _word(role: int) -> str:
    return next(word for word, number in ROLES.items() if number == role)


def approval(digest: bytes, is_go: bool, class_id: bytes | None, not_before_s: int) -> bytes:
    return _unsigned(APPROVAL, {1: digest, 2: is_go, 3: class_id, 4: not_before_s})


def beacon(time_s: int, newest: int, allowed: list[bytes], aborted: list[bytes], device: str | None) -> bytes:
    return _unsigned(BEACON, {1: time_s, 2: newest, 3: allowed, 4: aborted, 5: device})


def _unsigned(kind: str, values: dict[int, object]) -> bytes:
    """What the reader on a device would refuse is not made."""
    made = cbor.encode([cbor.encode(values)])
    SHAPES[kind](made)
    return made


def chain(files: list[bytes]) -> trust.Root:
    """The newest root, each proven by the one before it, the first by itself."""
    root = trust.first_root(files[0])
    for data in files[1:]:
        root = trust.next_root(root, data)
    return root


def check_signer(root: trust.Root, before: trust.Root | None, public: bytes) -> None:
    """A signature by anybody else would spoil the document: it is not left out of the count, it refuses the whole."""
    publics = root.roles[trust.ROOT][1] + (before.roles[trust.ROOT][1] if before else ())
    if public not in publics:
        text = "expected a key of the role root, of this document or (named with --after FILE) of the one before it"
        raise TrustError("key", text + f", got {key_id(public).hex()}")


def told(root: trust.Root) -> dict[str, object]:
    """For people and scripts."""
    roles = {
        word: {
            "threshold": root.roles[number][0],
            "keys": [{"id": key_id(one).hex(), "kind": kind_of(one)} for one in root.roles[number][1]],
        }
        for word, number in ROLES.items()
        if number in root.roles
    }
    age = {"beacon_age_max_s": root.beacon_age_max_s, "offline_ok": root.offline_ok}
    return {"version": root.version, "roles": roles, **age}
