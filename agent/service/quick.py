"""Answers to what can be answered at once: a GET with a token that is right, of a shard that was verified already.

All else is left to service/shards.py, which finds the same and says it in words. The head of a request that was
answered is remembered by its SHA-256, and a token by its text: the same again needs neither reading nor a MAC, but the
secret must still be its core's, and its time is judged each time. Runs in the thread of the port's lane.
Bounds: `known_max` heads and a quarter as many tokens; when there are more, all are forgotten.
"""

import hashlib

from agent.errors import CoreletError
from agent.service import shard_answers
from agent.wire import http

if False:
    from collections.abc import Callable
    from typing import Any

    from agent.core.shards.access import Access
    from agent.service.shards import Cores
    from agent.wire.token import Claims

    # claims, None for open reads; secret; shard; head of the answer, None for all of it; first byte; count
    Known = tuple[Claims | None, bytes | None, bytes, bytes | None, int, int]

TOKENS_SHARE = 4  # so many heads for each token: one is asked with again only for another range
# Fields that change what a GET means; whoever sends one is served by the other path.
ODD = ("content-length", "expect", "if-range", "want-merkle-path")


class Quick:
    """`hot`: hot.Hot or fresh.Fresh. `claims(head)`: of the token in a request's head, verified."""

    def __init__(
        self, hot: "Any", access: "Access", cores: "Cores", claims: "Callable[[http.Head], Claims]", known_max: int
    ) -> None:
        self._hot = hot
        self._access = access
        self._cores = cores
        self._claims = claims
        self._known_max = known_max
        self._known: dict[bytes, Known] = {}
        self._tokens: dict[str, tuple[Claims, bytes | None]] = {}

    def answer(self, data: bytes) -> "tuple[int, bytes, Any, int, int] | None":
        """(bytes of the request, head, what to send of, first byte, count) for the request at the start of `data`;
        None when it must be answered elsewhere."""
        length = data.find(b"\r\n\r\n") + 4
        digest = hashlib.sha256(data if length == len(data) else data[:length]).digest()
        known = self._known.get(digest)
        try:
            if known is None:
                known = self._read(data)
                if known is None:
                    return None
                _put(self._known, digest, known, self._known_max)
            claims, secret, shard, head, first, count = known
            kept = self._hot.held.get(shard)
            if kept is None:
                return None
            core = self._cores.open
            if claims is not None:
                core = claims.core
                if secret != self._cores.secret(core):
                    del self._known[digest]
                    return None
                self._access.check_time(claims, self._cores.time(core), 0)
            if core != kept.core or not self._hot.take(shard, kept):
                return None
            return length, head or kept.head, kept, first, count
        except CoreletError:  # the other path finds the same and says so
            return None

    def _read(self, data: bytes) -> "Known | None":
        """What a head asks for that is new here, if it is held and may be had. CoreletError."""
        head = http.parse_head(data)
        if head is None or head.method != "GET" or [1 for name in ODD if name in head.headers]:
            return None
        if head.headers.get("connection", "keep-alive").lower() != "keep-alive":
            return None
        shard = shard_answers.shard_of(head.target)
        kept = self._hot.held.get(shard)
        if shard is None or kept is None:
            return None
        claims, secret = self._allowed(head)
        if claims is not None:
            self._access.check(claims, "get", shard, None)
        if "range" not in head.headers:
            return claims, secret, shard, None, 0, kept.length
        status, headers, first, count = shard_answers.partial(shard, kept.length, head.headers["range"])
        return claims, secret, shard, http.encode_response(status, headers, count), first, count

    def _allowed(self, head: http.Head) -> "tuple[Claims | None, bytes | None]":
        """The claims of its token and the secret that made it; none of both where reads are open. TrustError."""
        text = head.headers.get("authorization", "")
        if not text and self._cores.open:
            return None, None
        known = self._tokens.get(text)
        if known is None or known[1] != self._cores.secret(known[0].core):
            claims = self._claims(head)
            known = claims, self._cores.secret(claims.core)
            _put(self._tokens, text, known, self._known_max // TOKENS_SHARE)
        return known


def _put(table: "dict[Any, Any]", key: object, value: object, most: int) -> None:
    if len(table) >= most:
        table.clear()
    table[key] = value
