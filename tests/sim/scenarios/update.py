"""Updates under power cuts (tests/sim/updating.py): some cuts of a good release, a roll-back, a bad release and one
that raises the floor; then several faults in one update. All cuts, and such updates by the thousand, are done by
tests/sim/updates.py.
"""

from tests.sim.updating import CUT_OUTCOMES, Scene
from tests.sim.world import World

MANY = 12


def run(seed: int) -> bytes:
    world = World(seed)
    scene = Scene(world.random)
    honest = scene.cut(0, "none").source
    assert 0 < honest.by_delta == honest.sent, "nothing in full from an honest source without cuts"
    world.trace("operations", scene.operations, honest.sent)
    for outcome in CUT_OUTCOMES:
        number = world.random.between(1, scene.operations)
        story = scene.cut(number, outcome)
        world.trace("cut", number, outcome, story.starts, story.flash.operations)
    for _ in range(MANY):
        story = scene.faulty()
        world.trace("faults", story.cut_count, story.starts, story.rotted, story.filled, story.source.sent)
    return world.trace_hash()
