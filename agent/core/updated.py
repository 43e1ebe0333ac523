"""What a birth may say of the device's updates. No I/O. The rules are those of birth.py, which loads this only for a
device that says something.

    {"slot": "a" | "b" | "package" | "", "state": "idle" | ..., "sequence": number, "digest": 64 hex digits or "",
     "result": the result of its last order, or None}

A result: {"number", "do", "result", "reason", "text", "state", "active", "sequence", "target"}; what it leaves out is
empty. States are words of the device's journal, in small letters here; one that nobody knows yet is kept as it is.
"""

from agent.core.birth import NUMBER_MAX, is_an_int, visible

if False:
    from typing import Any

WORD_CHARS_MAX = 32
SENTENCE_CHARS_MAX = 300
DIGEST_CHARS = 64
SLOTS = ("a", "b", "package", "")
RESULT: "tuple[Any, ...]" = (
    ("number", "number"),
    ("do", "word"),
    ("result", "word"),
    ("reason", "word"),
    ("text", "sentence"),
    ("state", "state"),
    ("active", "digest"),
    ("sequence", "number"),
    ("target", "digest"),
)
FIELDS = (("slot", "slot"), ("state", "state"), ("sequence", "number"), ("digest", "digest"))


def checked(value: "Any") -> "dict[str, Any] | None":
    """A record of our own making, whole; None for what is none. {} stays {}: it cannot be updated."""
    if not isinstance(value, dict):
        return None
    if not value:
        return {}
    record = _record(FIELDS, value)
    result = value.get("result")
    if record is not None:
        record["result"] = None if result is None else _record(RESULT, result)
        if result is not None and record["result"] is None:
            return None
    return record


def _record(fields: "Any", value: "Any") -> "dict[str, Any] | None":
    if not isinstance(value, dict):
        return None
    record: dict[str, Any] = {}
    for name, kind in fields:
        found = _value(kind, value.get(name, 0 if kind == "number" else ""))
        if found is None:
            return None
        record[name] = found
    return record


def _value(kind: str, value: "Any") -> "Any":
    if kind == "number":
        return value if is_an_int(value, 0, NUMBER_MAX) else None
    if not isinstance(value, str):
        return None
    if kind == "slot":
        return value if value in SLOTS else None
    if kind == "digest":
        is_good = len(value) in (0, DIGEST_CHARS) and not [sign for sign in value if sign not in "0123456789abcdef"]
        return value if is_good else None
    if kind == "sentence":
        return visible(value)[:SENTENCE_CHARS_MAX]
    if len(value) > WORD_CHARS_MAX:
        return None
    return visible(value.lower() if kind == "state" else value)
