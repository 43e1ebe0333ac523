"""The HTTP endpoint for applications: GET /ice-servers?user=NAME[&ttl=S] with a key, answered with an iceServers list.

Off unless `up --web` says where. It speaks plain HTTP: on another address than loopback it belongs behind a proxy with
TLS, for the key is in every request. Nothing of a request is logged.

Bounds: CONNECTIONS_MAX at a time, each at most 2 * KEEP_S without a whole request, then TAKE_S to take its answer.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.errors import CoreletError, PortError, UsageError
from tools.gateway.relays.relays import TTL_DEFAULT_S, Relays

CONNECTIONS_MAX = 256
BACKLOG = 64
KEEP_S = 15
TAKE_S = 60  # as ota/source.py gives an answer


class Server(uvicorn.Server):
    """Signals are the core's business, not uvicorn's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """uvicorn waits for ever for a request that never ends, and answers 503 to everybody beyond a limit of those."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
        else:
            self._look(-1)

    def _look(self, before: object) -> None:
        """Again and again: has a request come since?"""
        if self not in self.connections:
            return
        if self.cycle is before:
            self.transport.close()  # once the peer has taken what is left, which it may never do
            self.loop.call_later(TAKE_S, self.transport.abort)
        else:
            self.loop.call_later(KEEP_S, self._look, self.cycle)


def app(relays: Relays) -> Starlette:
    """What uvicorn serves."""

    async def ice_servers(request: Request) -> Response:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        owner = relays.find_key(key.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            text = "show a key as Authorization: Bearer KEY; an operator makes one: corelet-core relay key new NAME"
            return _answer({"code": "key", "text": text}, 401, {"WWW-Authenticate": "Bearer"})
        query = request.query_params
        try:
            return _answer(relays.issue(query.get("user", ""), seconds(query.get("ttl", "")), owner.lan), 200)
        except UsageError as error:
            return _answer({"code": error.code, "text": error.text}, 400)
        except CoreletError as error:
            return _answer({"code": error.code, "text": error.text}, 503, {"Retry-After": "5"})

    async def nothing(_request: Request, _error: Exception) -> Response:
        return _answer({"code": "not_found", "text": "here is only GET /ice-servers?user=NAME"}, 404)

    routes = [Route("/ice-servers", ice_servers, methods=["GET"])]
    return Starlette(routes=routes, exception_handlers={404: nothing})


def _answer(body: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, status, {"Cache-Control": "no-store"} | (headers or {}))


def seconds(text: str) -> int:
    """Of a query; "" is the default. UsageError("ttl")."""
    if not text:
        return TTL_DEFAULT_S
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError("ttl", "ttl is a number of seconds, such as 3600")
    return int(text)


def listen(address: tuple[str, int]) -> socket.socket:
    """PortError("port_busy")."""
    host, number = address
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno or 0)  # its own text names the address once more
        text = f"{host} port {number} cannot be listened on ({why}): choose another with --web ADDR:PORT"
        raise PortError("port_busy", text) from error


async def serve(relays: Relays, sock: socket.socket) -> None:
    """Until cancelled."""
    await serve_app(app(relays), sock)


async def serve_app(made: Starlette, sock: socket.socket) -> None:
    """Another listener with the same bounds; until cancelled."""
    config = uvicorn.Config(
        made, lifespan="off", log_config=None, access_log=False, http=_Connection, ws="none",
        timeout_keep_alive=KEEP_S, server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    await Server(config).serve(sockets=[sock])
