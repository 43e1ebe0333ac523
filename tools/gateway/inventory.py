"""What a device has against what the core believes, for the price of a digest: 16 buckets of XORed names.

Only buckets that differ are listed, PAGES_MAX pages at a time; what is not looked at now is at the next time. Nothing
is concluded here: what seems to be missing is challenged (audits.py), and what nobody knows of is counted.
"""

import functools
import os
from collections.abc import Iterable
from typing import NamedTuple

from agent.wire import answers, audit
from tools.gateway.audit_rows import AuditRows
from tools.gateway.shards import ShardClient, Target

PAGES_MAX = 64


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
    before, known = rows.kept_keys(target.device), rows.known_keys(target.device)
    ask = functools.partial(_ask, client, target)
    theirs, ours = answers.read_digest(await ask(audit.DIGEST, b"")), digest_of(before)
    listed: set[bytes] = set()
    done: list[int] = []
    pages = 0
    for bucket in [each for each in range(audit.BUCKETS) if theirs[each] != ours[each]]:
        slot = 0
        while pages < PAGES_MAX:
            pages += 1
            slot, keys = answers.read_page(await ask(audit.LIST, bytes([bucket]) + slot.to_bytes(4, "big")))
            listed.update(keys)
            if slot == 0:
                done.append(bucket)
                break
    still = before & rows.kept_keys(target.device)
    missing = sorted(key for key in still - listed if key[0] >> 4 in done)
    strays = listed - known - rows.known_keys(target.device)
    return Drift(missing, len(strays))


async def _ask(client: ShardClient, target: Target, kind: int, subject: bytes) -> bytes:
    return await client.challenge(target, audit.Challenge(kind, os.urandom(audit.NONCE_BYTES), subject))
