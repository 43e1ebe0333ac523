"""What a birth may say of updates (agent/updates.py): which release runs, how the last order ended. No I/O. The rules
are those of birth.py, which loads this only for a device that stage-0 started.

Bounds: TEXT_CHARS_MAX, and of birth.py.
"""

from agent.core import birth
from agent.core.birth import NUMBER_MAX, is_an_int, visible

if False:
    from typing import Any

TEXT_CHARS_MAX = 240
DIGEST_CHARS = 64
STATES = ("idle", "stage", "trial")
# What every value must be: one of these words, a digest in hex or "", a number, or a text to be shown.
UPDATE: "dict[str, Any]" = {
    "slot": ("a", "b", "package", ""), "state": STATES, "sequence": "number", "digest": "digest",
}  # fmt: skip
RESULT: "dict[str, Any]" = {
    "number": "number", "do": ("install", "rollback", "confirm", ""),
    "result": ("staged", "nothing", "refused", "confirmed", "failed"), "reason": "text", "text": "text",
    "state": STATES, "active": "digest", "target": "digest", "sequence": "number",
}  # fmt: skip


def checked(value: "Any") -> "dict[str, Any] | None":
    """A record of our own making, with "result" None where no order has ended; None for what is no such record."""
    found = _record(value, UPDATE)
    if found is None or value.get("result") is None:
        return None if found is None else dict(found, result=None)
    result = _record(value["result"], RESULT)
    return None if result is None else dict(found, result=result)


def _record(value: "Any", kinds: "dict[str, Any]") -> "dict[str, Any] | None":
    if not isinstance(value, dict) or [name for name in kinds if not _is_right(value.get(name), kinds[name])]:
        return None
    return {name: visible(value[name]) if kinds[name] == "text" else value[name] for name in kinds}


def _is_right(value: object, kind: "Any") -> bool:
    if kind == "number":
        return is_an_int(value, 0, NUMBER_MAX)
    if not isinstance(value, str):
        return False
    if kind == "digest":
        return value == "" or (len(value) == DIGEST_CHARS and birth.is_hex(value))
    return len(value) <= TEXT_CHARS_MAX if kind == "text" else value in kind
