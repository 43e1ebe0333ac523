"""The disk is full, or fails, at every single operation in turn: nothing that was acknowledged is lost, nothing wrong
is served, and the store says what it does from then on."""

from tests.unit.agent.core.shards.layouts import both  # isort: skip

from agent.core.shards.ticket import CREATE, FLUSH, MEMO, WRITE
from agent.errors import CoreletError, PortError
from tests.unit.agent.core.shards.rig import SLOT, Rig, name_of, payload

OPERATIONS = 60


class Failing(Rig):
    """Operation number `at` fails with `code`."""

    day = 1 << 24
    at = 0
    code = ""
    count = 0

    def carry_out(self, effect, data=None):
        if effect.kind in (WRITE, CREATE, FLUSH, MEMO):
            self.count += 1
            if self.count == self.at:
                self.store.done(effect, PortError(self.code, "a test said so"), self.now)
                return
        super().carry_out(effect, data)


def attempt(action, *arguments):
    try:
        return action(*arguments)
    except CoreletError as error:
        return error.code


def work(rig):
    """Shards that were acknowledged, and those whose deletion was."""
    kept, gone = [], []
    for number in range(8):
        if attempt(rig.put, payload(number)) in ("stored", "present"):
            kept.append(number)
    for number in (1, 3):
        shard = name_of(payload(number))
        result = attempt(rig.delete, shard)
        if number in kept and result == "deleted":
            gone.append(number)
        if number in kept:
            kept.remove(number)
    if attempt(rig.put, payload(3)) in ("stored", "present"):
        kept.append(3)
    return kept, [number for number in gone if number != 3]  # a put that failed may have taken it back


def check(code):
    for at in range(1, OPERATIONS):
        rig = Failing(quota=6 * SLOT)
        rig.at, rig.code = at, code
        kept, gone = work(rig)
        for _ in range(2):
            assert [rig.get(name_of(payload(number))) for number in kept] == [payload(number) for number in kept]
            assert [rig.get(name_of(payload(number))) for number in gone] == ["absent"] * len(gone)
            if rig.store.fault:
                assert attempt(rig.put, payload(99)) == code and ("", code) in rig.reports()
            rig.at = 0
            rig.start()
        assert rig.store.fault == ""
    assert rig.count < OPERATIONS, "every one has failed once"


@both
def test_a_full_disk():
    check("disk_full")


@both
def test_a_disk_that_fails():
    check("io")


@both
def test_a_disk_that_is_read_only_now():
    check("read_only")
