"""U-Boot's redundant environment (CONFIG_SYS_REDUNDAND_ENVIRONMENT), as fw_printenv and fw_setenv have it: two copies

    CRC-32 of the data, in the order of the processor | flag, one byte | NAME=VALUE\\0 ... \\0, padded

each of the size and at the place that fw_env.config gives. The copy with the higher flag counts, 0 being above 255;
where they are equal, the first. Variables of others stay as they are. Ours, with U-Boot's own of CONFIG_BOOTCOUNT_ENV
("Boot Count Limit" in its documentation):

    corelet_good        a or b          corelet_slot        what bootcmd is to start: the slot on trial, or the good one
    upgrade_available   1: on trial     bootcount, bootlimit    U-Boot counts up while upgrade_available is 1
    altbootcmd          what U-Boot runs in place of bootcmd once bootcount is above bootlimit: the good slot

The board's bootcmd starts the slot ${corelet_slot} with corelet.slot=${corelet_slot} on the kernel's command line.
Raw flash (mtd) is not for this: it has to be erased, and has other flags.
"""

import struct
from binascii import crc32

from ota.backends import TRIES_MAX, Slots, letter, slot_of
from ota.errors import LimitError, UsageError
from ota.slots import NONE, TRIES, Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ota.backends import Place
    from ota.slots import Steps

HEAD_BYTES = 5
SIZE_MIN, SIZE_MAX = 1024, 1 << 17
GENERATIONS = 256
FALLBACK = b"setenv corelet_slot ${corelet_good}; run bootcmd"


def read_config(text: str) -> "list[Place]":
    """fw_env.config: two lines of device, offset and size, numbers as in C; UsageError("place")."""
    found: list[Place] = []
    for line in text.split("\n"):
        words = line.split("#")[0].split()
        if words:
            try:
                found.append((words[0], int(words[1], 0), int(words[2], 0)))
            except (IndexError, ValueError):
                raise UsageError("place", f"expected device, offset and size, got {line.strip()}")
    if len(found) != 2 or found[0][2] != found[1][2] or not SIZE_MIN <= found[0][2] <= SIZE_MAX:
        text = f"expected two places of the same {SIZE_MIN} to {SIZE_MAX} bytes (a redundant environment)"
        raise UsageError("place", f"{text}, got {found}")
    if found[0][0] == found[1][0] and abs(found[0][1] - found[1][1]) < found[0][2]:
        raise UsageError("place", f"expected two places apart from each other, got {found}")
    if "/mtd" in found[0][0] + found[1][0]:
        raise UsageError("place", "expected a file or a block device, got raw flash, which is not supported")
    return found


class Backend(Slots):
    NAME = "uboot"

    def __init__(self, places: "list[Place]") -> None:
        Slots.__init__(self, places)
        self._variables: list[tuple[bytes, bytes]] = []
        self._count, self._limit = 0, TRIES

    @property
    def is_formatted(self) -> bool:
        return _value(self._variables, b"corelet_good") in (b"a", b"b")

    def load(self) -> "Steps":
        newest = None  # (flag, variables)
        for number in range(2):
            file, offset, length = self.places[number]
            data = yield Effect("read", file, offset, length)
            self._copies[number] = None
            if len(data) == length and crc32(data[HEAD_BYTES:]) == struct.unpack("I", data[:4])[0]:
                found = data[4], _variables(data)
                self._copies[number] = found[1]
                if newest is None or _is_newer(found[0], newest[0]):
                    newest, self._newest = found, number
        if newest is not None:
            self.generation, self._variables = newest
        if self.is_formatted:
            self._read_state()

    def _read_state(self) -> None:
        variables = self._variables
        self.good = slot_of(_value(variables, b"corelet_good").decode())
        self.trial, self.tries = NONE, 0
        slot = _value(variables, b"corelet_slot")
        if _value(variables, b"upgrade_available") == b"1" and slot == letter(1 - self.good).encode():
            self.trial = 1 - self.good
            self._count, self._limit = _number(variables, b"bootcount"), _number(variables, b"bootlimit")
            self.tries = max(min(self._limit, TRIES_MAX) - self._count, 0)

    def following(self) -> int:
        return (self.generation + 1) % GENERATIONS

    def begin(self, slot: int, tries: int = TRIES) -> "Steps":
        if self.trial != slot:
            self._count, self._limit = 0, tries
        yield from Slots.begin(self, slot, tries)

    def charge(self) -> "Steps":
        """As U-Boot: counted first, then compared; and counted on above the limit."""
        if self.trial == NONE:
            return self.good
        slot = self.trial if self.tries else self.good
        self._count += 1
        yield from self._save(self.good, self.trial, max(self.tries - 1, 0))
        return slot

    def encode(self) -> bytes:
        is_on_trial = self.trial != NONE
        ours = [
            (b"corelet_good", letter(self.good).encode()),
            (b"corelet_slot", letter(self.trial if is_on_trial else self.good).encode()),
            (b"upgrade_available", b"1" if is_on_trial else b"0"),
            (b"bootcount", str(self._count if is_on_trial else 0).encode()),
            (b"bootlimit", str(self._limit).encode()),
            (b"altbootcmd", FALLBACK),
        ]
        names = [name for name, _ in ours]
        self._variables = [row for row in self._variables if row[0] not in names] + ours
        data = b"".join([name + b"=" + value + b"\0" for name, value in self._variables]) + b"\0"
        room = self.places[0][2] - HEAD_BYTES
        if len(data) > room:
            raise LimitError("space", f"expected at most {room} bytes of variables, got {len(data)}; remove some")
        data += bytes(room - len(data))
        return struct.pack("I", crc32(data)) + bytes([self.generation]) + data

    def said(self) -> "list[tuple[bytes, bytes]]":
        return list(self._variables)


def _is_newer(flag: int, than: int) -> bool:
    """Where both are equal the first copy counts."""
    if (flag, than) in ((0, 255), (255, 0)):
        return flag == 0
    return flag > than


def _variables(data: bytes) -> "list[tuple[bytes, bytes]]":
    """Up to the empty one."""
    found = []
    for text in data[HEAD_BYTES:].split(b"\0\0", 1)[0].split(b"\0"):
        name, equals, value = text.partition(b"=")
        if equals:
            found.append((name, value))
    return found


def _value(variables: "list[tuple[bytes, bytes]]", name: bytes) -> bytes:
    for key, value in variables:
        if key == name:
            return value
    return b""


def _number(variables: "list[tuple[bytes, bytes]]", name: bytes) -> int:
    """0, as U-Boot reads what is none."""
    value = _value(variables, name)
    return int(value) if len(value) < 10 and value.isdigit() else 0
