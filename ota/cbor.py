"""Deterministic CBOR (RFC 8949 section 4.2.1): the contract's Codec where there is no cbor2.

Not a general codec: no floats, no indefinite lengths, no simple values but false, true, null; keys are int
or str; each value has one encoding and `decode` takes no other. Keys are sorted by their encodings, never by
the order of a dict. Bounds: time and memory are linear in the input (an empty list, one byte, costs 64 bytes
of heap); the caller caps the input. Recursion is at most DEPTH_MAX deep.
"""

from collections import namedtuple

from ota.errors import PeerError, UsageError

if False:
    from typing import Any

Tag = namedtuple("Tag", ("tag", "value"))

DEPTH_MAX = 32  # of lists, maps and tags inside one another, for encode and for decode
INT_MAX = (1 << 64) - 1


def encode(value: "Any") -> bytes:
    """The one encoding of `value`; UsageError("cbor") outside the subset."""
    out = bytearray()
    _put(out, value, DEPTH_MAX)
    return bytes(out)


def decode(data: bytes, tags: tuple[int, ...] = (), depth_max: int = 16) -> "Any":
    """The value whose encoding is `data`; PeerError("cbor") for anything else."""
    if depth_max > DEPTH_MAX:
        raise UsageError("cbor", f"expected a depth of at most {DEPTH_MAX}, got {depth_max}")
    reader = _Reader(data if isinstance(data, bytes) else bytes(data), tags)
    value = reader.value(depth_max)
    if reader.offset != len(data):
        raise reader.bad(f"{len(data) - reader.offset} bytes too many")
    return value


def _put(out: bytearray, value: "Any", depth: int) -> None:
    kind = type(value)
    if value is None:
        out.append(0xF6)
    elif kind is bool:  # before int: True is an int on CPython
        out.append(0xF5 if value else 0xF4)
    elif kind is int:
        _put_head(out, 0x20 if value < 0 else 0, -1 - value if value < 0 else value)
    elif kind is bytes:
        _put_head(out, 0x40, len(value))
        out.extend(value)
    elif kind is str:
        data = value.encode("utf-8", "surrogatepass")  # MicroPython always lets them pass
        if not _is_utf8(value, len(data)):
            raise UsageError("cbor", "expected text without lone surrogates")
        _put_head(out, 0x60, len(data))
        out.extend(data)
    elif kind not in (list, dict, Tag):
        raise UsageError("cbor", f"expected None, bool, int, bytes, str, list, dict or Tag, got {kind.__name__}")
    elif depth == 0:
        raise UsageError("cbor", f"expected at most {DEPTH_MAX} levels of lists, maps and tags")
    elif kind is dict:
        for key in value:
            if type(key) not in (int, str):
                raise UsageError("cbor", f"expected keys that are int or str, got {type(key).__name__}")
        _put_head(out, 0xA0, len(value))
        for made, key in sorted([(encode(key), key) for key in value]):
            out.extend(made)
            _put(out, value[key], depth - 1)
    elif kind is list:
        _put_head(out, 0x80, len(value))
        for item in value:
            _put(out, item, depth - 1)
    elif type(value.tag) is int and value.tag >= 0:
        _put_head(out, 0xC0, value.tag)
        _put(out, value.value, depth - 1)
    else:
        raise UsageError("cbor", "expected a tag number of 0 to 2^64 - 1")


def _put_head(out: bytearray, major: int, argument: int) -> None:
    if argument > INT_MAX:
        raise UsageError("cbor", "expected an integer of at most 64 bits")
    if argument < 24:
        out.append(major | argument)
        return
    code = (argument > 0xFF) + (argument > 0xFFFF) + (argument > 0xFFFFFFFF)
    out.append(major | 24 + code)
    out.extend(argument.to_bytes(1 << code, "big"))


def _is_utf8(text: str, length: int) -> bool:
    """MicroPython's decoder lets overlong forms, surrogates and numbers above 0x10ffff through: RFC 3629 does not."""
    if len(text) == length:
        return True
    for letter in text:
        number = ord(letter)
        if 0xD800 <= number <= 0xDFFF or number > 0x10FFFF:
            return False
        length -= 1 if number < 0x80 else 2 if number < 0x800 else 3 if number < 0x10000 else 4
    return length == 0


class _Reader:
    """A position in the input."""

    def __init__(self, data: bytes, tags: tuple[int, ...]) -> None:
        self.data = data
        self.tags = tags
        self.offset = 0

    def bad(self, text: str) -> PeerError:
        return PeerError("cbor", f"expected deterministic CBOR, got {text} near byte {self.offset}")

    def take(self, length: int) -> bytes:
        start = self.offset
        if length > len(self.data) - start:
            raise self.bad("the end of the input")
        self.offset = start + length
        return self.data[start : start + length]

    def head(self) -> tuple[int, int]:
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if major == 7 and low not in (20, 21, 22):
            raise self.bad("a float, break or other simple value")
        if low < 24:
            return major, low
        if low > 27:
            raise self.bad("an indefinite length or a reserved head")
        size = 1 << (low - 24)
        argument = int.from_bytes(self.take(size), "big")
        if argument < 24 or (size > 1 and argument >> (4 * size) == 0):
            raise self.bad("an argument in a longer form than needed")
        return major, argument

    def value(self, depth: int) -> "Any":
        major, argument = self.head()
        if major < 2:
            return -1 - argument if major else argument
        if major == 2:
            return self.take(argument)
        if major == 3:
            return self.text(argument)
        if major == 7:
            return (False, True, None)[argument - 20]
        if depth == 0:
            raise self.bad("too many levels of lists, maps and tags")
        if major == 6:
            if argument not in self.tags:
                raise self.bad(f"tag {argument}, which is not used here,")
            return Tag(argument, self.value(depth - 1))
        if argument << (major - 4) > len(self.data) - self.offset:
            raise self.bad("more values than the input can hold")
        if major == 4:
            return [self.value(depth - 1) for _ in range(argument)]
        return self.map(argument, depth - 1)

    def text(self, length: int) -> str:
        data = self.take(length)
        text = None
        try:
            text = data.decode()
        except ValueError:  # told below, in one sentence for both interpreters
            pass
        if text is None or not _is_utf8(text, length):
            raise self.bad("text that is not UTF-8")
        return text

    def map(self, count: int, depth: int) -> "dict[int | str, Any]":
        values = {}
        last = b""
        for _ in range(count):
            start = self.offset
            key = self.value(0)
            made = self.data[start : self.offset]
            if type(key) not in (int, str) or made <= last:
                raise self.bad("a map key that is repeated, unsorted or neither integer nor text")
            last = made
            values[key] = self.value(depth)
        return values
