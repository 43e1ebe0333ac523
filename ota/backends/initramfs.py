"""A line of 64 bytes that a shell without any of our programs reads, proves and charges: initramfs.sh, beside this.

    CLB1 100000007 a b 3 <42 hex digits>\n       generation, good slot, slot on trial (or -), tries left, checksum

The checksum is the beginning of SHA-256 over what stands before it, without the space. Generations have nine digits
and begin behind 100000000: a shell takes a leading zero for octal, and some count in 32 bits. Place: a partition of its
own or a preallocated file, the second line at SECTOR_BYTES.
"""

import hashlib

from ota.backends import Slots, is_state, letter, slot_of
from ota.slots import SECTOR_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ota.backends import Place

LINE_BYTES, HEX_DIGITS = 64, 42
MAGIC = "CLB1"
GENERATION_MIN = 100_000_000


def places(path: str) -> "list[Place]":
    return [(path, 0, LINE_BYTES), (path, SECTOR_BYTES, LINE_BYTES)]


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).digest().hex()[:HEX_DIGITS]


class Backend(Slots):
    NAME = "initramfs"

    def following(self) -> int:
        return max(Slots.following(self), GENERATION_MIN + 1)

    def encode(self) -> bytes:
        text = f"{MAGIC} {self.generation} {letter(self.good)} {letter(self.trial)} {self.tries}"
        return f"{text} {_sum(text)}\n".encode()

    def decode(self, data: bytes) -> "tuple[int, int, int, int] | None":
        if len(data) != LINE_BYTES or data[-1:] != b"\n" or [byte for byte in data if byte > 126]:
            return None
        text, _, digits = data[:-1].decode().rpartition(" ")
        words = text.split(" ")
        if digits != _sum(text) or len(words) != 5 or words[0] != MAGIC or not (words[1] + words[4]).isdigit():
            return None
        found = int(words[1]), slot_of(words[2]), slot_of(words[3]), int(words[4])
        return found if is_state(found[1], found[2], found[3]) else None
