"""Raw deflate (RFC 1951) as a stream, on both interpreters; apart, because only deltas need it."""

from ota.port import MICROPYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
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
