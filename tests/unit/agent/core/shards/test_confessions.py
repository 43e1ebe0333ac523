"""What a device tells a core of its own rot: what is rotten now, to the core whose it is, and only so much at once."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from agent.core.shards.confessions import TOLD_MAX, Confessions
from agent.core.shards.recall import Recall
from agent.errors import PortError
from tests.unit.agent.core.shards.rig import CORE, OTHER, Rig, name_of, payload


def spoil(rig, data):
    for slab in rig.slabs.values():
        for place in range(slab.length // 1024):
            if slab.slot(place)[40:72] == name_of(data):
                slab.slot(place)[140] ^= 1
    assert rig.get(name_of(data)) == "corrupt"


@both
def test_rot_is_told_until_it_is_gone():
    rig = Rig()
    confessions = Confessions(rig.store)
    bodies = [payload(number) for number in range(20)]
    for data in bodies:
        rig.put(data)
    rig.put(payload(99), OTHER)
    assert confessions.names(CORE) == []
    for data in bodies:
        spoil(rig, data)
    Recall(rig.store).skip(PortError("io", "a header"))
    for report in rig.store.reports:
        confessions.note(report)
    names = [name_of(data).hex() for data in bodies]
    assert confessions.names(CORE) == confessions.names(CORE) == names[:TOLD_MAX]
    assert confessions.names(OTHER) == []
    rig.put(bodies[0])
    rig.delete(name_of(bodies[1]))
    assert confessions.names(CORE) == names[2 : 2 + TOLD_MAX]


@both
def test_so_many_are_remembered():
    rig = Rig()
    confessions = Confessions(rig.store)
    rig.put(payload(1))
    spoil(rig, payload(1))
    for _ in range(100):
        confessions.note(rig.store.reports[0])
    assert len(confessions._reports) == 64
