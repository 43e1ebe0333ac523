"""May this token do what this request asks, now? And never twice for PUT, DELETE and audits.

Not a place for cryptography (wire/token.py has checked the MAC) nor for space (store.py). Every refusal has its
own code. Time is the core's, in unix seconds; until the link has told it (None) only GET and HEAD are served, and
their expiry is not judged.

Single use. The ids of used PUT, DELETE and audit tokens are kept in RAM until they expire, TOKEN_LIFE_S_MAX at most, in
a bounded table that never forgets an id too early: when there is no room the request is refused ("busy") instead. Each
core has a table of its own and an equal share of the room, so that none can use up another's, nor spend its ids; what
one took while it was alone it keeps until it expires.
*Across a restart* the table is empty, so a token counts only if it cannot have been used before: either its id carries
this boot's number (wire/token.py token_id; boot numbers grow at every start, 65,536 starts do not fit a token's
life), or it expires more than TOKEN_LIFE_S_MAX after the start, which means it was issued after it. All others are
refused with "boot". What remains: when the *core's own* clock is set back, a used token may be accepted again; it can
then only store the same bytes or delete the same shard once more. Where there is no full core, the boot number is the
time of the start and an id says when it was made (wire/token.py dated_id): the same holds for the wall clock.
"""

from agent.errors import LimitError, TrustError
from agent.wire import token

if False:
    from agent.wire.token import Claims

TOKEN_LIFE_S_MAX = 600
CLOCK_SLACK_S = 5  # the device's idea of core time lags by the way of one message
USED_ONCE = ("put", "delete", "offer", "audit")
IDS_MIN = 512
IDS_FIRST = 64  # what a core begins with
_ENTRY_BYTES = 12  # token id 8, until 4 (seconds of this process; 0 = empty)
_WAYS = 16  # an id may lie in so many places after its own: the cost of one look-up
_RETRY_S_MAX = 60
_NOTHING = bytearray(0)


