"""`python -m ota follow STATE`: what the agent ordered, and how it ended. Stage-0 starts it; the agent knows no slots.

`order`, one flat object of JSON, by the agent:

    {"number": N, "do": "install", "source": URL}
    {"number": N, "do": "rollback", "source": URL, "digest": HEX}
    {"number": N, "do": "confirm", "healthy_s": S, "core_reached": BOOL}

`result`, by us: "number" and "do" of the order; "result": staged, nothing, confirmed, refused or failed (the world, not
the order: again later); "reason", "text"; and how it stands: "state", "active" and "target" (digests, "" = none),
"sequence" of what is confirmed or came with the package. The order is removed after that, so a cut repeats it: every
order can be, and one that is repeated ends as the first time. PeerError("order").
"""

import json

from ota import port
from ota.errors import CoreletError, PeerError, PortError, UsageError
from ota.report import write_json
from ota.slots import IDLE, NO_DIGEST, NONE, STATES, TRIAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ORDER, RESULT = "order", "result"
FILE_BYTES_MAX = 1024
SOURCE_CHARS_MAX = 512
TEXT_CHARS_MAX = 240
NUMBER_MAX = (1 << 53) - 1
KEYS = {"install": ("source",), "rollback": ("source", "digest"), "confirm": ("healthy_s", "core_reached")}
HEX = "0123456789abcdef"
UNSAID = '"\\[{'  # in a text: would be longer in JSON, or look like more than one flat object


def read_order(data: bytes) -> "dict[str, Any]":
    found = _object(data)
    keys = KEYS.get(str(found.get("do")))
    if keys is None or set(found) != {"number", "do"}.union(keys):
        raise _bad("other keys")
    for key in found:
        if not _is_right(key, found[key]):
            raise _bad(key)
    return found


def _is_right(key: str, value: "Any") -> bool:
    if key == "number" or key == "healthy_s":
        return type(value) is int and 0 < value <= NUMBER_MAX
    if key == "core_reached":
        return value is True or value is False
    if not isinstance(value, str):
        return False
    if key == "source":
        is_plain = not [sign for sign in value if not 32 < ord(sign) < 127]
        return is_plain and len(value) <= SOURCE_CHARS_MAX and value.startswith("http://")
    return key == "do" or (len(value) == 64 and not [sign for sign in value if sign not in HEX])


def _object(data: bytes) -> "dict[str, Any]":
    """{} for what is none, or has more in it than plain values: nesting costs a small stack more than its bytes."""
    if len(data) > FILE_BYTES_MAX or data.count(b"{") != 1 or b"[" in data:
        return {}
    try:
        found = json.loads(data.decode())
    except (ValueError, RuntimeError):
        return {}
    return found if isinstance(found, dict) else {}


def _bad(what: str) -> PeerError:
    return PeerError("order", f"expected an order of the agent as ota/follow.py has them, got {what}; it is dropped")


def follow(path: str) -> "tuple[dict[str, Any], int]":
    """(the result, exit status: 0, the order has ended, however). Nobody else holds the state."""
    files = port.Folder(path)
    if not files.exists(ORDER):
        return {"result": "nothing", "reason": "no_order", "text": "there is no order"}, 0
    last = _last(files)
    order: dict[str, Any] = {"number": last, "do": ""}
    try:
        order = read_order(files.small(ORDER, FILE_BYTES_MAX))
        if order["number"] <= last:  # we were stopped between the two
            files.remove(ORDER)
            return {"result": "nothing", "reason": "done", "text": "this order was followed before"}, 0
        ended = _follow(path, order)
    except CoreletError as error:
        is_world = isinstance(error, PortError) or (isinstance(error, PeerError) and error.code == "source")
        ended = ("failed" if is_world else "refused", error.code, error.text)
    except MemoryError:
        ended = ("failed", "memory", "expected more free memory, got too little; try again later")
    except Exception as error:
        _finish(path, order, ("failed", "unexpected", f"expected no {type(error).__name__}, got one; see the log"))
        raise
    return _finish(path, order, ended), 0


def _last(files: "port.Folder") -> int:
    """The number of the last order that was followed."""
    number = _object(files.small(RESULT, FILE_BYTES_MAX)).get("number") if files.exists(RESULT) else 0
    return number if type(number) is int and 0 < number <= NUMBER_MAX else 0


def _follow(path: str, order: "dict[str, Any]") -> "tuple[str, str, str]":
    """(result, reason, text)."""
    from ota import client  # here and below: who reads orders only has no room for it in a small heap

    state = client.State(path)
    do, journal = order["do"], state.journal
    if do == "confirm":
        if journal.state != IDLE or state.running() != journal.active:  # else it was done before a cut
            options = {"--healthy-s": str(order["healthy_s"])}
            if order["core_reached"]:
                options["--core-reached"] = "yes"
            client.CALLS[do](state, [], options)
        return "confirmed", "ok", "the release on trial is confirmed"
    client.CALLS["refresh"](state, [order["source"]], {})
    places = [order["source"]] if do == "install" else [order["digest"], order["source"]]
    try:
        result = client.CALLS[do](state, places, {})[0]["result"]
    except UsageError as error:
        if error.code != "current" or journal.state != TRIAL:
            raise
        result = "staged" if state.running() != journal.target else "current"  # also that was done before a cut
    except CoreletError as error:
        if error.code != "nothing":
            raise
        return "nothing", "nothing", error.text
    if result == "current":
        return "nothing", "current", "the newest release that the core allows is here already"
    return "staged", "ok", "the release is proven and runs on trial from the next start on"


def _finish(path: str, order: "dict[str, Any]", ended: "tuple[str, str, str]") -> "dict[str, Any]":
    """The result is whole before the order goes."""
    text = "".join([sign if 31 < ord(sign) < 127 and sign not in UNSAID else "?" for sign in ended[2][:TEXT_CHARS_MAX]])
    found = {"number": order["number"], "do": order["do"], "result": ended[0], "reason": ended[1], "text": text}
    found.update(_stands(path))
    pieces: list[str] = []
    write_json(found, pieces.append)
    files = port.Folder(path)
    files.replace(RESULT, ("".join(pieces) + "\n").encode())
    files.remove(ORDER)
    return found


def _stands(path: str) -> "dict[str, Any]":
    """Read again: what a machine that failed has in mind may not be what is written."""
    from ota import client

    found = {"state": STATES[IDLE], "active": "", "target": "", "sequence": 0}
    try:
        state = client.State(path)
        journal = state.journal
        found["state"] = STATES[journal.state]
        for name, slot in (("active", journal.active), ("target", journal.target)):
            if slot != NONE and journal.digests[slot] != NO_DIGEST:
                found[name] = journal.digests[slot].hex()
        found["sequence"] = state.sequence()
    except CoreletError:  # what is wrong stands in the result
        pass
    return found
