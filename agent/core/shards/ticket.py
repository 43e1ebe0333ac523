"""What passes between the shard store and its driver: tickets (requests), effects (work) and reports."""

from collections import namedtuple

if False:
    from typing import Any

    from agent.errors import CoreletError

CREATE, REMOVE, READ, HASH, WRITE, FLUSH = "create", "remove", "read", "hash", "write", "flush"
MEMO, CHECKPOINT = "memo", "checkpoint"
CACHING = ("offer", "promote")  # operations that make no promise

# `slab`: space.Slab (its name and bytes make the file). `data`: what a WRITE writes; None when the driver holds
# the bytes, `length` of them. `ticket`: None in a FLUSH, which serves all tickets of its batch. MEMO: write `data` at
# `offset` of the memo's file (memo.FILE_BYTES; make it at first) and flush. CHECKPOINT: replace that file, as a
# whole and durably, by the pieces that `data` yields. HASH with `data`, (slab, offset): of the bytes
# there, while they are copied to `slab` at `offset` (log_store.py); what cannot be read has the hash b"".
Effect = namedtuple("Effect", ("kind", "slab", "offset", "length", "data", "ticket"))

# What the core and the owner must hear. `core` and `shard` are empty when it concerns the store as a whole.
# Reasons: "sha256", "header", "io" (a shard is quarantined), or the code of the store's fault.
Report = namedtuple("Report", ("core", "shard", "reason"))


class Ticket:
    """One request on its way. It is at rest when it has a `result` or an `error`. `number`: the core's number in
    the index. `slot`, `length`: once known. `step`: the store's own."""

    def __init__(self, operation: str, core: str, number: int, shard: bytes) -> None:
        self.operation = operation
        self.core = core
        self.number = number
        self.shard = shard
        self.length = 0
        self.keep_until = 0
        self.cost = 0  # flash bytes that were counted for it
        self.slot = -1
        self.received = 0
        self.deadline = 0
        self.step = ""
        self.slots: list[int] = []
        self.header: Any = None  # header.Header of what is stored already
        self.sums: Any = None  # the driver's: CRC-32 of each piece of what was verified
        self.piece_bytes = 0  # the driver's: how long those pieces are
        self.notice: Any = None  # the driver's: how it is told that the ticket came to rest
        self.body: Any = None  # of a cached shard in memory: verified bytes; then it has no slot
        self.is_abandoned = False
        self.has_left = False  # its core was forgotten meanwhile; it may have come back since
        self.result = ""
        self.error: CoreletError | None = None

    @property
    def is_at_rest(self) -> bool:
        return self.result != "" or self.error is not None