class Access:
    """`ids_max`: most used token ids remembered, shared by the cores present (12 bytes of RAM each, when needed)."""

    def __init__(self, device: str, boot: int, ids_max: int) -> None:
        self._device = device
        self._boot = boot
        self._ids_max = max(ids_max, IDS_MIN)
        self._tables: dict[str, bytearray] = {}  # core -> its ids

    def check(self, claims: "Claims", operation: str, shard: bytes, size: int | None) -> None:
        """What needs no clock. `size` is None where the operation has none. TrustError with a code of its own each."""
        if claims.device != self._device:
            raise TrustError("device", f"The token is for device {claims.device}, this is {self._device}.")
        if claims.operation != operation:
            raise TrustError("operation", f"The token allows {claims.operation}, the request is a {operation}.")
        if claims.shard != shard:
            raise TrustError("shard", "The token is for another shard than the request names.")
        if size is not None and claims.size != size:
            raise TrustError("size", f"The token allows {claims.size} bytes, the request has {size}.")

    def check_time(self, claims: "Claims", core_now: int | None, up_s: int) -> None:
        """`up_s`: seconds since this process started. TrustError "expired", "life", "boot", "used"; LimitError
        "no_time". Call `spend` before anything else runs, or another request may use the same id."""
        is_once = claims.operation in USED_ONCE
        if core_now is None:
            if is_once:
                text = (
                    "The device does not know the core's time yet; only GET and HEAD are served until the link is up."
                )
                raise LimitError("no_time", text, 5)
            return
        if claims.expiry < core_now:
            raise TrustError("expired", f"The token expired {core_now - claims.expiry} s ago; ask for a new one.")
        if claims.expiry > core_now + TOKEN_LIFE_S_MAX + CLOCK_SLACK_S:
            raise TrustError("life", f"The token lives longer than {TOKEN_LIFE_S_MAX} s; ask for a shorter one.")
        if not is_once:
            return
        is_issued_since = claims.expiry > core_now - up_s + TOKEN_LIFE_S_MAX + CLOCK_SLACK_S
        if not is_issued_since and not token.is_of_boot(claims.token_id, self._boot):
            raise TrustError("boot", f"The token may be from before this start (boot {self._boot}); ask for a new one.")
        if _find(self._tables.get(claims.core, _NOTHING), claims.token_id) >= 0:
            raise TrustError("used", "The token was used already; ask for a new one.")

    def spend(self, claims: "Claims", core_now: int | None, up_s: int) -> None:
        """Remember the id until it expires. LimitError("busy") when there is no room for it."""
        if claims.operation not in USED_ONCE or core_now is None:
            return
        # In seconds of this process: cores need not agree on the time.
        until = up_s + claims.expiry - core_now + CLOCK_SLACK_S + 1
        while not _put(self._table(claims.core, up_s), claims.token_id, until, up_s):
            if not self._grow(claims.core, up_s):
                text = "The device remembers as many used tokens as it can; try again when some have expired."
                raise LimitError("busy", text, _RETRY_S_MAX)

    def forget(self, claims: "Claims") -> None:
        """The request was refused before it changed anything: its token may be used again."""
        table = self._tables.get(claims.core, _NOTHING)
        offset = _find(table, claims.token_id)
        if offset >= 0 and claims.operation in USED_ONCE:
            table[offset : offset + _ENTRY_BYTES] = bytes(_ENTRY_BYTES)

    def drop_core(self, core: str) -> None:
        """This device has left it: none of its tokens counts any more."""
        self._tables.pop(core, None)

    def _table(self, core: str, up_s: int) -> bytearray:
        """That core's own; when it is new, the others give back what they no longer need."""
        table = self._tables.get(core)
        if table is None:
            for other in list(self._tables):
                self._shrink(other, up_s)
            table = self._tables[core] = bytearray(IDS_FIRST * _ENTRY_BYTES)
        return table

    def _share(self) -> int:
        return self._ids_max // max(1, len(self._tables))

    def _shrink(self, core: str, up_s: int) -> None:
        table = self._tables[core]
        live = sum([_until(table, offset) > up_s for offset in range(0, len(table), _ENTRY_BYTES)])
        if not live:
            del self._tables[core]
            return
        ids = IDS_FIRST
        while ids < 2 * live:
            ids *= 2
        made = _copy(table, ids, up_s) if ids * _ENTRY_BYTES < len(table) else None
        if made is not None:
            self._tables[core] = made

    def _grow(self, core: str, up_s: int) -> bool:
        """More room, without what has expired; False when the core's share does not allow it or it does not help."""
        table = self._tables[core]
        ids = len(table) // _ENTRY_BYTES * 2
        while ids <= self._share():
            made = _copy(table, ids, up_s)
            if made is not None:
                self._tables[core] = made
                return True
            ids *= 2
        return False


def _until(table: bytearray, offset: int) -> int:
    return int.from_bytes(table[offset + 8 : offset + 12], "big")


def _place(table: bytearray, identifier: bytes, way: int) -> int:
    """Offset of the `way`-th place of an id."""
    home = int.from_bytes(identifier[4:8], "big")
    return (home + way) % (len(table) // _ENTRY_BYTES) * _ENTRY_BYTES


def _find(table: bytearray, identifier: bytes) -> int:
    for way in range(_WAYS if table else 0):
        offset = _place(table, identifier, way)
        if table[offset : offset + 8] == identifier and any(table[offset + 8 : offset + 12]):
            return offset
    return -1


def _put(table: bytearray, identifier: bytes, until: int, up_s: int) -> bool:
    """Into the first place that was never used or whose id has expired."""
    for way in range(_WAYS):
        offset = _place(table, identifier, way)
        if _until(table, offset) <= up_s:
            table[offset : offset + 8] = identifier
            table[offset + 8 : offset + 12] = until.to_bytes(4, "big")
            return True
    return False


def _copy(table: bytearray, ids: int, up_s: int) -> bytearray | None:
    """What has not expired, in a table for `ids`; None when it does not fit."""
    other = bytearray(ids * _ENTRY_BYTES)
    for offset in range(0, len(table), _ENTRY_BYTES):
        until = _until(table, offset)
        if until > up_s and not _put(other, bytes(table[offset : offset + 8]), until, up_s):
            return None
    return other
