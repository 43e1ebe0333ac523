"""Raspberry Pi: autoboot.txt ("autoboot.txt" in the documentation of config.txt), at most 512 bytes, in one sector:

    [all]
    tryboot_a_b=1
    boot_partition=2          the good slot
    [tryboot]
    boot_partition=3          the other one: after `reboot "0 tryboot"`, once

The firmware counts nothing. So the good slot does before each such restart, in a line as in initramfs.py: whatever
becomes of the trial, the next start is the good slot's. `confirm` writes autoboot.txt first, over itself, and the line
follows it. A damaged autoboot.txt starts the first partition that can be started; both slots are whole then, and
`mend` writes the file anew.
"""

from ota.backends import Slots, initramfs
from ota.errors import UsageError
from ota.slots import NONE, Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ota.backends import Place
    from ota.slots import Steps

FILE_BYTES = 256  # all of it is written each time, so that it never grows nor moves


def make_autoboot(good: int, other: int) -> bytes:
    """Of two partitions."""
    data = f"[all]\ntryboot_a_b=1\nboot_partition={good}\n[tryboot]\nboot_partition={other}\n".encode()
    return data + b"\n" * (FILE_BYTES - len(data))


def read_autoboot(text: str) -> "tuple[int, int]":
    """The partitions [all] and [tryboot] of a file that anyone wrote; UsageError("place")."""
    section, found = "[all]", {}
    for line in [line.strip() for line in text.split("\n")]:
        if line[:1] == "[":
            section = line
        elif line[:1] != "#":
            name, _, value = line.partition("=")
            found[section + name.strip()] = value.strip()
    numbers = found.get("[all]boot_partition", ""), found.get("[tryboot]boot_partition", "")
    is_right = found.get("[all]tryboot_a_b") == "1" and numbers[0] != numbers[1]
    if not is_right or not (numbers[0].encode().isdigit() and numbers[1].encode().isdigit()):  # of ASCII
        raise UsageError("place", "expected an autoboot.txt with tryboot_a_b=1 and two boot_partition, got another")
    return int(numbers[0]), int(numbers[1])


class Backend(initramfs.Backend):
    """The third place is autoboot.txt, with the partitions of slot a and slot b for offset and length."""

    NAME = "tryboot"
    REBOOT = "0 tryboot"

    def __init__(self, places: "list[Place]") -> None:
        initramfs.Backend.__init__(self, places)
        self._is_torn = False

    def load(self) -> "Steps":
        yield from Slots.load(self)
        file, *partitions = self.places[2]
        data = yield Effect("read", file, 0, FILE_BYTES)
        files = [make_autoboot(partitions[good], partitions[1 - good]) for good in range(2)]
        self._is_torn = data not in files
        # Confirmed, or the line is lost: the firmware obeys this.
        if not self._is_torn and files.index(data) != self.good:
            self.good, self.trial, self.tries = files.index(data), NONE, 0
            self._copies[0] = None

    def mend(self) -> "Steps":
        if self._is_torn:
            yield from self._choose(self.good)
        yield from Slots.mend(self)

    def _settle(self, good: int) -> "Steps":
        if good != self.good or not self.is_formatted:
            yield from self._choose(good)
        yield from Slots._settle(self, good)

    def _choose(self, good: int) -> "Steps":
        file, *partitions = self.places[2]
        yield Effect("write", file, 0, make_autoboot(partitions[good], partitions[1 - good]))
        yield Effect("flush", file, 0, None)
        self._is_torn = False
