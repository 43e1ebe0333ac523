"""Where a device may be, and which of its addresses answers first. Bound: PROBE_S for one address."""

import asyncio
import contextlib
import random
from typing import Any, NamedTuple

from agent.errors import PortError

PROBE_S = 3.0


class Candidate(NamedTuple):
    """Where a device may be: `addresses` are tried side by side."""

    label: str
    addresses: list[str]
    port: int


async def reachable(candidate: Candidate) -> str:
    """The address that answers first (RFC 8305 in spirit). PortError("unreachable")."""

    async def probe(host: str) -> str:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host, candidate.port)
        writer.close()
        return host

    tasks = [asyncio.create_task(probe(host)) for host in candidate.addresses]
    try:
        for first in asyncio.as_completed(tasks):
            with contextlib.suppress(OSError):
                return await first
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if candidate.addresses == [candidate.label]:
        text = f"no device answers at {candidate.label} port {candidate.port}: check its address and that it is on"
        raise PortError("unreachable", text)
    text = (
        f"{candidate.label} announces itself at {', '.join(candidate.addresses)} but port {candidate.port} does not "
        "answer: check the firewall and that both are on the same network"
    )
    raise PortError("unreachable", text)


def in_turn(found: list[Any]) -> list[Any]:
    """In which order to try them: open windows first, then one of each address before the second of any, by chance."""
    mixed = random.sample(found, len(found))
    before: dict[tuple[bool, str], int] = {}
    ranks = []
    for position, each in enumerate(mixed):
        is_closed, host = each.txt.get("ps") != "1", each.addresses[0] if each.addresses else ""
        before[is_closed, host] = before.get((is_closed, host), -1) + 1
        ranks.append((is_closed, before[is_closed, host], position))
    return [mixed[position] for _, _, position in sorted(ranks)]
