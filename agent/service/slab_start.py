"""Finds what the slab files hold when a device starts: from the checkpoint where it counts, else from their headers.

What counts is decided in agent/core/shards/recall.py. Headers are read at the start, bodies never.
"""

import asyncio

from agent.core.shards import checkpoint, memo
from agent.core.shards.flash import PAGE_BYTES
from agent.core.shards.header import HEADER_BYTES
from agent.core.shards.index import SLOTS_A_SLAB_MAX
from agent.core.shards.recall import Recall
from agent.errors import PortError, UsageError
from agent.service.hashing import exactly

if False:
    from agent.core.shards.space import Slab
    from agent.service.slabs import Slabs

NAME_CHARS_MAX = 30
LOADS_A_TURN = 64  # headers read before other tasks have their turn


async def load(slabs: "Slabs") -> None:
    """All slab files of the folder; cut attempts to make one are removed."""
    files, store, recall = slabs.files, slabs.store, Recall(slabs.store)
    names = files.list(slabs.folder)
    left = {}  # (slot bytes, number) -> slots
    for name in names:
        kind_number = parse_name(name)
        if kind_number is not None:
            # Of what we cannot use, too: its name is taken.
            store.space.next_number = max(store.space.next_number, kind_number[1] + 1)
            if (name[:3] == "log") != (store.space.notes_bytes > 0):
                raise UsageError("layout", f"{name} is of the other layout: choose that one, or another folder.")
            length = files.size(slabs.path(*kind_number))
            size = kind_number[0] + store.space.notes_bytes
            slots = length // size
            is_ours = 0 < slots <= SLOTS_A_SLAB_MAX
            if is_ours:
                left[kind_number] = slots
            # What is not ours to use counts, too.
            store.space.allocated_bytes += length - (
                slots * (kind_number[0] + store.space.notes_bytes) if is_ours else 0
            )
        elif name.endswith(".new") and name[:4] in ("slab", "log."):
            files.remove(slabs.folder + "/" + name)
    if memo.FILE_NAME in names:
        _recall_memo(slabs, recall)
    unread = _recall_checkpoint(slabs, recall, left)
    for slot_bytes, number in sorted(left):
        unread.append(recall.attach(slot_bytes, number, left[(slot_bytes, number)]))
    for slab in unread:
        await _load_headers(slabs, recall, slab)


def _recall_memo(slabs: "Slabs", recall: Recall) -> None:
    path, records = slabs.folder + "/" + memo.FILE_NAME, []
    file = slabs.files.open_slab(path)
    for offset in (0, PAGE_BYTES):
        try:
            records.append(exactly(file, offset, memo.MEMO_BYTES))
        except PortError:
            records.append(b"")
    file.close()
    if not recall.recall_memo(records):
        slabs.files.remove(path)


def _recall_checkpoint(slabs: "Slabs", recall: Recall, left: "dict[tuple[int, int], int]") -> "list[Slab]":
    """Adopt what is in the checkpoint and still true, and take it out of `left`. Slabs whose part is damaged."""
    unread: list[Slab] = []
    try:
        file = slabs.files.open_slab(slabs.folder + "/" + memo.INDEX_NAME)
    except PortError:
        recall.distrust()
        return []
    try:
        count = recall.recall_head(file.read(0, checkpoint.HEAD_BYTES))
        at = checkpoint.HEAD_BYTES
        for number in range(count):
            head = exactly(file, at, checkpoint.PART_BYTES)
            slot_bytes, name, slots = checkpoint.part_of(head)
            length = 12 * slots + checkpoint.CRC_BYTES
            at += checkpoint.PART_BYTES
            if recall.is_fresh(number) and left.get((slot_bytes, name)) != slots:
                recall.distrust()  # its file would be here: the part is damaged
            if recall.is_fresh(number):
                data = exactly(file, at, length)
                slab = recall.attach(slot_bytes, name, left.pop((slot_bytes, name)))
                if not recall.adopt(slab, number, head, data):
                    unread.append(slab)
            at += length
    except PortError:
        recall.distrust()  # it ends early: what is left is read from the headers
    finally:
        file.close()
    recall.adopted()
    return unread


async def _load_headers(slabs: "Slabs", recall: Recall, slab: "Slab") -> None:
    """The headers of one slab, from the last to the first."""
    store = slabs.store
    if store.space.notes_bytes:
        store.space.recall(slab, slabs.file(slab).read)  # type: ignore[attr-defined]
    for place in range(slab.slots - 1, -1, -1):
        try:
            data = _header(slabs, slab, place)
            for twin in recall.load(slab, place, data):
                other = store.space.slab_of(twin)
                other_data = _header(slabs, other, twin % SLOTS_A_SLAB_MAX)
                recall.settle_twins(slab.position * SLOTS_A_SLAB_MAX + place, data, twin, other_data)
        except PortError as error:
            recall.skip(error)
        if place % LOADS_A_TURN == 0:
            await asyncio.sleep(0)


def _header(slabs: "Slabs", slab: "Slab", place: int) -> bytes:
    return exactly(slabs.file(slab), place * slab.slot_bytes, HEADER_BYTES)


def parse_name(name: str) -> tuple[int, int] | None:
    """(slot bytes, number) of "slab.64.3" or "log.64.3"; None for other files."""
    parts = name.split(".")
    if (
        len(parts) != 3
        or parts[0] not in ("slab", "log")
        or [sign for sign in parts[1] + parts[2] if sign not in "0123456789"]
    ):
        return None
    if not parts[1] or not parts[2] or len(name) > NAME_CHARS_MAX:
        return None
    kib = int(parts[1])
    return (kib * 1024, int(parts[2])) if kib and kib & (kib - 1) == 0 else None
