"""Packs (ota/pack.py has their bytes) and the unsigned envelope that names one: a pure function of files and facts.

No times, no owners, no order but that of the names: two builds on two paths are the same bytes.
"""

import hashlib
import struct
from typing import Any, NamedTuple

from ota import cbor, commands, manifest, pack
from ota.errors import TrustError, UsageError
from tools.maker.signed import RELEASE, Signed, opened

COMPONENT = b"pack"
FETCH_REPORT, REPORT = 2, 15
VENDOR_ID, CLASS_ID, IMAGE_SIZE, URI = 1, 2, 14, 21
CHECK_VENDOR, CHECK_CLASS, CHECK_IMAGE, FETCH = 1, 2, 3, 21


class Facts(NamedTuple):
    """What a manifest says besides its pack. `needs`: name -> [at least, below]. `version`: for people."""

    sequence: int
    vendor_id: bytes
    class_id: bytes
    needs: dict[str, list[list[int]]]
    security_floor: int
    version: list[int]


def encode(files: dict[str, bytes]) -> bytes:
    """The pack of these files, path -> content; read back before anybody gets it. LimitError("too_big")."""
    lines, offset = [], 0
    names = sorted(files, key=str.encode)
    for name in names:
        lines.append(f"{name} {offset} {len(files[name])}\n")
        offset += len(files[name])
    body = b"".join(files[name] for name in names)
    index = "".join(lines).encode()
    digests = b"".join(hashlib.sha256(segment).digest() for segment in _segments(body))
    head_bytes = pack.PREFIX_BYTES + len(index) + len(digests)
    head = struct.pack(pack.PREFIX, pack.MAGIC, head_bytes, len(index), head_bytes + len(body)) + index + digests
    made = head + body
    check(made)
    return made


def _segments(body: bytes) -> list[bytes]:
    return [body[start : start + pack.SEGMENT_BYTES] for start in range(0, len(body), pack.SEGMENT_BYTES)]


def head_of(data: bytes) -> bytes:
    return data[: pack.read_prefix(data[: pack.PREFIX_BYTES])[0]]


def check(data: bytes) -> pack.Pack:
    """Head and every segment; PeerError("pack"), LimitError("too_big"), TrustError("digest")."""
    found = pack.Pack(head_of(data))
    if len(data) != found.pack_bytes:
        raise TrustError("digest", f"expected a pack of {found.pack_bytes} bytes, got {len(data)}")
    for number in range(found.segments):
        start, length, digest = found.segment(number)
        if hashlib.sha256(data[start : start + length]).digest() != digest:
            raise TrustError("digest", f"expected segment {number} that the head names, got another")
    return found


def envelope(data: bytes, facts: Facts) -> bytes:
    """An unsigned SUIT envelope for this pack; read back as a device does."""
    digest = hashlib.sha256(data).digest()
    parameters: dict[int, Any] = {
        VENDOR_ID: facts.vendor_id,
        CLASS_ID: facts.class_id,
        commands.IMAGE_DIGEST: cbor.encode([commands.SHA256, digest]),
        IMAGE_SIZE: len(data),
        commands.HEAD_DIGEST: hashlib.sha256(head_of(data)).digest(),
        commands.NEEDS: cbor.encode({_shortest(name): two for name, two in facts.needs.items()}),
    }
    if facts.security_floor:
        parameters[commands.SECURITY_FLOOR] = facts.security_floor
    shared = [commands.OVERRIDE_PARAMETERS, parameters, CHECK_VENDOR, REPORT, CHECK_CLASS, REPORT]
    install = [commands.OVERRIDE_PARAMETERS, {URI: pack_name(digest)}, FETCH, FETCH_REPORT, CHECK_IMAGE, REPORT]
    content = {
        1: 1,
        2: facts.sequence,
        3: cbor.encode({2: [[COMPONENT]], 4: cbor.encode(shared)}),
        6: cbor.encode(facts.version),
        manifest.VALIDATE: cbor.encode([CHECK_IMAGE, REPORT]),
        manifest.INSTALL: cbor.encode(install),
    }
    member = cbor.encode(content)
    wrapper = cbor.encode([cbor.encode([commands.SHA256, manifest.digest(member)])])
    made = cbor.encode(cbor.Tag(manifest.TAG_ENVELOPE, {manifest.AUTHENTICATION: wrapper, manifest.MANIFEST: member}))
    opened(RELEASE, made)
    return made


def _shortest(name: str) -> str | int:
    """As an envelope names it; devices know what these numbers are."""
    return commands.NAMES.index(name) if name in commands.NAMES else name


def pack_name(digest: bytes) -> str:
    """Where the pack is in a source (ota/README.md); the digest proves it, so half of half of it is name enough."""
    return f"packs/{digest.hex()[:16]}"


def parameters_of(found: Signed) -> dict[int, Any]:
    """Of the shared sequence."""
    assert found.envelope is not None
    shared = manifest.read_manifest(found.envelope).shared
    made: dict[int, Any] = {}
    for code, argument in shared:
        if code == commands.OVERRIDE_PARAMETERS:
            made.update(argument)
    return made


def check_pack(found: Signed, data: bytes) -> None:
    """That this is the pack which the envelope names. TrustError("digest"); UsageError("no_pack")."""
    said = parameters_of(found)
    if not {commands.IMAGE_DIGEST, commands.HEAD_DIGEST, IMAGE_SIZE} <= set(said):
        raise UsageError("no_pack", "expected an envelope that names a pack by digest, head digest and size")
    came = (
        [commands.SHA256, hashlib.sha256(data).digest()],
        len(data),
        hashlib.sha256(head_of(data)).digest(),
    )
    named = (cbor.decode(said[commands.IMAGE_DIGEST]), said[IMAGE_SIZE], said[commands.HEAD_DIGEST])
    for word, one, other in zip(("digest", "size", "head digest"), came, named, strict=True):
        if one != other:
            raise TrustError("digest", f"expected the pack that the envelope names, got one of another {word}")
    check(data)


def summary(found: Signed) -> list[str]:
    """What somebody is about to answer for."""
    assert found.envelope is not None
    read = manifest.read_manifest(found.envelope)
    said = parameters_of(found)
    lines = [f"release {read.sequence}, digest {found.envelope.digest.hex()}, security floor {read.security_floor}"]
    if commands.IMAGE_DIGEST in said:
        image = commands.read_digest(cbor.decode(said[commands.IMAGE_DIGEST], (), 1))
        lines.append(f"pack of {said.get(IMAGE_SIZE)} bytes, SHA-256 {image.hex()}")
    if CLASS_ID in said:
        lines.append(f"for class {said[CLASS_ID].hex()} of vendor {said.get(VENDOR_ID, b'').hex()}")
    if commands.NEEDS in said:
        lines.append("needs " + ", ".join(_range(name, *two) for name, two in sorted(needs_of(said).items())))
    return lines


def needs_of(said: dict[int, Any]) -> dict[str, list[list[int]]]:
    return commands.read_needs(said[commands.NEEDS])


def _range(name: str, least: list[int], below: list[int]) -> str:
    return f"{name} >= {'.'.join(map(str, least))}, < {'.'.join(map(str, below))}"
