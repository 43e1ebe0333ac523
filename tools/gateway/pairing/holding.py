"""Which of the secrets that the core has for a device the device works with, when an earlier pairing may hold.

The shard listener tells: it refuses a token of another secret. Bounds: HELD_S for all that is asked of one device; a
pairing that the operator waits for does not wait longer.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from agent.errors import CoreletError, TrustError
from tools.gateway.addresses import usable_addresses
from tools.gateway.objects.shards import ShardClient, Target
from tools.gateway.registry.tables import Pairing

HELD_S = 5.0

LOG = logging.getLogger("corelet.admission")


async def held(
    client: ShardClient, birth: Mapping[str, Any], rows: Sequence[Pairing], secrets: Sequence[bytes]
) -> bytes | None:
    """`rows`: the pairings of the device whose birth this is. None when it cannot be told now."""
    usable = [each for row in rows for each in usable_addresses(birth.get("addresses"), row.address)]
    ways, shard, row = tuple(dict.fromkeys(usable)), os.urandom(32), rows[0]
    why = "it did not answer in time"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HELD_S):
            for secret in secrets:
                target = Target(row.id, row.name, ways, birth.get("data", 0), birth["boot"], (), 0, secret, True)
                try:
                    await client.has(target, shard, 1)
                    return secret
                except TrustError:
                    continue
                except CoreletError as error:
                    why = error.text
                    break
            else:
                return None
    LOG.info("device %s is asked again later: %s", row.id, why)
    return None
