"""What a birth and a telemetry may say: one table of names, kinds and ranges, checked when a message is heard. No I/O.

A device is a peer: its words reach the planner, the database, JSON and a terminal. So a birth becomes a complete
record of the kinds below, or it is refused whole; behind this module nobody has to ask again what type a value has.
Unknown names are dropped: a newer device may say more. A name that a birth left out has its empty value (0, "", []).
Telemetry holds only what was said: a board measures what it can. What is said of a relay: relayed.py; of updates:
updated.py.

Texts lose what a terminal obeys or hides (control characters, Unicode format characters, line separators).
Bounds: the ranges of FIELDS and TELEMETRY, TEXT_CHARS_MAX, ADDRESSES_MAX, one slot class each.
"""

from agent.core import ceilings
from agent.errors import PeerError
from boards.ceilings import CEILINGS, SLOT_CLASSES

if False:
    from typing import Any

TEXT_CHARS_MAX = 64
ADDRESSES_MAX = 8
ADDRESS_CHARS_MAX = 45
OFFERS_MAX = 16  # rows [address, UDP port, TCP port, "lan" or "wan"] of where a relay is; port 0: not there
CONFESSED_MAX = 16  # names (hex, or their beginnings) of shards that the device itself found rotten
BYTES_MAX = 1 << 48  # of a store; 256 TiB
HELD_BY = tuple([row[0] for row in ceilings.LEVELS])
NUMBER_MAX = 1 << 53  # what JSON and SQLite hold exactly

# (name, kind, low, high)
FIELDS: "tuple[Any, ...]" = (
    ("fw", "text", 0, TEXT_CHARS_MAX),
    ("board", "text", 0, TEXT_CHARS_MAX),
    ("name", "text", 0, TEXT_CHARS_MAX),
    ("runtime", "text", 0, TEXT_CHARS_MAX),
    ("addresses", "addresses", 0, ADDRESSES_MAX),
    ("control", "int", 1, 65535),
    ("data", "int", 1, 65535),
    ("slots", "slots", 1, len(SLOT_CLASSES)),
    ("quota", "int", 0, BYTES_MAX),
    ("used", "int", 0, BYTES_MAX),
    ("ceilings", "ceilings", 0, NUMBER_MAX),
    ("levels", "levels", 0, 0),  # who holds each ceiling; one that is not there is held by nobody
    ("relay", "offers", 0, OFFERS_MAX),
    ("relay_tls", "tls", 0, 253),  # "": no TLS there; else the name in its certificate, "*" without one
    ("update", "update", 0, 0),  # {}: not started by stage-0, so nothing updates it
    ("pending", "bool", 0, 1),
    ("leaving", "bool", 0, 1),  # once the core has moved what the device keeps
    ("boot", "int", 0, NUMBER_MAX),
    ("session", "int", 0, NUMBER_MAX),
)
TELEMETRY: "tuple[Any, ...]" = (
    ("cpu_permille", "int", 0, NUMBER_MAX),
    ("memory_total_kib", "int", 0, NUMBER_MAX),
    ("memory_free_kib", "int", 0, NUMBER_MAX),
    ("process_kib", "int", 0, NUMBER_MAX),
    ("storage_free_bytes", "int", 0, NUMBER_MAX),
    ("temperature_mc", "int", -1_000_000, 1_000_000),
    ("net_rx_bytes", "int", 0, NUMBER_MAX),
    ("net_tx_bytes", "int", 0, NUMBER_MAX),
    ("uptime_s", "int", 0, NUMBER_MAX),
    ("used", "int", 0, BYTES_MAX),
    ("shards", "int", 0, NUMBER_MAX),
    ("quarantined", "int", 0, NUMBER_MAX),
    ("trash", "int", 0, BYTES_MAX),
    ("cache", "int", 0, BYTES_MAX),
    ("flash_left", "int", 0, BYTES_MAX),
    ("moved", "int", 0, NUMBER_MAX),
    ("read_only", "int", 0, 1),
    ("relay", "relay", 0, NUMBER_MAX),
    ("confessed", "names", 0, CONFESSED_MAX),
)

