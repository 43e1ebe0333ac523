"""What a birth and a telemetry may say of a relay: where it is offered, what it carried. No I/O. The rules are those of
birth.py, which loads this only for a device that has one.

Bounds: OFFERS_MAX of birth.py, COUNTS_MAX refusals and users.
"""

from agent.core.birth import NUMBER_MAX, TEXT_CHARS_MAX, is_a_list, is_an_address, is_an_int, visible

if False:
    from typing import Any

COUNTS_MAX = 32
# Of the map "relay" in a telemetry, beside "refused" (reason -> count) and "users" (rows [name, packets, bytes]).
RELAYED = ("allocations", "packets_up", "bytes_up", "packets_down", "bytes_down")


def checked(kind: str, value: "Any", high: int) -> "Any":
    """A value of our own making; None for what is none of `kind`, "offers" or "relay"."""
    if kind == "offers":
        return [list(row) for row in value] if is_a_list(value, 0, high, _is_offer) else None
    return _relay(value, high) if isinstance(value, dict) else None


def _relay(value: "dict[Any, Any]", high: int) -> "dict[str, Any] | None":
    """None for what is no such record."""
    refused, users = value.get("refused", {}), value.get("users", [])
    counts = {name: value.get(name, 0) for name in RELAYED}
    if [name for name in RELAYED if not is_an_int(counts[name], 0, high)] or not isinstance(refused, dict):
        return None
    words = [word for word in refused if not isinstance(word, str) or len(word) > TEXT_CHARS_MAX]
    if len(refused) > COUNTS_MAX or words or [word for word in refused if not is_an_int(refused[word], 0, high)]:
        return None
    if not is_a_list(users, 0, COUNTS_MAX, _is_user):
        return None
    counts["refused"] = {visible(word): refused[word] for word in sorted(refused)}
    counts["users"] = [[visible(row[0])] + row[1:] for row in users]
    return counts


def _is_user(row: object) -> bool:
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str) or len(row[0]) > TEXT_CHARS_MAX:
        return False
    return is_an_int(row[1], 0, NUMBER_MAX) and is_an_int(row[2], 0, NUMBER_MAX)


def _is_offer(row: object) -> bool:
    if not isinstance(row, list) or len(row) != 4 or row[3] not in ("lan", "wan") or not is_an_address(row[0]):
        return False
    return is_an_int(row[1], 0, 65535) and is_an_int(row[2], 0, 65535)
