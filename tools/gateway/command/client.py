"""The command line's end of the core's local API.

Every way in which the core cannot be reached is one sentence. Bodies stream in both directions; nothing is held whole.
"""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from agent.errors import CoreletError, LimitError, PeerError, PortError, TrustError, UsageError
from tools.gateway.command import frames
from tools.gateway.state import socket_path, typed

ANSWER_BYTES_MAX = 64 << 20
KINDS: dict[int, type[CoreletError]] = {400: UsageError, 503: LimitError, 403: TrustError, 502: PeerError}


class Client:
    """One connection to the core that holds `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx's own reads every root of the machine
        transport = httpx.HTTPTransport(verify=no_tls, uds=str(socket_path(folder)))
        # No time-outs: the core has its own for everything it does, and a long put is not an error.
        self._http = httpx.Client(transport=transport, base_url="http://core", timeout=None, trust_env=False)  # noqa: S113

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def ask(self, method: str, path: str, content: Any = None, **query: str) -> dict[str, Any]:
        """One JSON answer. CoreletError as the core said it."""
        with self._stream(method, path, content, query) as response:
            return _read(response)

    def frames(self, method: str, path: str, content: Any = None, **query: str) -> Iterator[tuple[str, bytes]]:
        """(kind, payload) until the result; an E frame is raised."""
        with self._stream(method, path, content, query) as response:
            for kind, payload in frames.decode(response.iter_raw()):
                if kind == "E":
                    raise _error(json.loads(payload))
                yield kind, payload

    @contextmanager
    def _stream(self, method: str, path: str, content: Any, query: dict[str, str]) -> Iterator[httpx.Response]:
        try:
            with self._http.stream(method, quote(path), content=content, params=query) as response:
                if response.status_code != 200:
                    value = _read(response)
                    raise KINDS.get(response.status_code, PortError)(str(value.get("code")), str(value.get("text")))
                yield response
        except httpx.ConnectError as error:
            raise self._absent(error) from error
        except httpx.HTTPError as error:
            text = (
                f"the core stopped in the middle of this ({type(error).__name__}): look at its screen, then try again"
            )
            raise PortError("core_gone", text) from error

    def _absent(self, error: Exception) -> PortError:
        """No socket, nobody behind it, or not ours."""
        if "ermission" in str(error):
            owner = _owner(self._folder)
            text = f"the core on {self._folder} is {owner}'s: run this as {owner}, with: sudo -u {owner} "
            return PortError("denied", text + typed(self._folder.absolute(), "COMMAND", is_named=True))
        words = typed(self._folder, "up")
        return PortError("core_not_running", f"no core is running on {self._folder}: start it with: {words}")


def _owner(folder: Path) -> str:
    """Who holds the nearest folder that we may look at: a state folder's parent may be closed to us."""
    for path in (folder, *folder.absolute().parents):
        with suppress(OSError, KeyError):
            return path.owner()
        # KeyError: its number has no name here.
    return "root"


def _read(response: httpx.Response) -> dict[str, Any]:
    body = bytearray()
    for piece in response.iter_raw():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise PeerError("answer", "the core's answer is too long")
    try:
        value = json.loads(bytes(body))
    except ValueError:
        value = {"code": "answer", "text": f"the core answered with status {response.status_code} and no reason"}
    return value if isinstance(value, dict) else {"code": "answer", "text": "the core's answer has another shape"}


def _error(value: dict[str, Any]) -> CoreletError:
    kind = UsageError if value.get("kind") == "UsageError" else PortError
    return kind(str(value.get("code")), str(value.get("text")))
