"""Where devices fetch updates: http://HOST:PORT/u/DEVICE/ and then `beacon` or a file as ota/README.md has them.

Plain HTTP: nothing of it is trusted by a device, and nothing of it is secret; only paired devices are answered. One
range of a request is honoured. Bounds: connections as tools/gateway/relays/web.py has them; PIECE_BYTES in memory for
each; a file is read while it is sent.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from agent.errors import CoreletError

PIECE_BYTES = 65536
RANGE = re.compile(r"bytes=([0-9]{1,9})-([0-9]{0,9})")
DELTA = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})")


class Store(Protocol):
    """What is served; updates.py has it."""

    def is_known(self, device: str) -> bool: ...

    def beacon(self, device: str) -> bytes: ...

    def small(self, kind: str, name: str) -> bytes: ...

    def pack_path(self, name: str) -> Path | None: ...

    async def delta(self, target: str, base: str) -> Path | None: ...


def app(store: Store) -> Starlette:
    """What uvicorn serves."""

    async def answer(request: Request) -> Response:
        device, kind, name = [request.path_params.get(word, "") for word in ("device", "kind", "name")]
        if not store.is_known(device):
            return _nothing()
        try:
            if kind in ("packs", "deltas"):
                found = DELTA.fullmatch(name) if kind == "deltas" else None
                path = store.pack_path(f"packs/{name}") if kind == "packs" else None
                path = await store.delta(found[1], found[2]) if found else path
                return _file(path, request.headers.get("range", "")) if path else _nothing()
            data = store.small(kind, name) if name else store.beacon(device)
        except (CoreletError, OSError) as error:
            text = error.text if isinstance(error, CoreletError) else "the core's disk failed"
            return PlainTextResponse(text + "\n", 503)
        return _small(data, request.headers.get("range", "")) if data else _nothing()

    files = "/u/{device}/{kind:str}/{name:str}"
    return Starlette(routes=[Route("/u/{device}/beacon", answer), Route(files, answer)])


def _nothing() -> Response:
    return PlainTextResponse("there is no such file\n", 404)


def span_of(header: str, size: int) -> range | None:
    """One range that is there; None: all of it (RFC 9110 section 14.2: what is not understood is ignored). An empty
    one: it cannot be satisfied."""
    found = RANGE.fullmatch(header.strip())
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or size)
    if found[2] and last < first:
        return None
    return range(min(first, size), min(last + 1, size))


def _head(span: range | None, size: int) -> tuple[int, range, dict[str, str]]:
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    if span is None:
        return 200, range(size), headers | {"Content-Length": str(size)}
    if not span:
        return 416, span, headers | {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
    where = f"bytes {span.start}-{span.stop - 1}/{size}"
    return 206, span, headers | {"Content-Range": where, "Content-Length": str(len(span))}


def _small(data: bytes, header: str) -> Response:
    status, span, headers = _head(span_of(header, len(data)), len(data))
    return Response(data[span.start : span.stop], status, headers, "application/octet-stream")


def _file(path: Path, header: str) -> Response:
    size = path.stat().st_size
    status, span, headers = _head(span_of(header, size), size)
    return StreamingResponse(_pieces(path, span), status, headers, "application/octet-stream")


def _pieces(path: Path, span: range) -> Iterator[bytes]:
    """In a thread, as Starlette runs it."""
    with path.open("rb") as file:
        file.seek(span.start)
        left = len(span)
        while left and (piece := file.read(min(left, PIECE_BYTES))):
            left -= len(piece)
            yield piece
