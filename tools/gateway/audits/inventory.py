"""What a device has against what the core believes, for the price of a digest: 16 buckets of XORed names.

Only buckets that differ are listed, PAGES_MAX pages and DRIFT_S at a time; what is not looked at now is at the next
time. Nothing is concluded here: what seems to be missing is challenged (audits.py), and what nobody knows of is
counted. Rows of a large device are read off the loop: 100,000 take 0.3 s.
"""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from agent.errors import PortError
from agent.wire import answers, audit
from tools.gateway.objects.shards import ShardClient, Target
from tools.gateway.registry.audit_rows import AuditRows

PAGES_MAX = 64
DRIFT_S = 60.0

Ask = Callable[[int, bytes], Awaitable[bytes]]


class Drift(NamedTuple):
    """Beginnings of names: of shards it should have and does not list, and how many that it should not have."""

    missing: list[bytes]
    strays: int


def digest_of(keys: Iterable[bytes]) -> list[tuple[int, int]]:
    """(count, XOR) of each bucket, as a device makes it."""
    found = [(0, 0)] * audit.BUCKETS
    for key in keys:
        count, total = found[key[0] >> 4]
        found[key[0] >> 4] = (count + 1, total ^ int.from_bytes(key, "big"))
    return found


async def drift(client: ShardClient, rows: AuditRows, target: Target) -> Drift:
    """CoreletError: nothing is known. What was stored, moved or removed meanwhile is left out."""
    before = await asyncio.to_thread(rows.kept_keys, target.device)
    known = await asyncio.to_thread(rows.known_keys, target.device)
    listed: set[bytes] = set()
    done: set[int] = set()
    try:
        async with asyncio.timeout(DRIFT_S):
            await _list(functools.partial(_ask, client, target), digest_of(before), listed, done)
    except TimeoutError as error:
        if not done:
            text = f"{target.name} did not say within {DRIFT_S:g} s what it has"
            raise PortError("timeout", text) from error
    still = before & await asyncio.to_thread(rows.kept_keys, target.device)
    missing = sorted(key for key in still - listed if key[0] >> 4 in done)
    strays = listed - known - await asyncio.to_thread(rows.known_keys, target.device)
    return Drift(missing, len(strays))


async def _list(ask: Ask, ours: list[tuple[int, int]], listed: set[bytes], done: set[int]) -> None:
    """Into `listed` what it has in buckets that differ, into `done` those of them that are complete."""
    theirs = answers.read_digest(await ask(audit.DIGEST, b""))
    pages = 0
    for bucket in [each for each in range(audit.BUCKETS) if theirs[each] != ours[each]]:
        slot = 0
        while pages < PAGES_MAX:
            pages += 1
            slot, keys = answers.read_page(await ask(audit.LIST, bytes([bucket]) + slot.to_bytes(4, "big")))
            listed.update(keys)
            if slot == 0:
                done.add(bucket)
                break


async def _ask(client: ShardClient, target: Target, kind: int, subject: bytes) -> bytes:
    return await client.challenge(target, audit.Challenge(kind, os.urandom(audit.NONCE_BYTES), subject))
