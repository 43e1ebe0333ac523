"""The journal of the slots, over two sectors in memory; power cuts are in tests/sim/scenarios/update.py."""

from ota import slots
from ota.disk import Disk
from ota.errors import UsageError
from ota.slots import IDLE, NONE, STAGE, TRIAL, Journal
from tests.expect import raises
from tests.sim.chance import Xorshift32

ONE, TWO = b"1" * 32, b"2" * 32


class Sectors:
    """Files as Disk wants them, of sectors."""

    def __init__(self):
        self.sectors = {}
        self.run = Disk(self).run

    def file(self, name):
        return Sector(self.sectors, name)

    def loaded(self):
        journal = Journal("journal")
        self.run(journal.load())
        return journal

    def newest(self):
        """Where the record that counts stands."""
        return ("journal", self.loaded()._sector * slots.SECTOR_BYTES)

    def both(self):
        journal, copy = Journal("journal"), Journal("floor")
        return journal, copy, self.run(slots.load(journal, copy))


class Sector:
    def __init__(self, sectors, name):
        self._sectors, self._name = sectors, name

    def read(self, offset, length):
        return self._sectors.get((self._name, offset), bytes(length))

    def write(self, offset, data):
        self._sectors[self._name, offset] = data

    def flush(self):
        pass


def shown(journal):
    return journal.generation, journal.state, journal.active, journal.tries, journal.floor, journal.bad


def on_trial(sectors, sequence=7, digest=ONE, charges=1):
    journal = sectors.loaded()
    sectors.run(journal.stage(digest, sequence))
    sectors.run(journal.begin_trial())
    for _ in range(charges):
        sectors.run(journal.charge())
    return journal


def test_a_new_device():
    assert shown(Sectors().loaded()) == (0, IDLE, NONE, 0, 0, 0)
    assert Sectors().loaded().target == 0


def test_an_update():
    sectors = Sectors()
    journal = on_trial(sectors)
    assert shown(sectors.loaded()) == (3, TRIAL, NONE, 2, 0, 0) == shown(journal)
    sectors.run(journal.confirm(5))
    found = sectors.loaded()
    assert shown(found) == (4, IDLE, 0, 0, 5, 0) and found.digests == [ONE, slots.NO_DIGEST] and found.target == 1
    journal = on_trial(sectors, 8, TWO)
    sectors.run(journal.confirm(3))
    found = sectors.loaded()
    assert (found.active, found.floor, found.digests) == (1, 5, [ONE, TWO]), "a floor never sinks"


def test_staging_on_saves_nothing():
    sectors = Sectors()
    journal = sectors.loaded()
    sectors.run(journal.stage(ONE, 7))
    sectors.run(journal.stage(ONE, 7))
    assert journal.generation == 1 and journal.state == STAGE
    sectors.run(journal.stage(TWO, 7))
    assert journal.generation == 2 and sectors.loaded().digests[0] == TWO


def test_a_failed_trial():
    sectors = Sectors()
    journal = on_trial(sectors, charges=3)
    assert raises(UsageError, sectors.run, journal.charge()).code == "state"
    sectors.run(journal.give_up(True))
    found = sectors.loaded()
    assert (found.state, found.active, found.bad, found.digests[0]) == (IDLE, NONE, 7, slots.NO_DIGEST)
    journal = on_trial(sectors, 8)
    sectors.run(journal.give_up(False))
    assert sectors.loaded().bad == 7 and sectors.loaded().digests[0] == ONE


def test_refunds():
    sectors = Sectors()
    journal = on_trial(sectors, charges=0)
    assert sectors.run(journal.refund()) is False, "none was taken"
    for _ in range(slots.REFUNDS_MAX):
        sectors.run(journal.charge())
        assert sectors.run(journal.refund()) is True and journal.tries == 3
    sectors.run(journal.charge())
    assert sectors.run(journal.refund()) is False and sectors.loaded().tries == 2
    assert sectors.run(Sectors().loaded().refund()) is False


def test_wrong_states():
    sectors = Sectors()
    journal = sectors.loaded()
    for steps in (journal.begin_trial(), journal.charge(), journal.confirm(1), journal.give_up(True)):
        assert raises(UsageError, sectors.run, steps).code == "state"
    journal = on_trial(sectors, charges=0)
    for steps in (journal.stage(TWO, 9), journal.begin_trial(), journal.confirm(1)):
        assert raises(UsageError, sectors.run, steps).code == "state"


def test_one_torn_record_is_as_if_it_had_not_been():
    sectors = Sectors()
    journal = on_trial(sectors)
    place = sectors.newest()
    whole = sectors.sectors[place]
    for at in range(slots.RECORD_BYTES):
        for wrong in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole[:at] + bytes(len(whole) - at)):
            sectors.sectors[place] = wrong
            assert sectors.loaded().generation == (3 if wrong == whole else 2), at
    sectors.sectors[place] = whole + b"\0"
    assert sectors.loaded().generation == 2
    journal = sectors.loaded()
    sectors.run(journal.charge())
    assert sectors.loaded().generation == 3, "over the torn one"


def test_fields_out_of_range():
    """Valid sums over what no journal of ours says."""
    for name, value in (("state", 3), ("active", 2), ("tries", 4), ("refunds", 6)):
        sectors = Sectors()
        journal = on_trial(sectors)
        setattr(journal, name, value)
        sectors.run(journal.save())
        assert sectors.loaded().generation == 3, name


def test_a_lost_journal():
    sectors = Sectors()
    journal, copy, is_there = sectors.both()
    assert is_there
    journal = on_trial(sectors)
    sectors.run(slots.keep(journal, copy))
    assert copy.generation == 0, "nothing is confirmed"
    sectors.run(journal.confirm(6))
    sectors.run(slots.keep(journal, copy))
    sectors.run(slots.keep(journal, copy))
    assert copy.generation == journal.generation == 4
    for offset in (0, slots.SECTOR_BYTES):
        sectors.sectors.pop(("journal", offset))
    found, _, is_there = sectors.both()
    assert not is_there and (found.active, found.floor, found.digests[0], found.state) == (0, 6, ONE, IDLE)


def test_a_journal_that_fell_back_to_its_older_record():
    """Neither the floor nor the choice goes back with it, nor is a confirmed release called bad."""
    sectors = Sectors()
    journal = on_trial(sectors, charges=3)
    sectors.run(journal.confirm(6))
    sectors.run(slots.keep(journal, Journal("floor")))
    sectors.sectors.pop(sectors.newest())
    assert sectors.loaded().state == TRIAL
    found, copy, is_there = sectors.both()
    assert not is_there and shown(found) == (6, IDLE, 0, 0, 6, 0)
    sectors.run(found.stage(TWO, 8))
    assert shown(sectors.both()[0]) == (7, STAGE, 0, 0, 6, 0) and sectors.both()[2]


def test_whatever_stands_there():
    random = Xorshift32(5)
    for _ in range(300):
        journal = Journal("journal")
        journal.read(random.bytes(random.below(2 * slots.RECORD_BYTES)))
        assert journal.generation == 0
