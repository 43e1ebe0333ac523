"""Applies the records of a delta (ota/delta.py) that a source has; apart, because only deltas need what inflates."""

from ota import delta
from ota.content import PACK_OFFSET
from ota.errors import PeerError
from ota.port.inflate import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

AHEAD_BYTES = 4096  # that are asked for at once: most records have a few bytes


class Patch:
    """`prefix`: the first bytes of the delta; `read(start, length)`: pieces of it. `base`: the slot file with the pack
    of `base_bytes` that runs."""

    def __init__(
        self, prefix: bytes, read: "Callable[[int, int], Iterator[bytes]]", base: "Any", base_bytes: int
    ) -> None:
        self._read = read
        self._base = delta.Base(lambda offset, length: base.read(PACK_OFFSET + offset, length), base_bytes)
        self.delta = delta.Delta(prefix + b"".join(read(len(prefix), 2 * delta.read_count(prefix))))
        self._start, self._ahead = 0, b""

    def apply(self, file: "Any", offset: int, number: int, segment: "tuple[int, int, bytes]", bytes_max: int) -> None:
        """Writes what the record makes at `offset` of `file`, never more than `bytes_max`."""
        if number == 0:
            segment = (0, self.delta.head_bytes, segment[2])
        end = offset + bytes_max

        def write(piece: bytes) -> None:
            nonlocal offset
            if len(piece) > end - offset:
                raise PeerError("delta", f"expected a record that makes at most {bytes_max} bytes, got one of more")
            file.write(offset, piece)
            offset += len(piece)

        place, size = self.delta.record(number)
        if not self._start <= place <= place + size <= self._start + len(self._ahead):
            _, length = self.delta.span(number, AHEAD_BYTES)
            if length <= AHEAD_BYTES:
                self._ahead, self._start = b"".join(self._read(place, length)), place
        first = place - self._start
        pieces = self._read(place, size) if size > AHEAD_BYTES else iter((self._ahead[first : first + size],))
        delta.apply(Stream(pieces), size, self._base, segment, write)
