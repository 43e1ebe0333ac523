"""What the core's local API streams to its command line: a kind byte, a 4-byte length, that many bytes.

Kinds: D data, P progress (JSON), R result (JSON, the last one), E error (JSON, the last one). A stream that ends
without R or E was cut off: HTTP alone cannot tell a finished download from one whose last stripe failed.

Bounds: FRAME_BYTES_MAX each.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from agent.errors import CoreletError, PeerError

MEDIA_TYPE = "application/x-corelet-frames"
FRAME_BYTES_MAX = 1 << 20
HEADER_BYTES = 5
KINDS = b"DPRE"


def encode(kind: str, payload: bytes) -> bytes:
    """One frame; the payload is at most FRAME_BYTES_MAX."""
    return kind.encode() + len(payload).to_bytes(4, "big") + payload


def encode_json(kind: str, value: Any) -> bytes:
    """P, R or E."""
    return encode(kind, json.dumps(value).encode())


def encode_error(error: CoreletError) -> bytes:
    """The end of a stream that failed."""
    return encode_json("E", {"code": error.code, "text": error.text})


def data(payload: bytes) -> Iterator[bytes]:
    """D frames for any number of bytes."""
    for start in range(0, len(payload), FRAME_BYTES_MAX):
        yield encode("D", payload[start : start + FRAME_BYTES_MAX])


def decode(pieces: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """(kind, payload) for each frame. PeerError("frames") when the stream is malformed or cut off."""
    held = bytearray()
    kind = ""
    for piece in pieces:
        held += piece
        while len(held) >= HEADER_BYTES:
            length = int.from_bytes(held[1:HEADER_BYTES], "big")
            if held[0] not in KINDS or length > FRAME_BYTES_MAX:
                raise PeerError("frames", "the core answered something else than a stream of frames")
            if len(held) < HEADER_BYTES + length:
                break
            kind = chr(held[0])
            yield kind, bytes(held[HEADER_BYTES : HEADER_BYTES + length])
            del held[: HEADER_BYTES + length]
    if held or kind not in ("R", "E"):
        raise PeerError("frames", "the core stopped in the middle of its answer: see its log, then try again")
