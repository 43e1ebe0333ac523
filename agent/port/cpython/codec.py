"""Deterministic CBOR (RFC 8949 section 4.2.1) over cbor2: the contract's Codec on CPython.

cbor2 is a general codec: by default it takes duplicate keys, indefinite and longer forms, trailing bytes,
shared references and some thirty tags, and releases differ in what they can be told to refuse (6.x exists
for few boards, 5.x for all). So `_scan` walks the heads first, without building anything: kinds, lengths,
depth and tags. What passes is built by cbor2 and then proven by encoding it again: not one byte may differ.

Bounds: time and memory are linear in the input; the caller caps the input. Depth at most DEPTH_MAX.
"""

from collections import namedtuple
from collections.abc import Mapping
from typing import Any

import cbor2

from agent.errors import PeerError, UsageError

Tag = namedtuple("Tag", ("tag", "value"))

DEPTH_MAX = 32  # of lists, maps and tags inside one another, for encode and for decode
INT_MAX = (1 << 64) - 1
INT_MIN = -(1 << 64)

# Tags that cbor2 turns into something else than a tag (dates, big numbers, references, expressions …).
INTERPRETED = (*range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def encode(value: Any) -> bytes:
    """The one encoding of `value`; UsageError("cbor") outside the subset."""
    try:
        return cbor2.dumps(_plain(value, DEPTH_MAX))
    except (ValueError, cbor2.CBOREncodeError) as error:
        raise UsageError("cbor", "expected text without lone surrogates, cannot encode this: " + str(error))


def decode(data: bytes, tags: tuple[int, ...] = (), depth_max: int = 16) -> Any:
    """The value whose encoding is `data`; PeerError("cbor") for anything else."""
    if depth_max > DEPTH_MAX:
        raise UsageError("cbor", f"expected a depth of at most {DEPTH_MAX}, got {depth_max}")
    for tag in tags:
        if tag in INTERPRETED:
            raise UsageError("cbor", f"tag {tag} has a meaning of its own in cbor2 and cannot be allowed")
    data = bytes(data)
    has_tags = _scan(data, tags, depth_max)
    try:
        value = cbor2.loads(data)
    except (ValueError, cbor2.CBORError) as error:  # bad UTF-8
        raise PeerError("cbor", f"expected deterministic CBOR, cannot decode this: {error}")
    if has_tags:
        value = _untagged(value)
    if encode(value) != data:
        raise PeerError("cbor", "expected deterministic CBOR, got longer forms, unsorted or repeated keys")
    return value


def _bad(text: str, offset: int) -> PeerError:
    return PeerError("cbor", f"expected deterministic CBOR, got {text} at byte {offset}")


def _scan(data: bytes, tags: tuple[int, ...], depth_max: int) -> bool:
    """Walk the heads without recursion. True if there was a tag."""
    has_tags = False
    left = [1]  # values still to come, one number for each open container
    is_map = [False]  # a map counts 2 for each pair: even means that a key comes next
    offset = 0
    while left:
        if left[-1] == 0:
            left.pop()
            is_map.pop()
            continue
        is_key = is_map[-1] and left[-1] % 2 == 0
        left[-1] -= 1
        start = offset
        major, argument, offset = _head(data, offset)
        if is_key and major not in (0, 1, 3):
            raise _bad("a map key that is neither integer nor text", start)
        if major in (2, 3):
            if argument > len(data) - offset:
                raise _bad("a string longer than the input", start)
            offset += argument
        elif major in (4, 5, 6):
            if len(left) > depth_max:
                raise _bad(f"more than {depth_max} levels", start)
            if major == 6:
                if argument not in tags:
                    raise _bad(f"tag {argument}, which is not used here,", start)
                has_tags = True
            left.append((argument, 2 * argument, 1)[major - 4])
            is_map.append(major == 5)
    if offset != len(data):
        raise _bad(f"{len(data) - offset} bytes after the end", offset)
    return has_tags


def _head(data: bytes, offset: int) -> tuple[int, int, int]:
    """(major type, argument, offset behind the head)."""
    if offset >= len(data):
        raise _bad("the end of the input", offset)
    major = data[offset] >> 5
    low = data[offset] & 31
    if major == 7 and low not in (20, 21, 22):
        raise _bad("a float, break or other simple value", offset)
    if low < 24:
        return major, low, offset + 1
    if low > 27:
        raise _bad("an indefinite length or a reserved head", offset)
    end = offset + 1 + (1 << (low - 24))
    if end > len(data):
        raise _bad("the end of the input", offset)
    return major, int.from_bytes(data[offset + 1 : end], "big"), end


def _plain(value: Any, depth: int) -> Any:
    """A copy that cbor2 encodes as we want: keys in bytewise order of their encodings, tags as its own class."""
    kind = type(value)
    if value is None or kind in (bool, bytes, str):
        return value
    if kind is int:
        if INT_MIN <= value <= INT_MAX:
            return value
        raise UsageError("cbor", "expected an integer of at most 64 bits")
    if kind not in (list, dict, Tag):
        raise UsageError("cbor", f"expected None, bool, int, bytes, str, list, dict or Tag, got {kind.__name__}")
    if depth == 0:
        raise UsageError("cbor", f"expected at most {DEPTH_MAX} levels of lists, maps and tags")
    if kind is list:
        return [_plain(item, depth - 1) for item in value]
    if kind is Tag:
        if type(value.tag) is not int or not 0 <= value.tag <= INT_MAX:
            raise UsageError("cbor", "expected a tag number of 0 to 2^64 - 1")
        return cbor2.CBORTag(value.tag, _plain(value.value, depth - 1))
    for key in value:
        if type(key) not in (int, str):
            raise UsageError("cbor", f"expected keys that are int or str, got {type(key).__name__}")
    return {_plain(key, 0): _plain(value[key], depth - 1) for key in sorted(value, key=cbor2.dumps)}


def _untagged(value: Any) -> Any:
    """Inside a tag, cbor2 6 gives tuples and its frozendict."""
    if isinstance(value, cbor2.CBORTag):
        return Tag(value.tag, _untagged(value.value))
    if isinstance(value, (list, tuple)):
        return [_untagged(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _untagged(item) for key, item in value.items()}
    return value
