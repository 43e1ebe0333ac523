"""What a slot file holds, for who installs and for stage-0; without I/O.

    0    4  magic, "CLS1"
    4    4  length of the envelope, big-endian
    8       the envelope of the release
    36,864  its pack

Nobody's signature is checked here: a slot is trusted when its envelope has the digest that the journal kept once the
signatures were proven, and its image is the one that this envelope names.
"""

from ota import cbor
from ota.commands import HEAD_DIGEST, IMAGE_DIGEST, OVERRIDE_PARAMETERS, SET_COMPONENT_INDEX, read_digest
from ota.errors import CoreletError
from ota.manifest import ENVELOPE_BYTES_MAX, check_digest, read_envelope, read_manifest
from ota.slots import NO_DIGEST, Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ota.manifest import Manifest
    from ota.slots import Steps

MAGIC = b"CLS1"
PACK_OFFSET = 36864
IMAGE_SIZE = 14


def head(envelope: bytes) -> bytes:
    """What stands before the pack."""
    return MAGIC + len(envelope).to_bytes(4, "big") + envelope


def read_raw(slot: str) -> "Steps":
    """The envelope's bytes, whatever they are worth; b"" where there are none."""
    start = yield Effect("read", slot, 0, 8)
    length = int.from_bytes(start[4:8], "big")
    if start[:4] != MAGIC or length > ENVELOPE_BYTES_MAX:
        return b""
    return (yield Effect("read", slot, 8, length))


def read(slot: str, digest: bytes) -> "Steps":
    """The manifest of the release with this digest; None: it is not (whole) in this slot."""
    data = b"" if digest == NO_DIGEST else (yield from read_raw(slot))
    try:
        envelope = read_envelope(data)
        check_digest(envelope)
        return read_manifest(envelope) if envelope.digest == digest else None
    except CoreletError:
        return None


def parameters(manifest: "Manifest") -> "dict[int, Any]":
    """Of the pack (component 0), as the shared sequence sets them outside of any try-each."""
    found: dict[int, Any] = {}
    is_pack = True
    for code, argument in manifest.shared:
        if code == SET_COMPONENT_INDEX:
            is_pack = argument is True or argument == 0 or (isinstance(argument, list) and 0 in argument)
        elif code == OVERRIDE_PARAMETERS and is_pack:
            found.update(argument)
    return found


def is_named(found: "dict[int, Any]") -> bool:
    """Whether these parameters name a pack."""
    return IMAGE_DIGEST in found and IMAGE_SIZE in found and HEAD_DIGEST in found


def is_image(slot: str, found: "dict[int, Any]") -> "Steps":
    """Whether the image that these parameters name stands in the slot: all of it is hashed."""
    if not is_named(found):
        return False
    digest = yield Effect("hash", slot, PACK_OFFSET, found[IMAGE_SIZE])
    return digest == image_digest(found)


def image_digest(found: "dict[int, Any]") -> bytes:
    return read_digest(cbor.decode(found[IMAGE_DIGEST], (), 1))
