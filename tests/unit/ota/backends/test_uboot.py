"""U-Boot's environment; fw_printenv and fw_setenv read and write the same in tests/e2e/test_backends.py."""

import struct
from binascii import crc32

from ota.backends import uboot
from ota.errors import LimitError, UsageError
from ota.slots import NONE
from tests.expect import raises
from tests.unit.ota.backends.memory import FILE_BYTES, Memory, state_of

CONFIG = "# device offset size\nenv 0x0 0x400\nenv 0x1000 0x400 0x1000 1\n"


def loaded(memory):
    backend = uboot.Backend(uboot.read_config(CONFIG))
    memory.run(backend.load())
    return backend


def copy_of(flag, variables):
    data = b"".join([text + b"\0" for text in variables]) + b"\0"
    data += bytes(0x400 - 5 - len(data))
    return struct.pack("I", crc32(data)) + bytes([flag]) + data


def written(memory, offset, flag, variables):
    memory.files.setdefault("env", bytearray(FILE_BYTES))[offset : offset + 0x400] = copy_of(flag, variables)


def test_the_variables_of_others_stay():
    memory = Memory()
    written(memory, 0, 1, [b"bootdelay=2", b"ethaddr=02:00:00:00:00:01", b"bootcmd=run a=b; run c"])
    assert not loaded(memory).is_formatted
    memory.run(loaded(memory).format(1))
    backend = loaded(memory)
    assert backend.is_formatted and state_of(backend) == (1, NONE, 0) and backend.generation == 3
    assert backend._variables[:3] == [
        (b"bootdelay", b"2"), (b"ethaddr", b"02:00:00:00:00:01"), (b"bootcmd", b"run a=b; run c"),
    ]  # fmt: skip


def test_the_higher_flag_counts_and_0_is_above_255():
    flags = ((1, 2, 1), (2, 1, 0), (7, 7, 0), (255, 0, 1), (0, 255, 0), (254, 255, 1), (0, 254, 1))
    for first, second, newest in flags:
        memory = Memory()
        written(memory, 0, first, [b"corelet_good=a"])
        written(memory, 0x1000, second, [b"corelet_good=b"])
        assert loaded(memory).good == newest, (first, second)


def test_a_copy_without_its_sum_does_not_count():
    memory = Memory()
    written(memory, 0, 1, [b"corelet_good=b"])
    written(memory, 0x1000, 2, [b"corelet_good=a"])
    memory.files["env"][0x1000 + 900] ^= 1
    assert loaded(memory).good == 1


def test_a_trial_as_u_boot_counts_it():
    memory = Memory()
    memory.run(loaded(memory).format(0))
    memory.run(loaded(memory).begin(1))
    shown = dict(loaded(memory)._variables)
    assert shown[b"upgrade_available"] == b"1" and shown[b"bootcount"] == b"0" and shown[b"bootlimit"] == b"3"
    assert shown[b"corelet_slot"] == b"b" and shown[b"corelet_good"] == b"a"
    assert [memory.run(loaded(memory).charge()) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert dict(loaded(memory)._variables)[b"bootcount"] == b"5" and state_of(loaded(memory)) == (0, 1, 0)
    memory.run(loaded(memory).give_up())
    shown = dict(loaded(memory)._variables)
    assert shown[b"upgrade_available"] == b"0" and shown[b"corelet_slot"] == b"a" and shown[b"bootcount"] == b"0"


def test_what_someone_else_wrote_into_ours():
    for variables, state in (
        ([b"corelet_good=c", b"corelet_slot=b", b"upgrade_available=1"], (0, NONE, 0)),
        ([b"corelet_good=a", b"corelet_slot=a", b"upgrade_available=1"], (0, NONE, 0)),
        ([b"corelet_good=a", b"corelet_slot=b", b"upgrade_available=0"], (0, NONE, 0)),
        ([b"corelet_good=a", b"corelet_slot=b", b"upgrade_available=1", b"bootlimit=x"], (0, 1, 0)),
        ([b"corelet_good=a", b"corelet_slot=b", b"upgrade_available=1", b"bootlimit=99"], (0, 1, 9)),
    ):
        memory = Memory()
        written(memory, 0, 1, variables)
        assert state_of(loaded(memory)) == state, variables


def test_no_room():
    memory = Memory()
    written(memory, 0, 1, [b"x=" + b"y" * 990])
    assert raises(LimitError, memory.run, loaded(memory).format(0)).code == "space"


def test_places_that_are_none():
    for text in (
        "", "env 0 0x400\n", "env 0 0x400\nenv 0x200 0x400\n", "env 0 0x400\nenv 0x1000 0x800\n",
        "env 0 16\nenv 64 16\n", "env zero 0x400\nenv 0x1000 0x400\n",
        "env 0\nenv 1\n", "/dev/mtd0 0 0x400\n/dev/mtd1 0 0x400\n",
    ):  # fmt: skip
        assert raises(UsageError, uboot.read_config, text).code == "place"
