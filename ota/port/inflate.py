"""Raw deflate (RFC 1951) as a stream, on both interpreters; apart, because only deltas need it."""

import io

from ota.port import MICROPYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

EINVAL = 22


def inflate(source: "Any", window_bits: int) -> "Any":
    """`read(length)`: 1 to `length` bytes of what `source` holds deflated, b"" at its end; no byte of `source` behind
    that is taken. OSError(EINVAL): damaged; EOFError: cut."""
    if MICROPYTHON:
        import deflate  # type: ignore[import-not-found]

        return deflate.DeflateIO(source, deflate.RAW, window_bits)
    from ota.port.cpython import Inflate

    return Inflate(source, window_bits)


class Stream(io.IOBase):
    """Pieces of bytes as what `inflate` takes."""

    def __init__(self, pieces: "Iterator[bytes]") -> None:
        self._pieces, self._piece, self._at = pieces, b"", 0

    def readinto(self, buffer: "Any") -> int:
        if self._at == len(self._piece):
            self._piece, self._at = b"", 0
            for piece in self._pieces:
                self._piece = piece
                break
        data = self._piece[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read(self, length: int) -> bytes:
        made = bytearray(length)
        return bytes(made[: self.readinto(made)])
