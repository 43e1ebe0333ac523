"""`corelet-core token`: a bearer token for a store that runs without a full core (`corelet store`). No core is asked.

The key file makes the token and checks it. It is good for one operation on one shard, for LIFE_S seconds by the clocks
of both machines, and for PUT and DELETE once.
"""

import argparse
import time

from agent import arguments
from agent.core.shards.access import TOKEN_LIFE_S_MAX
from agent.errors import UsageError
from agent.port.cpython import clock, codec, crypto
from agent.wire import full_core, token
from tools.gateway.command import screen

LIFE_S = TOKEN_LIFE_S_MAX


def bearer(options: argparse.Namespace) -> int:
    """Print it. UsageError."""
    core, device, secret = token.alone(crypto, arguments.secret(options.key_file))
    if (options.op in ("put", "offer")) != (options.bytes is not None):
        raise UsageError("usage", "--bytes N, the size of the shard, belongs to --op put and offer and to nothing else")
    claims = token.Claims(
        core=core,
        device=options.device or device,
        expiry=int(time.time()) + LIFE_S,
        token_id=token.dated_id(clock.unix_ms(), crypto.entropy(token.TOKEN_ID_BYTES)),
        operation=options.op,
        shard=options.shard,
        size=options.bytes or 0,
        keep_until=0,
    )
    text = full_core.encode_token(codec, crypto, secret, claims)
    if options.json:
        screen.say_json({"token": text, "core": core, "device": claims.device, "expiry": claims.expiry})
    else:
        screen.say(text)
    return 0
