"""A delta as a device applies it: BASE DELTA OUT HEAD-DIGEST; both interpreters. Prints how many segments there were.

The digests of segments are read from what was written, one by one: the head of a pack of some hundred files would fill
half of the heap that this is to fit into.
"""

import struct
import sys

from ota import port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

port.begin()

from ota.delta import PREFIX_BYTES, Base, Delta, apply, read_count  # noqa: E402 (after begin: see there)
from ota.errors import CoreletError  # noqa: E402
from ota.pack import DIGEST_BYTES, PREFIX, SEGMENT_BYTES  # noqa: E402
from ota.pack import PREFIX_BYTES as PACK_PREFIX_BYTES  # noqa: E402


def main(names: "list[str]", head_digest: bytes) -> int:
    with open(names[0], "rb") as base, open(names[1], "rb") as delta, open(names[2], "w+b") as out:
        return made(base, delta, out, head_digest)


def made(base: "BinaryIO", delta: "BinaryIO", out: "BinaryIO", head_digest: bytes) -> int:
    def read(offset: int, length: int) -> bytes:
        base.seek(offset)
        return base.read(length)

    prefix = delta.read(PREFIX_BYTES)
    found = Delta(prefix + delta.read(2 * read_count(prefix)))
    source = Base(read, base.seek(0, 2))
    place, size = found.record(0)
    delta.seek(place)
    apply(delta, size, source, (0, found.head_bytes, head_digest), out.write)
    out.seek(0)
    _, head_bytes, index_bytes, pack_bytes = struct.unpack(PREFIX, out.read(PACK_PREFIX_BYTES))
    for number in range(found.records - 1):
        out.seek(PACK_PREFIX_BYTES + index_bytes + DIGEST_BYTES * number)
        digest = out.read(DIGEST_BYTES)
        start = head_bytes + number * SEGMENT_BYTES
        out.seek(start)
        place, size = found.record(number + 1)
        delta.seek(place)
        apply(delta, size, source, (start, min(SEGMENT_BYTES, pack_bytes - start), digest), out.write)
    return found.records - 1


try:
    print(main(sys.argv[1:4], bytes.fromhex(sys.argv[4])))
except CoreletError as error:
    print(error.code)
    sys.exit(1)
