"""Updates under power cuts (tests/sim/updating.py): a cut at every write and every flush of a good release, a
roll-back, a bad release and one that raises the floor; then several cuts with a lying network and bit rot.

CORELET_FULL=1 cuts at every operation, and lives MANY_FULL stories of several cuts a seed.
"""

import os

from tests.sim.updating import Scene
from tests.sim.world import World

SAMPLE, MANY, MANY_FULL = 12, 12, 250


def run(seed: int) -> bytes:
    world = World(seed)
    scene = Scene(world.random)
    story = scene.story()
    story.live()
    operations = story.flash.operations
    world.trace("operations", operations, story.starts)
    is_full = os.getenv("CORELET_FULL") == "1"
    for number in range(1, operations + 1) if is_full else [1 + world.random.below(operations) for _ in range(SAMPLE)]:
        story = scene.story()
        story.cuts = [number]
        story.live()
        world.trace("cut", number, story.starts, story.flash.operations)
    for _ in range(MANY_FULL if is_full else MANY):
        story = scene.story()
        story.cuts = [world.random.between(1, 30) for _ in range(world.random.between(2, 4))]
        story.source._lies, story.source._stops = 20, 20
        story.rot = 100 * world.random.below(4)
        story.refunds_wanted = world.random.below(3)
        story.live()
        world.trace("cuts", story.cut_count, story.starts, story.rotted, story.source.sent)
    return world.trace_hash()
