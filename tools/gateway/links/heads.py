"""How much a device may say before its answer: the way of all HTTP to devices, to their listeners and as they dialled.

h11 bounds one head, not how many come before the answer: a device that says "100 Continue" without end would take the
loop until the request's time-out. So what is read after a request has a budget, and the body's is added by `allow`
when the head has said what comes. Bounds: HEAD_BYTES_MAX.
"""

from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

HEAD_BYTES_MAX = 16384


class Rationed(httpcore.AsyncNetworkStream):
    """Reads HEAD_BYTES_MAX after each write, and what `allow` adds; more is an error of the device."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = HEAD_BYTES_MAX

    def allow(self, count: int) -> None:
        self._left += count

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 (httpcore's contract)
        if not self._left:
            raise httpcore.ReadError("it says more than an answer has")
        data = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 (httpcore's contract)
        self._left = HEAD_BYTES_MAX
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Network(httpcore.AnyIOBackend):
    """TCP to a device's listener."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's contract)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Rationed:
        return Rationed(await super().connect_tcp(host, port, timeout, local_address, socket_options))


def client(network: httpcore.AsyncNetworkBackend, **limits: Any) -> httpx.AsyncClient:
    """Of devices. One that keeps cookies grows by what a device sets, and tells it to the next device at the same
    address; a proxy set for the web (trust_env) must never see the traffic between core and devices."""
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    # The documented way to bring one's own network into httpcore; httpx hands nothing through.
    transport._pool = httpcore.AsyncConnectionPool(network_backend=network, **limits)
    cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, cookies=cookies)
