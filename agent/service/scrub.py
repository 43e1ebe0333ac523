"""Reads and hashes all that is kept, a shard at a time, so that rot is found before the shard is needed.

What it finds is quarantined and reported by the store, as for a GET. It waits while there are requests, YIELD_S at
most. Where it is, is written down once in SAVE_MS and at an orderly end: flash wears.
"""

import asyncio

from agent.core.shards.flash import PAGE_BYTES, REPLACE_BYTES, TIDY
from agent.core.shards.header import HEADER_BYTES
from agent.core.shards.index import SLOTS_A_SLAB_MAX
from agent.core.shards.scrub import START, Scrub
from agent.errors import PortError
from agent.service.hashing import exactly

if False:
    from agent.core.shards.store import Store
    from agent.port import contract
    from agent.service.shards import ShardService
    from agent.service.slabs import Slabs

SAVE_MS = 3_600_000
SAVE_BYTES = REPLACE_BYTES + PAGE_BYTES
YIELD_S = 60
MARK_BYTES_MAX = 40


class Mark:
    """Scrub.mark in a file."""

    def __init__(self, files: "contract.Files", path: str) -> None:
        self._files = files
        self._path = path

    def read(self) -> tuple[int, int, int]:
        """The start when there is none, or something else was written there."""
        try:
            words = self._files.read(self._path, MARK_BYTES_MAX).split()
        except PortError:
            return START
        if len(words) != 3 or [word for word in words if word.strip(b"0123456789")]:
            return START
        return int(words[0]), int(words[1]), int(words[2])

    def write(self, mark: tuple[int, int, int]) -> None:
        """PortError."""
        self._files.write_atomic(self._path, " ".join([str(each) for each in mark]).encode())


async def run(store: "Store", slabs: "Slabs", mark: Mark, service: "ShardService") -> None:
    """Until cancelled."""
    scrub = Scrub(store.index, store.space)
    kept = scrub.mark = mark.read()
    unsaved_ms = 0
    try:
        while True:
            for _ in range(YIELD_S):
                if service.is_quiet():
                    break
                await asyncio.sleep(1)
            await verify(store, slabs, scrub.take())
            service.take_reports()
            unsaved_ms += scrub.pause_ms()
            if unsaved_ms >= SAVE_MS and scrub.mark != kept and _may_save(store):
                unsaved_ms, kept = 0, scrub.mark
                mark.write(kept)
            await asyncio.sleep(scrub.pause_ms() / 1000)
    finally:
        if scrub.mark != kept and _may_save(store):
            mark.write(scrub.mark)


def _may_save(store: "Store") -> bool:
    """Whether the day has bytes for it; then they are spent."""
    is_affordable = store.flash.left(TIDY, store.now) >= SAVE_BYTES
    if is_affordable:
        store.flash.spend(SAVE_BYTES)
    return is_affordable


async def verify(store: "Store", slabs: "Slabs", slot: int) -> None:
    """One slot; -1 is none."""
    if slot < 0:
        return
    try:
        slab = store.space.slab_of(slot)
        data = exactly(slabs.file(slab), slot % SLOTS_A_SLAB_MAX * slab.slot_bytes, HEADER_BYTES)
    except PortError as error:
        if error.code == "stopped":  # no descriptor is left: nothing is wrong with the bytes
            return
        data = b""
    header = store.check_header(slot, data)
    if header is not None:
        await slabs.wait(store.get(header.core.hex(), header.shard, False))
