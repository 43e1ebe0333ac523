"""Proofs of parts of shards, for a GET that says Want-Merkle-Path: 1. Loaded when the first one comes.

The whole shard is read and hashed for it once more, piece by piece, so a path costs what a GET of all of it does.
"""

import asyncio

from agent.errors import PeerError
from agent.wire import merkle

if False:
    from agent.core.shards.ticket import Ticket
    from agent.service.slabs import Slabs


async def path(slabs: "Slabs", ticket: "Ticket", first: int, count: int) -> str:
    """The nodes, in hex, that lead from `count` bytes of a shard that was found to its root. PeerError("range"),
    PortError."""
    end, leaf = first + count, merkle.LEAF_BYTES
    if first % leaf or (end % leaf and end < ticket.length):
        raise PeerError("range", f"A Merkle path is of whole leaves of {leaf} bytes; the range has parts of some.")
    tree = merkle.Tree(first // leaf, merkle.leaves_of(end))
    for number in range(max(1, (ticket.length + ticket.piece_bytes - 1) // ticket.piece_bytes)):
        tree.extend(slabs.read_piece(ticket, number))
        await asyncio.sleep(0)
    tree.root()
    return b"".join(tree.path).hex()
