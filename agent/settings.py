"""The owner's own file, owner/settings.json: name, board, where to listen, lower ceilings.

Nothing here may raise a ceiling of the board profile. Unknown keys and wrong values are refused with
the key, the value and what is allowed; a broken file never silently becomes defaults.
"""

import json

from agent.errors import UsageError

if False:
    from typing import Any

SETTINGS_BYTES_MAX = 8192
NAME_BYTES_MAX = 32
ADDRESS_SIGNS = "0123456789abcdefABCDEF.:"

# name -> (kind, low, high, default); kinds as in boards/schema.py, plus `addresses` and `networks`.
FIELDS: "tuple[Any, ...]" = (
    ("name", "text", 0, NAME_BYTES_MAX, ""),
    ("board", "text", 0, 40, ""),
    ("listen", "addresses", 0, 16, ()),
    ("control_port", "int", 0, 65535, 7411),
    ("data_port", "int", 0, 65535, 7412),
    ("relay", "word", ("auto", "on", "off"), None, "auto"),
    ("relay_port", "int", 0, 65535, 3478),
    ("relay_allow", "networks", 0, 16, ()),
    ("relay_tcp_ports", "text", 0, 200, ""),  # as 443,8000-8100: peers may be reached over TCP there
    ("relay_tls_cert", "text", 0, 250, ""),  # PEM files: clients may come over TLS
    ("relay_tls_key", "text", 0, 250, ""),
    ("ceilings", "ceilings", 0, 0, {}),
)


def defaults() -> "dict[str, Any]":
    """A fresh, complete set."""
    return {row[0]: (dict(row[4]) if row[0] == "ceilings" else row[4]) for row in FIELDS}


def parse(text: bytes) -> "dict[str, Any]":
    """A complete set from the file's bytes. Raises UsageError("settings")."""
    try:
        found = json.loads(text)
    except (ValueError, RuntimeError) as error:  # RuntimeError: nested deeper than the stack
        raise UsageError("settings", f"owner/settings.json is not JSON ({error}); mend it or remove it")
    if not isinstance(found, dict):
        raise UsageError("settings", "owner/settings.json must hold one JSON object; mend it or remove it")
    settings = defaults()
    for key in sorted(found):
        settings[key] = checked(key, found[key])
    return settings


def checked(key: str, value: object) -> object:
    """One value as it is kept. Raises UsageError("settings") with the key, the value and what is allowed."""
    rows = [row for row in FIELDS if row[0] == key]
    if not rows:
        names = ", ".join([row[0] for row in FIELDS])
        raise UsageError("settings", f"settings: there is no '{key}'; there are: {names}")
    _, kind, low, high, _ = rows[0]
    if kind in ("addresses", "networks"):
        allowed = ADDRESS_SIGNS + ("/" if kind == "networks" else "")
        if not isinstance(value, (list, tuple)) or [item for item in value if not _is_address(item, allowed)]:
            raise UsageError("settings", f"settings: {key} is {value!r}; allowed: a list of IP {kind}")
        return tuple(value)
    if kind == "ceilings":
        return _ceilings(value)
    from boards import schema  # here and below: a device forgets it once it has started

    try:
        schema.check("settings", (key, kind, low, high, "", ""), value)
    except UsageError as error:
        raise UsageError("settings", error.text)
    if kind == "text" and [character for character in str(value) if ord(character) < 32 or ord(character) == 127]:
        raise UsageError("settings", f"settings: {key} holds control characters; use letters, digits and blanks")
    return value


def _is_address(value: object, allowed: str) -> bool:
    return isinstance(value, str) and 2 <= len(value) <= 49 and not [sign for sign in value if sign not in allowed]


def _ceilings(value: object) -> "dict[str, Any]":
    from boards import schema

    if not isinstance(value, dict):
        raise UsageError("settings", f"settings: ceilings is {value!r}; allowed: an object of numbers")
    for name in sorted(value):
        if name not in schema.CEILINGS:
            known = ", ".join(schema.CEILINGS)
            raise UsageError("settings", f"settings: there is no ceiling '{name}'; there are: {known}")
        try:
            schema.check("ceilings", schema.field(name), value[name])
        except UsageError as error:
            raise UsageError("settings", error.text)
    return value


def encode(settings: "dict[str, Any]") -> bytes:
    """The file's bytes; keys in the order of FIELDS on both interpreters."""
    lines = [" " + json.dumps(row[0]) + ": " + json.dumps(settings[row[0]]) for row in FIELDS]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
