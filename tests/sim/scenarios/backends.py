"""Boot sides under power cuts (tests/sim/booting.py): of each kind a cut at every write and every flush of good
releases and a bad one, torn writes included; then several cuts, with bit rot between trials.

CORELET_FULL=1 cuts at every operation, and lives MANY_FULL stories of several cuts a seed.
"""

import os

from tests.sim.booting import KINDS, Board
from tests.sim.world import World

SAMPLE, MANY, MANY_FULL = 16, 4, 100


def run(seed: int) -> bytes:
    world = World(seed)
    is_full = os.getenv("CORELET_FULL") == "1"
    for kind in sorted(KINDS):
        board = Board(kind, world.random, [])
        board.live()
        operations = board.flash.operations
        world.trace(kind, operations, board.starts)
        every = range(1, operations + 1)
        for number in every if is_full else [1 + world.random.below(operations) for _ in range(SAMPLE)]:
            board = Board(kind, world.random, [number])
            board.live()
            world.trace("cut", number, board.starts, board.flash.operations)
        for _ in range(MANY_FULL if is_full else MANY):
            board = Board(kind, world.random, [world.random.between(1, 25) for _ in range(world.random.between(2, 4))])
            board.rot = 250 * world.random.below(4)
            board.live()
            world.trace("cuts", board.cut_count, board.starts, board.rotted)
    return world.trace_hash()
