"""The local control channel: the CLI talks to the running device through a Unix socket in its state folder.

The folder is 0700 and the socket 0600, so whoever may connect owns the device; there is nothing to guess
and nothing listens on the network. Paths: GET /status, GET /logs, POST /pair-window, POST /leave?core=ID,
POST /reset. Answers are JSON.
"""

import json

from agent.errors import PeerError, PortError, UsageError
from agent.service import http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET = "control.sock"
TIMEOUT_MS = 15000


class ControlService:
    """`device`: the object with status(), log_lines(), open_window(), leave(core), reset() (agent/app.py)."""

    def __init__(self, device: object) -> None:
        self._device = device

    async def handle(self, request: "http.Request") -> "http.Response":
        device = self._device
        action = (request.method, request.path)
        if action == ("GET", "/status"):
            return _answer(device.status())  # type: ignore[attr-defined]
        if action == ("GET", "/logs"):
            return _answer({"lines": device.log_lines()})  # type: ignore[attr-defined]
        if action == ("POST", "/pair-window"):
            return _answer(await device.open_window())  # type: ignore[attr-defined]
        if action == ("POST", "/leave"):
            return _answer(await device.leave(_parameter(request.query, "core")))  # type: ignore[attr-defined]
        if action == ("POST", "/reset"):
            return _answer(await device.reset())  # type: ignore[attr-defined]
        raise UsageError("control", f"there is no {request.method} {request.path} here")


def _answer(value: "dict[str, Any]") -> "http.Response":
    return http.Response(200, [("Content-Type", "application/json")], json.dumps(value).encode())


def _parameter(query: str, name: str) -> str:
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == name and value:
            return value
    raise UsageError("control", f"parameter '{name}' is missing")


async def ask(net: object, folder: str, method: str, path: str) -> "dict[str, Any]":
    """The running device's answer. PortError("not_running") when none runs on `folder`;
    UsageError("device") with the device's own sentence when it refused."""
    try:
        conn = await net.connect_local(folder + "/" + SOCKET, TIMEOUT_MS)  # type: ignore[attr-defined]
    except PortError as error:
        if error.code in ("refused", "not_found", "unreachable", "io"):
            raise PortError("not_running", f"no device runs on {folder}; start it with: corelet up")
        raise
    try:
        status, _, body = await http.fetch(conn, method, path, [], b"")
    finally:
        conn.close()
    try:
        text = body.decode()
        answer = json.loads(text) if status == 200 else {}
    except ValueError:  # no UTF-8, or no JSON
        answer = None
    if not isinstance(answer, dict):
        raise PeerError("control", f"no device answers on {folder}/{SOCKET}; is another program on its socket?")
    if status != 200:
        raise UsageError("device", text.strip())
    return answer
