"""Does a decoded CBOR value have the kind and range that was agreed? One check for every message of a peer.

A shape is (kind, least, most, ...): values of "int", lengths of everything else. Kinds of text: "text" (nothing that a
terminal obeys or hides), "id" (hex digits), "host", "letters" (a-z), "word" (one of the fourth item). "list" has the
shape of its members as fourth item; "map" those of its keys and values, or none for anything; "row" is a list of two
with a shape each, in place of least and most.
"""

if False:
    from typing import Any

    Shape = tuple[Any, ...]

ID = ("id", 16, 16)
NUMBER = ("int", 0, (1 << 53) - 1)
POINT = ("bytes", 65, 65)

_TYPES = {"bytes": bytes, "list": list, "map": dict}
_SIGNS = {
    "id": "0123456789abcdef",
    "letters": "abcdefghijklmnopqrstuvwxyz",
    "host": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%",
}


def is_plain(text: str) -> bool:
    """No control characters and no invisible ones that reorder a line: names end up in logs and terminals."""
    for letter in text:
        point = ord(letter)
        if point < 32 or 127 <= point < 160 or 0x200B <= point <= 0x200F or 0x2028 <= point <= 0x202E:
            return False
        if 0x2060 <= point <= 0x206F or 0xD800 <= point < 0xE000 or point == 0xFEFF:
            return False
    return True


def fits(value: "Any", shape: "Shape") -> bool:
    kind, low, high = shape[0], shape[1], shape[2]
    if kind == "int":
        # True is an int on CPython and none on MicroPython.
        return isinstance(value, int) and value is not True and value is not False and low <= value <= high
    if kind == "row":
        return isinstance(value, list) and len(value) == 2 and fits(value[0], low) and fits(value[1], high)
    if not isinstance(value, _TYPES.get(kind, str)) or not low <= len(value) <= high:
        return False
    if kind == "list":
        return all(fits(each, shape[3]) for each in value)
    if kind == "map":
        return len(shape) == 3 or all(fits(key, shape[3]) and fits(value[key], shape[4]) for key in value)
    if kind == "word":
        return value in shape[3]
    if kind == "text":
        return is_plain(value)
    return kind == "bytes" or not [sign for sign in value if sign not in _SIGNS[kind]]


def misfit(values: "dict[Any, Any]", table: "dict[Any, Shape]") -> "Any":
    """The first key of `table` that is absent or has another shape; None when all are right."""
    for key in sorted(table):
        if key not in values or not fits(values[key], table[key]):
            return key
    return None
