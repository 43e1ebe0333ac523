"""The command `corelet-core` with two routes more: POST /order {"device", "body"}, the link command `update` as it is,
also what no core of ours would send; GET /update/DEVICE, what its birth says of updates. argv: the words after
`corelet-core`."""

import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parents[2]))

from tools.gateway import api  # noqa: E402
from tools.gateway.cli import main  # noqa: E402

ANSWER_S = 10


class Api(api.Api):
    def app(self) -> Starlette:
        made = super().app()
        made.routes.append(Route("/order", self._told(self._order), methods=["POST"]))
        made.routes.append(Route("/update/{device}", self._told(self._update)))
        return made

    async def _order(self, request: Request) -> Response:
        order = await request.json()
        return JSONResponse(await self._core.links.command(order["device"], "update", order["body"], ANSWER_S))

    async def _update(self, request: Request) -> Response:
        known = self._core.links.presence(request.path_params["device"])
        return JSONResponse({"update": known.birth["update"] if known is not None and known.is_up else {}})


api.Api = Api  # type: ignore[misc]
sys.exit(main(sys.argv[2:]))
