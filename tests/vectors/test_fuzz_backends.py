"""Invariant: whatever a place of a slot back end holds, its reader returns a state that can be (a good slot; a trial,
if any, of the other one; tries only with a trial) or nothing, raises nothing, and what it wrote itself it reads.

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import os
import random

import pytest

from ota.backends import TRIES_MAX, Slots, grub, initramfs, tryboot, uboot
from ota.errors import UsageError
from ota.slots import NONE
from tests.unit.ota.backends.memory import Memory, state_of

FULL = 30
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1
PLACES = {
    "initramfs": initramfs.places("line"),
    "grub": grub.places("boot"),
    "uboot": uboot.read_config("env 0 0x400\nenv 0x1000 0x400\n"),
    "tryboot": [*initramfs.places("line"), ("autoboot", 2, 3)],
}
MODULES = {"initramfs": initramfs, "grub": grub, "uboot": uboot, "tryboot": tryboot}
PIECES = (b"\0", b"\n", b"=", b"#", b"a", b"b", b"-", b"9", b"corelet_good=", b"bootcount=", b"CLB1 ", b"\xff", b"\xc3")


def loaded(kind: str, memory: Memory) -> Slots:
    backend: Slots = MODULES[kind].Backend(PLACES[kind])  # type: ignore[attr-defined]
    memory.run(backend.load())
    return backend


def can_be(backend: Slots) -> bool:
    good, trial, tries = state_of(backend)
    return good in (0, 1) and trial in (1 - good, NONE) and 0 <= tries <= (0 if trial == NONE else TRIES_MAX)


def damaged(seed: random.Random, file: bytearray, start: int) -> None:
    for _ in range(seed.randrange(1, 4)):
        at = start + seed.randrange(160)
        piece = seed.choice(PIECES) if seed.randrange(2) else seed.randbytes(seed.randrange(1, 40))
        file[at : at + len(piece)] = piece


def sealed(file: bytearray, offset: int) -> None:
    """So that U-Boot's sum is right whatever the variables are."""
    data = bytes(file[offset + 5 : offset + 0x400])
    file[offset : offset + 4] = uboot.struct.pack("I", uboot.crc32(data))


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("number", range(4 * ROUNDS))
def test_no_damage_makes_a_state_that_cannot_be(kind: str, number: int) -> None:
    seed = random.Random(number)
    for _ in range(150):
        memory = Memory()
        good, tries = seed.randrange(2), seed.randrange(1, TRIES_MAX + 1)
        memory.run(loaded(kind, memory).format(good))
        memory.run(loaded(kind, memory).begin(1 - good, tries))
        assert state_of(loaded(kind, memory)) == (good, 1 - good, tries)
        file, offset, _ = seed.choice(PLACES[kind])
        offset = 0 if file == "autoboot" else offset
        damaged(seed, memory.files[file], offset)
        if kind == "uboot" and seed.randrange(2):
            sealed(memory.files[file], offset)
        backend = loaded(kind, memory)
        assert can_be(backend)
        memory.run(backend.mend())
        memory.run(backend.charge())
        assert can_be(backend) and state_of(loaded(kind, memory)) == state_of(backend)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_texts_of_others_are_read_or_refused(number: int) -> None:
    seed = random.Random(number)
    texts = (
        "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n",
        "/dev/x 0 0x400\n/dev/x 0x1000 0x400\n",
    )
    for reader, text in zip((tryboot.read_autoboot, uboot.read_config), texts, strict=True):
        for _ in range(500):
            made = list(text)
            for _ in range(seed.randrange(1, 4)):
                made[seed.randrange(len(made))] = seed.choice("\n =[]x0123456789#ab\r-²")
            try:
                assert len(reader("".join(made))) == 2  # type: ignore[operator]
            except UsageError as error:
                assert error.code == "place"
