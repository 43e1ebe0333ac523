"""The core's local API: JSON and frames over HTTP on a Unix socket in the state folder (0700, socket 0600).

Whoever can open the socket owns the state, so there is no further sign-in, and no network port. Only the command line
speaks it; the routes may change with it. Bodies: JSON of at most JSON_BYTES_MAX, except a put, which streams.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agent.errors import CoreletError, LimitError, PeerError, PortError, TrustError, UsageError
from tools.gateway.app import REMOVE_WAIT_S, Core
from tools.gateway.audits.reputation import Reputation
from tools.gateway.command import frames
from tools.gateway.objects.health import Health
from tools.gateway.objects.objects import Listed, span_of
from tools.gateway.pairing.admission import Wanted
from tools.gateway.registry.tables import Object
from tools.gateway.relays.web import Server
from tools.gateway.updates.routes import routes as update_routes

JSON_BYTES_MAX = 65536
CLOSE_S = 4
STATUSES = ((UsageError, 400), (LimitError, 503), (TrustError, 403), (PeerError, 502), (PortError, 500))

LOG = logging.getLogger("corelet.api")


def _object(found: Object) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "size": found.size,
        "sha256": found.sha256.hex(),
        "k": found.k,
        "n": found.n,
        "stripes": found.layout.stripes(found.size),
        "slot": found.slot,
        "created": found.created,
    }


def _listed(line: Listed) -> dict[str, Any]:
    return _object(line.object) | {"shards": line.shards, "survives": line.survives, "is_readable": line.survives >= 0}


def _healthy(line: Health) -> dict[str, Any]:
    return {
        "survives": line.survives,
        "of": line.of,
        "shards": line.margin.kept,
        "away": line.margin.away,
        "repairing": line.repairing,
        "weak_stripes": line.margin.weak,
        "reasons": line.reasons,
    }


async def _json(request: Request, bytes_max: int = JSON_BYTES_MAX) -> dict[str, Any]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > bytes_max:
            raise UsageError("json", f"the request is longer than {bytes_max} bytes")
    try:
        value = json.loads(bytes(body))
    except ValueError as error:
        raise UsageError("json", "the request is not JSON") from error
    if not isinstance(value, dict):
        raise UsageError("json", "the request is not a JSON object")
    return value


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str) or len(found) > 300:
        raise UsageError("json", f"{key} is a text of at most 300 characters")
    return found


class Api:
    """The routes around one core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def app(self) -> Starlette:
        """What uvicorn serves."""
        routes = [
            Route("/status", self._told(self._status)),
            Route("/devices", self._told(self._devices)),
            Route("/devices/{reference:path}", self._told(self._forget), methods=["DELETE"]),
            Route("/audits", self._told(self._audit), methods=["POST"]),
            Route("/relays", self._told(self._relays)),
            Route("/relay-credentials", self._told(self._credentials), methods=["POST"]),
            Route("/relay-keys", self._told(self._keys), methods=["GET"]),
            Route("/relay-keys", self._told(self._new_key), methods=["POST"]),
            Route("/relay-keys/{name:path}", self._told(self._remove_key), methods=["DELETE"]),
            Route("/discovered", self._told(self._discovered)),
            Route("/pair", self._told(self._pair), methods=["POST"]),
            Route("/objects", self._told(self._objects), methods=["GET"]),
            Route("/objects", self._told(self._put), methods=["PUT"]),
            Route("/health", self._told(self._health)),
            Route("/may-put", self._told(self._may_put)),
            Route("/objects/{reference:path}", self._told(self._get), methods=["GET"]),
            Route("/objects/{reference:path}", self._told(self._remove), methods=["DELETE"]),
        ]
        return Starlette(routes=routes + update_routes(self._core.updates, self._told, _json))

    @staticmethod
    def _told(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """A CoreletError becomes its sentence; anything else one that points to the log."""

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except CoreletError as error:
                status = next((number for kind, number in STATUSES if isinstance(error, kind)), 500)
                return JSONResponse({"code": error.code, "text": error.text}, status)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it
            except Exception as error:
                LOG.exception("%s %s failed", request.method, request.url.path)
                text = f"the core failed ({type(error).__name__}): its log in the state folder says where"
                return JSONResponse({"code": "internal", "text": text}, 500)

        return told

    async def _status(self, _: Request) -> Response:
        await self._core.objects.doctor.look()
        return JSONResponse(self._core.status())

    async def _devices(self, _: Request) -> Response:
        return JSONResponse({"devices": self._core.devices()})

    async def _audit(self, request: Request) -> Response:
        rounds = await self._core.audits.round(_text(await _json(request), "device"))
        known = self._core.registry.reputations()
        found = {
            each.device: known.get(each.device, Reputation(each.device, 0)) for each in rounds
        }  # one may have gone
        lines = [each._asdict() | {"reputation": self._core.audits.listed(found[each.device])} for each in rounds]
        return JSONResponse({"audits": lines})

    async def _relays(self, _: Request) -> Response:
        return JSONResponse({"relays": self._core.relays.listed()})

    async def _credentials(self, request: Request) -> Response:
        value = await _json(request)
        ttl_s = value.get("ttl")
        if not isinstance(ttl_s, int):
            raise UsageError("json", "ttl is a number of seconds")
        return JSONResponse(self._core.relays.issue(_text(value, "user"), ttl_s, value.get("lan") is True))

    async def _keys(self, _: Request) -> Response:
        keys = [{"name": key.name, "lan": key.lan, "created": key.created} for key in self._core.registry.relay_keys()]
        return JSONResponse({"keys": keys})

    async def _new_key(self, request: Request) -> Response:
        value = await _json(request)
        key = self._core.relays.new_key(_text(value, "name"), value.get("lan") is True)
        return JSONResponse({"key": key, "url": self._core.web_url()})

    async def _remove_key(self, request: Request) -> Response:
        self._core.registry.remove_relay_key(request.path_params["name"])
        return JSONResponse({})

    async def _discovered(self, _: Request) -> Response:
        return JSONResponse({"found": self._core.discovered()})

    async def _forget(self, request: Request) -> Response:
        is_forced = request.query_params.get("force") == "1"
        return JSONResponse(await self._core.forget(request.path_params["reference"], is_forced))

    async def _objects(self, _: Request) -> Response:
        return JSONResponse({"objects": [_listed(line) for line in self._core.objects.listed()]})

    async def _put(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        stored = await self._core.objects.put(request.stream(), name, lambda _: None)
        known = {"devices": stored.devices, "queued": stored.queued, "warning": stored.warning}
        return JSONResponse(_object(stored.object) | known)

    async def _health(self, _: Request) -> Response:
        found = [_object(each.object) | _healthy(each) for each in await self._core.objects.doctor.look()]
        return JSONResponse({"objects": found, "summary": self._core.objects.doctor.summary})

    async def _may_put(self, request: Request) -> Response:
        self._core.objects.may_put(request.query_params.get("name", ""))
        return JSONResponse({})

    async def _remove(self, request: Request) -> Response:
        found, shards, waiting = await self._core.objects.remove(request.path_params["reference"], REMOVE_WAIT_S)
        return JSONResponse({"object": found.id, "name": found.name, "shards": shards, "waiting": waiting})

    async def _get(self, request: Request) -> Response:
        found = self._core.objects.find(request.path_params["reference"])
        text = request.query_params.get("range", "")
        span = span_of(text, found.size) if text else None
        return StreamingResponse(self._content(found, span), media_type=frames.MEDIA_TYPE)

    async def _content(self, found: Object, span: range | None) -> AsyncIterator[bytes]:
        shown = _object(found) | ({} if span is None else {"first": span.start, "length": len(span)})
        yield frames.encode_json("P", shown)
        try:
            async with aclosing(self._core.objects.get(found, span)) as pieces:
                async for piece in pieces:
                    for frame in frames.data(piece):
                        yield frame
        except CoreletError as error:
            yield frames.encode_error(error)
            return
        yield frames.encode_json("R", shown)

    async def _pair(self, request: Request) -> Response:
        value = await _json(request)
        wanted = Wanted(_text(value, "code"), _text(value, "qr"), _text(value, "address"), _text(value, "name"))
        if bool(wanted.code) == bool(wanted.qr):
            raise UsageError("code", "give either the setup code or the QR text")
        return StreamingResponse(self._pairing(wanted), media_type=frames.MEDIA_TYPE)

    async def _pairing(self, wanted: Wanted) -> AsyncIterator[bytes]:
        """Progress as it happens. Who goes away ends the pairing; what was begun is undone."""
        steps: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        task = asyncio.create_task(self._core.pair(wanted, lambda step, detail: steps.put_nowait((step, detail))))
        try:
            while not (task.done() and steps.empty()):
                waiting = asyncio.create_task(steps.get())
                await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    step, detail = waiting.result()
                    yield frames.encode_json("P", {"step": step, "detail": detail})
                waiting.cancel()
            device = task.result()
            yield frames.encode_json(
                "R", {"device": device.id, "name": device.name, "board": device.board, "fw": device.fw}
            )
        except CoreletError as error:
            yield frames.encode_json("E", {"code": error.code, "text": error.text, "kind": kind_of(error).__name__})
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def kind_of(error: CoreletError) -> type[CoreletError]:
    """Which family an error is of, for the exit status: a mistyped code is the typist's."""
    is_typed = isinstance(error, PeerError) and error.code in ("code", "qr")
    return UsageError if is_typed else type(error)


def listen(path: Path) -> socket.socket:
    """The Unix socket, mode 0600 from its first moment; one that a killed core left is replaced (we hold the lock)."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(os.fspath(path))
    finally:
        os.umask(before)
    return made


async def serve(core: Core, is_ready: Callable[[], None]) -> None:
    """Until cancelled. `is_ready()` is called when the command line can connect."""
    sock = listen(core.state.socket_path)
    config = uvicorn.Config(
        Api(core).app(),
        lifespan="off",
        log_config=None,
        access_log=False,
        http="h11",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        if not task.done():
            is_ready()
        await asyncio.wait({task})  # not `await task`: our cancellation must leave it time to finish its answers
        task.result()
    finally:
        server.should_exit = True
        await asyncio.wait({task}, timeout=CLOSE_S)
        task.cancel()
        core.state.socket_path.unlink(missing_ok=True)
