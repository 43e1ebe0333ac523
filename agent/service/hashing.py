"""What the driver of the store does to verify a shard: read it once, piece by piece, and hash it."""

import asyncio
import hashlib
from array import array
from binascii import crc32

from agent.errors import PortError

if False:
    from typing import Any

    from agent.core.shards.ticket import Effect
    from agent.port import contract
    from agent.service.slabs import Slabs


async def verify(slabs: "Slabs", effect: "Effect", size: int) -> bytes:
    """SHA-256 of a payload, and the CRC-32 of each piece of `size` bytes into `ticket.sums`. Of a GET the bytes stay
    where hot.py has them, if there is room and they are right. PortError."""
    ticket, hot = effect.ticket, slabs.hot
    held = hot.begin(effect) if hot is not None and ticket.operation == "get" else None
    is_right = False
    try:
        digest = await _hash(slabs, effect, size, held)
        is_right = digest == ticket.shard and slabs.store.is_current(ticket)
    finally:
        if held is not None:
            hot.end(ticket, held, is_right)
    return digest


async def _hash(slabs: "Slabs", effect: "Effect", size: int, held: "Any") -> bytes:
    digest = hashlib.sha256()
    sums = array("I")
    # One buffer: a small heap would be full of pieces again and again.
    data = memoryview(held if isinstance(held, bytearray) else bytearray(min(size, effect.length)))
    for start in range(0, effect.length, size):
        at = start if len(data) == effect.length else 0
        piece = data[at : at + min(size, effect.length - start)]
        slabs.file(effect.slab).readinto(effect.offset + start, piece)
        digest.update(piece)
        sums.append(crc32(piece))
        await asyncio.sleep(0)
    effect.ticket.sums = sums
    effect.ticket.piece_bytes = size
    return digest.digest()


def exactly(file: "contract.Slab", offset: int, length: int) -> bytes:
    data = file.read(offset, length)
    if len(data) != length:
        raise PortError("io", f"The slab file ended: {length} bytes wanted, {len(data)} came.")
    return data
