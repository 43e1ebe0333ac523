"""The strongest back end that holds wins; what nobody holds is `none`, and required ones of those mean no work."""

from agent.core.ceilings import LEVELS, Ceilings
from boards import schema

VALUES = {"descriptors": 256, "memory_kib": 8192, "shard_bps": 64000, "process_count": 4}


def run(machine, holding):
    asked = []
    step = machine.next()
    while step is not None:
        source, _, ceiling, value = step
        asked.append((source, ceiling, value))
        machine.done(step, source in holding)
        step = machine.next()
    return asked


def test_each_ceiling_gets_the_level_of_who_holds_it():
    machine = Ceilings(VALUES, ())
    asked = run(machine, ("setrlimit(2)", "self"))
    assert asked[0] == ("setrlimit(2)", "descriptors", 256)
    assert asked[1:] == [("micropython", "memory_kib", 8192), ("self", "shard_bps", 64000)]
    levels = [machine.levels[name] for name in ("descriptors", "memory_kib", "shard_bps", "process_count")]
    assert levels == ["kernel", "none", "self", "none"]


def test_a_denied_back_end_is_never_asked():
    for denied in ("setrlimit(2)", "setrlimit(2).descriptors"):
        machine = Ceilings(VALUES, (denied,))
        assert [row for row in run(machine, ("setrlimit(2)",)) if row[0] == "setrlimit(2)"] == []
        assert machine.levels["descriptors"] == "none"
    assert run(Ceilings(VALUES, ("setrlimit(2).memory_kib",)), ())[0][0] == "setrlimit(2)"


def test_the_next_back_end_is_asked_only_where_the_stronger_one_failed():
    from agent.core import ceilings

    kept = ceilings.LEVELS
    ceilings.LEVELS = (("kernel", "a", ("descriptors",)), ("self", "b", ("descriptors",)))
    try:
        assert [row[0] for row in run(Ceilings(VALUES, ()), ("a", "b"))] == ["a"]
        machine = Ceilings(VALUES, ())
        assert [row[0] for row in run(machine, ("b",))] == ["a", "b"] and machine.levels["descriptors"] == "self"
    finally:
        ceilings.LEVELS = kept


def test_a_required_ceiling_that_nobody_holds_refuses_work_and_is_named():
    machine = Ceilings(VALUES, ())
    run(machine, ("self",))
    assert machine.refusal(("shard_bps",)) == "" == machine.refusal(())
    text = machine.refusal(("shard_bps", "memory_kib", "process_count"))
    assert text.startswith("no work is taken") and text.endswith(": memory_kib, process_count")


def test_the_table_names_ceilings_that_there_are():
    assert [level for level, _, _ in LEVELS] == ["kernel", "runtime", "self"]
    for _, _, names in LEVELS:
        assert [name for name in names if name not in schema.CEILINGS] == [] and names
