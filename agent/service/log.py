"""What the driver of the store does to move a shard: read it piece by piece, hash it and write it at its new place."""

import asyncio
import hashlib

from agent.core.shards.ticket import WRITE, Effect
from agent.errors import PortError
from agent.service.hashing import exactly

if False:
    from agent.service.slabs import Slabs


async def verify(slabs: "Slabs", effect: Effect, size: int) -> bytes:
    """SHA-256 of a payload that was copied in pieces of `size` bytes; b"" when it cannot be read. PortError when it
    cannot be written."""
    digest = hashlib.sha256()
    slab, offset = effect.data
    for start in range(0, effect.length, size):
        try:
            piece = exactly(slabs.file(slab), offset + start, min(size, effect.length - start))
        except PortError:
            return b""
        slabs._write(Effect(WRITE, effect.slab, effect.offset + start, len(piece), None, None), piece)
        digest.update(piece)
        await asyncio.sleep(0)
    return digest.digest()
