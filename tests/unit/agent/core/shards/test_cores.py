"""How many cores may have records here, and that their numbers are used again."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from agent.errors import LimitError
from tests.expect import raises
from tests.unit.agent.core.shards.rig import CORE, OTHER, Rig, name_of, payload


@both
def test_more_cores_than_there_are_numbers():
    rig = Rig()
    for number in range(63):
        core = f"{number:016x}"
        rig.times[core] = 1_000_000
        assert rig.put(payload(1), core) == "stored"
    assert raises(LimitError, rig.begin, payload(1), CORE).code == "cores"
    rig.store.forget(f"{7:016x}", 0)
    rig.pump()
    assert rig.put(payload(1), CORE) == "stored"


@both
def test_cores_do_not_see_each_other():
    rig = Rig()
    data = payload(1)
    assert rig.put(data) == "stored" and rig.get(name_of(data), OTHER) == "absent"
    assert rig.put(data, OTHER) == "stored", "never present because of another core"
    assert rig.delete(name_of(data)) == "deleted"
    assert rig.get(name_of(data), OTHER) == data and rig.head(name_of(data), OTHER) == "found"