# Unicode 15, general categories Cc, Cf, Cs, Zl and Zp, and the noncharacters of the first plane: first, last.
_HIDDEN = (
    (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD), (0x70F, 0x70F),
    (0x890, 0x891), (0x8E2, 0x8E2), (0x180E, 0x180E), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F),
    (0xD800, 0xDFFF), (0xFDD0, 0xFDEF), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xFFFE, 0xFFFF), (0x110BD, 0x110BD),
    (0x110CD, 0x110CD), (0x13430, 0x1345F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_NAME = "-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEX = "0123456789abcdefABCDEF"


def parse_birth(body: "dict[Any, Any]") -> "dict[str, Any]":
    """Every name of FIELDS. PeerError("birth"), or PeerError("session") without boot and session."""
    session_of(body)
    record: dict[str, Any] = {}
    for row in FIELDS:
        name, kind = row[0], row[1]
        record[name] = _checked("birth", row, body[name]) if name in body else _empty(kind)
    return record


def parse_telemetry(body: "dict[Any, Any]") -> "dict[str, Any]":
    """The names of TELEMETRY that were said; "relay" is a whole record. PeerError("telemetry")."""
    return {row[0]: _checked("telemetry", row, body[row[0]]) for row in TELEMETRY if row[0] in body}


def parse_death(body: "dict[Any, Any]") -> tuple[int, int, bool]:
    """(boot, session, whether the device has left for ever). PeerError("session"), PeerError("death"): a field of a
    death is absent or exactly what version 1 says, and names we do not know mean a version we do not know."""
    boot, session = session_of(body)
    for key in body:
        if key not in ("boot", "session", "left"):
            raise PeerError("death", "death: expected boot, session and left only; is the device newer?")
    if "left" in body and body["left"] is not True:
        raise PeerError("death", "death: left is true or absent")
    return boot, session, "left" in body


def session_of(body: "dict[Any, Any]") -> tuple[int, int]:
    """(boot, session) of a birth or a death. PeerError("session")."""
    boot, session = body.get("boot"), body.get("session")
    if not is_an_int(boot, 0, NUMBER_MAX) or not is_an_int(session, 0, NUMBER_MAX):
        raise PeerError("session", "expected the numbers boot and session in a birth or death")
    return boot, session  # type: ignore[return-value]


def is_address(text: str) -> bool:
    """Numeric IPv4 or IPv6, without a zone: only digits, a-f, dots and colons can ever reach a URL."""
    if ":" not in text:
        return _is_ipv4(text)
    head, gap, tail = text.partition("::")
    groups = (head.split(":") if head else []) + (tail.split(":") if tail else [])
    room = 8
    if groups and "." in groups[-1] and not (gap and not tail):
        if not _is_ipv4(groups.pop()):
            return False
        room = 6
    if [group for group in groups if not 1 <= len(group) <= 4 or [sign for sign in group if sign not in _HEX]]:
        return False
    return len(groups) < room if gap else len(groups) == room


def visible(text: str) -> str:
    """Without what a terminal obeys or hides."""
    return "".join([sign for sign in text if not _is_hidden(ord(sign))])


def _is_hidden(code: int) -> bool:
    for first, last in _HIDDEN:
        if code <= last:
            return code >= first
    return code & 0xFFFF >= 0xFFFE


def _is_ipv4(text: str) -> bool:
    parts = text.split(".")
    if len(parts) != 4:
        return False
    for part in parts:
        if not 1 <= len(part) <= 3 or [sign for sign in part if sign not in "0123456789"]:
            return False
        if int(part) > 255 or (len(part) > 1 and part[0] == "0"):
            return False
    return True


def is_an_int(value: object, low: int, high: int) -> bool:
    # On CPython True is an int, on MicroPython it is not (house rule).
    return value is not True and value is not False and isinstance(value, int) and low <= value <= high


def _empty(kind: str) -> "Any":
    if kind in ("addresses", "slots", "offers"):
        return []
    return {"text": "", "tls": "", "int": 0, "bool": False}.get(kind, {})


def _checked(what: str, row: "Any", value: "Any") -> "Any":
    """A value of our own making; never the peer's list or map itself."""
    name, kind, low, high = row
    if kind == "int" and is_an_int(value, low, high):
        return value
    if kind == "bool" and (value is True or value is False):
        return value
    if kind == "text" and isinstance(value, str) and len(value) <= high:
        return visible(value)
    if kind == "tls" and isinstance(value, str) and len(value) <= high and (value == "*" or not value.strip(_NAME)):
        return value
    if kind == "addresses" and is_a_list(value, low, high, is_an_address):
        return list(value)
    if kind == "names" and is_a_list(value, low, high, _is_name):
        return list(value)
    if kind == "slots" and is_a_list(value, low, high, _is_slot) and len(set(value)) == len(value):
        return list(value)
    if kind == "offers" and value == []:
        return []
    if kind in ("offers", "relay"):
        from agent.core import relayed  # here: most devices have no relay, and it costs heap

        found = relayed.checked(kind, value, high)
        if found is not None:
            return found
    if kind == "update":
        from agent.core import updated

        found = updated.checked(value)
        if found is not None:
            return found
    if kind == "ceilings" and isinstance(value, dict):
        known = {each: value[each] for each in CEILINGS if each in value}
        if not [each for each in known if not is_an_int(known[each], low, high)]:
            return known
    if kind == "levels" and isinstance(value, dict):
        said = {each: value[each] for each in CEILINGS if each in value}
        if not [each for each in said if said[each] not in HELD_BY]:
            return said
    raise PeerError(what, f"{what}: {name} is not {_wanted(kind, low, high)}; is the device's version another?")


def is_a_list(value: object, low: int, high: int, is_good: "Any") -> bool:
    return isinstance(value, list) and low <= len(value) <= high and not [each for each in value if not is_good(each)]


def is_an_address(value: object) -> bool:
    return isinstance(value, str) and len(value) <= ADDRESS_CHARS_MAX and is_address(value)


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not 10 <= len(value) <= 64 or len(value) % 2:
        return False
    return is_hex(value)


def is_hex(text: str) -> bool:
    """Small letters."""
    return not [sign for sign in text if sign not in "0123456789abcdef"]


def _is_slot(value: object) -> bool:
    return is_an_int(value, 1, NUMBER_MAX) and value in SLOT_CLASSES


def _wanted(kind: str, low: int, high: int) -> str:
    if kind == "int":
        return f"a number from {low} to {high}"
    if kind == "bool":
        return "true or false"
    if kind in ("text", "tls"):
        return f"a {'text' if kind == 'text' else 'host name'} of at most {high} characters"
    if kind == "addresses":
        return f"a list of at most {high} numeric addresses"
    if kind == "offers":
        return f"a list of at most {high} rows of address, two ports and lan or wan"
    if kind == "relay":
        return f"a record of a relay with counts to {high}"
    if kind == "update":
        return "a record of updates: slot, state, sequence, digest and the last result"
    if kind == "names":
        return f"a list of at most {high} names of shards in hex"
    if kind == "slots":
        return f"a list of {low} to {high} slot sizes"
    if kind == "levels":
        return f"a map of ceilings to {', '.join(HELD_BY)}"
    return f"a map of ceilings to numbers from {low} to {high}"
