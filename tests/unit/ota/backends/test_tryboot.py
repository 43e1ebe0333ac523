"""Raspberry Pi: autoboot.txt as its documentation has it, and the line that counts."""

from ota.backends import initramfs, tryboot
from ota.errors import UsageError
from ota.slots import NONE
from tests.expect import raises
from tests.unit.ota.backends.memory import Memory, state_of

# "Example update flow for A/B booting" of the documentation, before and after.
INITIAL = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
UPDATED = "[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n"


def loaded(memory):
    backend = tryboot.Backend(initramfs.places("line") + [("autoboot", 2, 3)])
    memory.run(backend.load())
    return backend


def formatted():
    memory = Memory()
    memory.run(loaded(memory).format(0))
    return memory


def text_of(memory):
    return bytes(memory.files["autoboot"][: tryboot.FILE_BYTES]).decode()


def test_the_file_is_as_documented():
    memory = formatted()
    assert text_of(memory).rstrip("\n") + "\n" == INITIAL and len(text_of(memory)) <= 512
    memory.run(loaded(memory).begin(1))
    assert text_of(memory).rstrip("\n") + "\n" == INITIAL, "the firmware needs not know of a trial"
    assert memory.run(loaded(memory).charge()) == 1 and state_of(loaded(memory)) == (0, 1, 2)
    memory.run(loaded(memory).confirm())
    assert text_of(memory).rstrip("\n") + "\n" == UPDATED and state_of(loaded(memory)) == (1, NONE, 0)


def test_what_the_firmware_obeys_counts():
    memory = formatted()
    memory.run(loaded(memory).begin(1))
    memory.files["autoboot"][: tryboot.FILE_BYTES] = tryboot.make_autoboot(3, 2)  # power went before the line
    backend = loaded(memory)
    assert state_of(backend) == (1, NONE, 0)
    memory.run(backend.mend())
    writes = memory.writes
    memory.run(loaded(memory).mend())
    assert state_of(loaded(memory)) == (1, NONE, 0) and memory.writes == writes


def test_a_damaged_file_is_written_anew():
    for good in range(2):
        memory = formatted()
        memory.run(loaded(memory).format(good))
        memory.files["autoboot"][20] ^= 4
        assert state_of(loaded(memory)) == (good, NONE, 0)
        memory.run(loaded(memory).mend())
        assert text_of(memory).rstrip("\n") + "\n" == (INITIAL, UPDATED)[good]


def test_a_file_of_someone_else():
    assert tryboot.read_autoboot(INITIAL) == (2, 3)
    text = "# comment\r\n[all]\r\ntryboot_a_b = 1\r\nboot_partition=5\n\n[tryboot]\nboot_partition=6"
    assert tryboot.read_autoboot(text) == (5, 6)
    for text in (
        "", INITIAL.replace("=3", "=2"), INITIAL.replace("a_b=1", "a_b=0"), INITIAL.replace("[tryboot]", ""),
        INITIAL.replace("=3", "=x"), INITIAL.replace("=3", "=\u00b2"),
    ):  # fmt: skip
        assert raises(UsageError, tryboot.read_autoboot, text).code == "place", text
