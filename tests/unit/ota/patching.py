"""Deltas for tests of both interpreters; nothing is compressed."""

from ota import delta, pack
from tests.unit.ota.making import sha256
from tests.unit.ota.packing import head_of

ALIKE_BYTES = 16


def stored(data):
    """Raw deflate, last block, not compressed."""
    length = len(data).to_bytes(2, "little")
    return b"\x01" + length + bytes([255 - one for one in length]) + data


def number(value):
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def zigzag(value):
    return number(-2 * value - 1 if value < 0 else 2 * value)


def record(base, target, start, end):
    """The longest part from the start on that is somewhere in the base; the rest is new."""
    same, place = 0, base.find(target[start : min(start + ALIKE_BYTES, end)])
    while place >= 0 and place + same < len(base) and start + same < end and base[place + same] == target[start + same]:
        same += 1
    if same == end - start:
        return zigzag(place - start)
    made = number(0) + number(same) + zigzag(place - start) if same else b""
    return stored(made + number(end - start - same) + target[start + same : end])


def encode(base, target):
    """As tools/gateway/deltas.py, but larger."""
    head = pack.Pack(head_of(target))
    spans = [(0, head.head_bytes)] + [head.segment(one)[:2] for one in range(head.segments)]
    records = [record(base, target, start, start + length) for start, length in spans]
    made = delta.MAGIC + len(records).to_bytes(2, "big") + head.head_bytes.to_bytes(2, "big")
    made += (sha256(base) if base else bytes(32)) + sha256(target)
    return made + b"".join([len(one).to_bytes(2, "big") for one in records]) + b"".join(records)


def delta_name(base, target):
    start = sha256(base).hex()[:16] if base else "0" * 16
    return f"deltas/{sha256(target).hex()[:16]}-{start}"
