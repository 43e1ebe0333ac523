"""The local API's routes about updates (tools/gateway/api.py has the rest, and who may speak)."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.errors import UsageError
from ota.pack import PACK_BYTES_MAX
from tools.gateway.updates.releases import Offer
from tools.gateway.updates.updates import Updates

OFFER_BYTES_MAX = PACK_BYTES_MAX * 4 // 3 + (4 << 20)  # in base64, with many documents of 32 KiB
Handle = Callable[[Request], Awaitable[Response]]
Json = Callable[[Request, int], Awaitable[dict[str, Any]]]


def routes(updates: Updates, told: Callable[[Handle], Handle], json: Json) -> list[Route]:
    """`told` turns errors into answers, `json(request, bytes at most)` reads a body."""
    return _of_releases(updates, told, json) + _of_rollouts(updates, told, json)


def _of_releases(updates: Updates, told: Callable[[Handle], Handle], json: Json) -> list[Route]:
    async def listed(_: Request) -> Response:
        return JSONResponse({"releases": await updates.listed()})

    async def add(request: Request) -> Response:
        value = await json(request, OFFER_BYTES_MAX)
        offer = Offer(
            _bytes(value.get("envelope")), _bytes(value.get("pack", "")), _each(value, "approvals"),
            _each(value, "roots"),
        )  # fmt: skip
        return JSONResponse(updates.about(await updates.add(offer)))

    async def remove(request: Request) -> Response:
        found = await updates.remove(request.path_params["reference"])
        return JSONResponse({"digest": found.digest, "sequence": found.sequence})

    return [
        Route("/releases", told(listed), methods=["GET"]),
        Route("/releases", told(add), methods=["POST"]),
        Route("/releases/{reference}", told(remove), methods=["DELETE"]),
    ]


def _of_rollouts(updates: Updates, told: Callable[[Handle], Handle], json: Json) -> list[Route]:
    async def status(_: Request) -> Response:
        return JSONResponse({"rollout": updates.status()})

    async def start(request: Request) -> Response:
        value = await json(request, 65536)
        digest = value.pop("digest", "")
        if not isinstance(digest, str) or len(digest) > 64:
            raise UsageError("json", "digest is a text of at most 64 characters")
        updates.start(digest, value)
        return JSONResponse({"rollout": updates.status()})

    async def change(request: Request) -> Response:
        verbs = {"pause": updates.pause, "resume": updates.resume, "abort": updates.abort}
        verb = request.path_params["verb"]
        if verb not in verbs:
            raise UsageError("usage", f"expected {', '.join(verbs)}, got {verb}")
        verbs[verb]()
        return JSONResponse({"rollout": updates.status()})

    return [
        Route("/rollout", told(status), methods=["GET"]),
        Route("/rollout", told(start), methods=["POST"]),
        Route("/rollout/{verb}", told(change), methods=["POST"]),
    ]


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise UsageError("json", "expected bytes in base64") from error


def _each(value: dict[str, Any], name: str) -> list[bytes]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise UsageError("json", f"{name} is a list of bytes in base64")
    return [_bytes(each) for each in found]
