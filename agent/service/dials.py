"""A device that its core cannot reach dials out: mutual TLS to where the core says, and there the data listener's HTTP.

Bounds: DIALS connections to one core, eight addresses tried in turn; one that fails or ends soon is followed by a pause
with full jitter; an order is carried out after FIRST_S.
"""

import asyncio

from agent import port
from agent.core.backoff import Backoff
from agent.errors import CoreletError, PeerError
from agent.port.options import LinkOptions
from agent.service import http
from agent.wire import shape

if False:
    from typing import Any

DIALS = 2
FIRST_S = 1  # a core that orders again and again must not make a flood of us, to whomever it names
WHERE = {"hosts": ("list", 1, 8, ("host", 1, 253)), "port": ("int", 1, 65535)}
CONNECT_MS = 15_000
IDLE_MS = 150_000  # the core ends what is idle before that
STABLE_MS = 30_000


def start(record: "dict[str, Any]", key_der: bytes, body: "dict[str, Any]", shards: "Any") -> "list[Any]":
    """Tasks that dial until they are cancelled. `record`: as of the link. `shards`: ShardService. PeerError("dial")."""
    wrong = shape.misfit(body, WHERE)
    if wrong is not None:
        raise PeerError("dial", "dial: expected addresses of the core and a port, came another " + wrong)
    name, rest = "core-" + record["core"], (record["ca"], record["cert"], key_der, "", 0, "", b"", 0)
    options = [LinkOptions(host, body["port"], name, *rest) for host in body["hosts"]]
    limits = http.Limits(DIALS, IDLE_MS, 30_000, http.LIMITS.piece_bytes)
    handle = http.Router([("/shards/", shards.handle)]).handle
    # It never listens: what it serves is dialled.
    server = http.HttpServer(None, handle, limits, None, shards.bandwidth)  # type: ignore[arg-type]
    return [port.net.spawn(_dial(options, server)) for _ in range(DIALS)]


async def _dial(options: "list[LinkOptions]", server: http.HttpServer) -> None:
    backoff, turn = Backoff(port.crypto().entropy), 0
    await asyncio.sleep(FIRST_S)
    while True:
        began = port.clock.now_ms()
        try:
            await server.admit(await port.net.wait_for(port.dial().connect(options[turn]), CONNECT_MS))
        except CoreletError:  # the link tells the core's owner what there is to tell
            turn = (turn + 1) % len(options)
        if port.clock.now_ms() - began >= STABLE_MS:
            backoff.reset()
        else:
            await asyncio.sleep(backoff.pause_ms() // 1000)
