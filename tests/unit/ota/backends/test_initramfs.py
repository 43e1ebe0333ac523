"""The line that an initramfs reads, and the words that all back ends have."""

from ota.backends import follow, initramfs
from ota.errors import UsageError
from ota.slots import IDLE, NONE, SECTOR_BYTES, STAGE, TRIAL, Journal
from tests.expect import raises
from tests.unit.ota.backends.memory import Memory, state_of


def loaded(memory):
    backend = initramfs.Backend(initramfs.places("line"))
    memory.run(backend.load())
    return backend


def formatted(good=0):
    memory = Memory()
    memory.run(loaded(memory).format(good))
    return memory


def test_nothing_is_there():
    backend = loaded(Memory())
    assert not backend.is_formatted and state_of(backend) == (0, NONE, 0)


def test_both_lines_say_the_same_between_trials():
    backend = loaded(formatted(1))
    assert backend.is_formatted and state_of(backend) == (1, NONE, 0) and backend.generation == 100_000_002
    assert backend._copies == [(1, NONE, 0), (1, NONE, 0)]


def test_a_trial_is_charged_and_confirmed():
    memory = formatted()
    memory.run(loaded(memory).begin(1))
    for left in (2, 1, 0):
        assert memory.run(loaded(memory).charge()) == 1
        assert state_of(loaded(memory)) == (0, 1, left)
    memory.run(loaded(memory).confirm())
    assert state_of(loaded(memory)) == (1, NONE, 0)
    assert memory.run(loaded(memory).charge()) == 1


def test_without_a_try_the_good_slot_runs_and_nothing_is_written():
    memory = formatted()
    memory.run(loaded(memory).begin(1, 1))
    memory.run(loaded(memory).charge())
    writes = memory.writes
    assert memory.run(loaded(memory).charge()) == 0 and memory.writes == writes
    memory.run(loaded(memory).give_up())
    assert state_of(loaded(memory)) == (0, NONE, 0)


def test_begun_twice_counts_on():
    memory = formatted()
    memory.run(loaded(memory).begin(1))
    memory.run(loaded(memory).charge())
    memory.run(loaded(memory).begin(1))
    assert state_of(loaded(memory)) == (0, 1, 2)


def test_what_cannot_be():
    memory = formatted()
    for steps in (loaded(memory).begin(0), loaded(memory).begin(1, 0), loaded(memory).confirm()):
        assert raises(UsageError, memory.run, steps).code == "state"


def test_no_byte_of_a_line_can_change():
    backend = initramfs.Backend(initramfs.places("line"))
    backend.good, backend.trial, backend.tries, backend.generation = 0, 1, 3, 100_000_003
    line = backend.encode()
    assert len(line) == 64 and line.startswith(b"CLB1 100000003 a b 3 ")
    assert backend.decode(line) == (100_000_003, 0, 1, 3)
    for place in range(64):
        for bit in range(8):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            assert backend.decode(bytes(changed)) is None, place
    assert backend.decode(line[:-1]) is None and backend.decode(b"") is None


def test_a_line_that_says_what_cannot_be():
    backend = initramfs.Backend(initramfs.places("line"))
    for good, trial, tries in ((0, 0, 3), (0, NONE, 1), (1, 1, 0), (NONE, 0, 1)):
        backend.good, backend.trial, backend.tries, backend.generation = good, trial, tries, 100_000_003
        assert backend.decode(backend.encode()) is None


def test_one_rotten_line_costs_nothing_and_is_mended():
    for place in (5, SECTOR_BYTES + 5):
        memory = formatted(1)
        memory.files["line"][place] ^= 1
        backend = loaded(memory)
        assert state_of(backend) == (1, NONE, 0)
        memory.run(backend.mend())
        assert loaded(memory)._copies == [(1, NONE, 0), (1, NONE, 0)]
        writes = memory.writes
        memory.run(loaded(memory).mend())
        assert memory.writes == writes


def journal_of(memory, backend, state=IDLE, active=0):
    journal = Journal("journal", backend)
    memory.run(journal.load())
    journal.state, journal.active, journal.sequence = state, active, 7
    return journal


def test_the_journal_follows_what_power_cut_in_two():
    memory = formatted()
    memory.run(loaded(memory).begin(1))
    journal = journal_of(memory, loaded(memory), STAGE)
    assert memory.run(follow(journal, 1)) and journal.state == TRIAL
    memory.run(loaded(memory).confirm())
    journal = journal_of(memory, loaded(memory), TRIAL)
    assert not memory.run(follow(journal, 1)) and (journal.state, journal.active, journal.bad) == (IDLE, 1, 0)


def test_a_trial_without_tries_failed_unless_it_runs():
    memory = formatted()
    memory.run(loaded(memory).begin(1, 1))
    memory.run(loaded(memory).charge())
    assert memory.run(follow(journal_of(memory, loaded(memory), TRIAL), 1))
    journal = journal_of(memory, loaded(memory), TRIAL)
    assert not memory.run(follow(journal, 0)) and (journal.state, journal.active, journal.bad) == (IDLE, 0, 7)
    assert state_of(loaded(memory)) == (0, NONE, 0)


def test_called_off_is_not_bad():
    memory = formatted()
    journal = journal_of(memory, loaded(memory), TRIAL)
    assert not memory.run(follow(journal, 0)) and (journal.state, journal.bad) == (IDLE, 0)


def test_a_journal_that_was_lost_takes_what_runs():
    memory = formatted(1)
    journal = journal_of(memory, loaded(memory), IDLE, NONE)
    assert not memory.run(follow(journal, 1)) and journal.active == 1 and journal.generation == 1
