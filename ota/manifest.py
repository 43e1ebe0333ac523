"""SUIT envelopes and manifests (draft-ietf-suit-manifest-37), the strict subset that a device obeys.

Bytes in, values out; nothing is proven here but digests. `read_envelope` takes the outer shape apart, `check_digest`
proves that what was signed is the manifest, `read_manifest` admits only the members below and the commands and
parameters of ota/commands.py. Bounds: the constants *_MAX of both files.

PeerError("cbor") and PeerError("manifest"): malformed. TrustError("digest"): a digest does not match.
TrustError("unsupported"): well-formed SUIT outside the subset. LimitError("too_big").
"""

import hashlib
from collections import namedtuple

from ota import cbor
from ota.commands import (
    COMPONENTS_MAX,
    TEXT_BYTES_MAX,
    Reader,
    bad,
    check_version,
    fits,
    is_number,
    read_digest,
    unsupported,
)
from ota.errors import LimitError, TrustError

if False:
    from typing import Any


ENVELOPE_BYTES_MAX = 32768  # an integrated payload is for what is small
PARTS_MAX = 5  # of a component identifier

TAG_ENVELOPE = 107
AUTHENTICATION, MANIFEST = 2, 3
VALIDATE, INVOKE, PAYLOAD_FETCH, INSTALL, TEXT = 7, 9, 16, 20, 23
SEQUENCES = (VALIDATE, INVOKE, PAYLOAD_FETCH, INSTALL)
SEVERABLE = (PAYLOAD_FETCH, INSTALL, TEXT)
# 1 version, 2 sequence number, 3 common, 4 reference URI, 5 component identifier of the manifest, 6 version
MEMBERS = (1, 2, 3, 4, 5, 6) + SEQUENCES + (TEXT,)

# `digest`: of the manifest, as signed. `signed`: the bytes that signatures cover. `members`: severed ones that came.
# `payloads`: integrated ones, by their URI.
Envelope = namedtuple("Envelope", ("digest", "signed", "signatures", "manifest", "members", "payloads"))
# `sequences`: (label, Sequence) in ascending order, those that are severed and absent left out.
Manifest = namedtuple("Manifest", ("sequence", "components", "shared", "sequences", "absent", "security_floor"))


def digest(member: bytes) -> bytes:
    """SHA-256 of a member, the head of its byte string included (section 8.3)."""
    head = bytearray(cbor.encode(len(member)))
    head[0] |= 0x40
    hashed = hashlib.sha256(head)
    hashed.update(member)
    return hashed.digest()


def read_envelope(data: bytes) -> Envelope:
    """The outer shape of a tagged SUIT_Envelope (section 8.2); nothing is proven."""
    if len(data) > ENVELOPE_BYTES_MAX:
        raise LimitError("too_big", f"expected an envelope of at most {ENVELOPE_BYTES_MAX} bytes, got {len(data)}")
    tagged = cbor.decode(data, (TAG_ENVELOPE,), 2)
    content = tagged.value if isinstance(tagged, cbor.Tag) else None
    if not isinstance(content, dict):
        raise bad("envelope", "something else than a map with tag 107")
    payloads, members = {}, {}
    for label in content:
        if not isinstance(content[label], bytes):
            raise bad("envelope", f"a member {label} that is no byte string")
        if isinstance(label, str) and label[:1] == "#":
            payloads[label] = content[label]
        elif label in SEVERABLE:
            members[label] = content[label]
        elif label not in (AUTHENTICATION, MANIFEST):
            raise unsupported("envelope member", label)
    if AUTHENTICATION not in content or MANIFEST not in content:
        raise bad("envelope", "none of the members 2 and 3")
    found, signed, signatures = read_authentication(content[AUTHENTICATION])
    return Envelope(found, signed, signatures, content[MANIFEST], members, payloads)


def read_authentication(member: bytes) -> "tuple[bytes, bytes, list[bytes]]":
    """(digest of the manifest, the bytes that signatures cover, signatures)."""
    blocks = cbor.decode(member, (), 1)
    if not isinstance(blocks, list) or not blocks or [block for block in blocks if not isinstance(block, bytes)]:
        raise bad("authentication wrapper", "something else than byte strings")
    return read_digest(cbor.decode(blocks[0], (), 1)), blocks[0], blocks[1:]


def check_digest(envelope: Envelope) -> None:
    if digest(envelope.manifest) != envelope.digest:
        raise TrustError("digest", "expected the manifest whose digest was signed, got another one")


def read_manifest(envelope: Envelope) -> Manifest:
    """Section 8.4, with what was severed and came back; its digests are proven."""
    content = cbor.decode(envelope.manifest, (), 2)
    if not isinstance(content, dict) or not fits(content.get(1), ("int", 1, 1)) or not is_number(content.get(2)):
        raise bad("manifest", "no map of version 1 with a sequence number")
    for label in content:
        if label not in MEMBERS:
            raise unsupported("manifest member", label)
    _check_information(content)
    components, shared = _open_common(content.get(3))
    reader = Reader(len(components))
    shared = [] if shared is None else reader.sequence(shared, True, 0)
    sequences, absent = [], []
    for label in SEQUENCES + (TEXT,):
        member = content.get(label)
        if isinstance(member, list) and label in SEVERABLE:
            expected, member = read_digest(member), envelope.members.get(label)
            if member is not None and digest(member) != expected:
                raise TrustError("digest", f"expected the severed member {label} that was signed, got another one")
        elif label in envelope.members:
            raise bad("manifest", f"a severed member {label} that it does not name")
        if label in content and member is None:
            absent.append(label)
        elif label in content and label != TEXT:
            sequences.append((label, reader.sequence(member, False, 0)))
        elif label in content and not isinstance(member, bytes):
            raise bad("text", "something else than a byte string")
    if reader.security_floor > content[2]:
        raise bad("security floor", "one above the sequence number")
    return Manifest(content[2], components, shared, sequences, absent, reader.security_floor)


def _check_information(content: "dict[object, object]") -> None:
    """What nothing depends on, but must have its shape."""
    if 4 in content and not fits(content[4], ("text", 1, TEXT_BYTES_MAX)):
        raise bad("reference URI", "something else")
    if 5 in content:
        _check_component(content[5])
    if 6 in content:
        check_version(cbor.decode(content[6], (), 1) if isinstance(content[6], bytes) else None)


def _check_component(identifier: object) -> None:
    if not isinstance(identifier, list) or not 1 <= len(identifier) <= PARTS_MAX:
        raise bad("component identifier", f"something else than 1 to {PARTS_MAX} byte strings")
    for part in identifier:
        if not fits(part, ("bytes", 0, 64)):
            raise bad("component identifier", "a part that is no byte string of at most 64 bytes")


def _open_common(member: "Any") -> "tuple[list[list[bytes]], Any]":
    """Section 8.4.5: components and, not yet read, the shared sequence or None."""
    content = cbor.decode(member, (), 4) if isinstance(member, bytes) else None
    if not isinstance(content, dict) or not isinstance(content.get(2), list):
        raise bad("common", "no map with components")
    for label in content:
        if label not in (2, 4):
            raise unsupported("common member", label)
    if not 1 <= len(content[2]) <= COMPONENTS_MAX:
        raise bad("components", f"{len(content[2])}, at most {COMPONENTS_MAX}")
    for identifier in content[2]:
        _check_component(identifier)
    return content[2], content.get(4)
