"""Keeps a device behind a home router reachable: drives core/relay/reach.py, which asks the router to map ports.

    reach = ReachService("192.168.1.5", [(17, 3478), (6, 3478)], on_change, nonce)
    supervisor.spawn("reach", reach.run)    # when it is cancelled it removes the mappings

The route is looked at every LOOK_MS. A socket is open only while an answer is awaited, so that nobody can wake an idle
board. Bounds: one datagram or one answer of igd.BODY_BYTES_MAX at a time.
"""

import asyncio

from agent import port
from agent.core.relay.reach import CALL_MS, LIFETIME_S, Reach
from agent.errors import PeerError, PortError
from agent.port import clock, net, routes
from agent.wire import igd, portmap

if False:
    from typing import Any, Callable

    from agent.port import contract
    from agent.wire.portmap import Want

LOOK_MS = 30_000
STOP_MS = 4_000


class ReachService:
    """`own`: our address, of IPv6 for pinholes. `wants`: (protocol, port) of ours, 6 or 17. `on_change()`: the
    machine's sentence, an external address or the router's own is another now. `nonce`: see Reach. `odd`: answers
    that were none."""

    def __init__(
        self, own: str, wants: "list[Want]", on_change: "Callable[[], None]", nonce: bytes, lifetime_s: int = LIFETIME_S
    ) -> None:
        self.machine = Reach(port.crypto().entropy, nonce, wants, lifetime_s)
        self.odd = 0
        self.look_ms = LOOK_MS
        self._own = own
        self._on_change = on_change
        self._told = ("", b"")
        self._udp: contract.Datagrams | None = None

    async def run(self) -> None:
        """Until it is cancelled. What a slow router does not hear of then ends with its lifetime."""
        look_at = clock.now_ms()
        try:
            while True:
                now = clock.now_ms()
                if now >= look_at:
                    look_at = now + self.look_ms
                    gateway = (routes.gateways(":" in self._own) or [("", "")])[0][1]
                    self.machine.set_network(port.pump().packed(self._own), gateway, now)
                self.machine.wake(now)
                await self._carry()
                wake_at = self.machine.wake_at
                await self._wait((look_at if wake_at is None else min(look_at, wake_at)) - clock.now_ms())
        finally:
            self.machine.stop()
            try:
                await net.wait_for(self._carry(), STOP_MS)
            except PortError:
                self.odd += 1
            self._close_udp()

    async def _wait(self, pause_ms: int) -> None:
        """For a datagram, at most so long."""
        pause_ms = max(pause_ms, 0)
        if self._udp is None:
            await asyncio.sleep(pause_ms / 1000)
            return
        try:
            data, source = await net.wait_for(self._udp.receive(), pause_ms)
        except PortError:  # nothing came
            return
        self._hear(data, (portmap.UDP, source[0], source[1]))

    def _hear(self, data: bytes, source: tuple[int, str, int]) -> None:
        try:
            self.machine.receive(data, source, clock.now_ms())
        except PeerError:
            self.odd += 1

    async def _carry(self) -> None:
        """What the machine says; questions over TCP are answered on the spot."""
        while self.machine.outgoing:
            for data, (protocol, host, number) in self.machine.drain_outgoing():
                if protocol == portmap.TCP:
                    self._hear(await self._call(data, host, number), (protocol, host, number))
                    continue
                try:
                    self._udp = self._udp or port.udp().open(self._own)
                    self._udp.send(data, host, number)
                except PortError:  # the address has gone: the relay is told, and ends us
                    continue
        if not self.machine.is_asking:
            self._close_udp()
        told = (self.machine.sentence, self.machine.router_ip)
        if self.machine.drain_events() or told != self._told:
            self._told = told
            self._on_change()

    async def _call(self, data: bytes, host: str, number: int) -> bytes:
        try:
            answer: bytes = await net.wait_for(_exchange(data, host, number), CALL_MS // 2)
            return answer
        except PortError:  # the machine takes no answer for one
            return b""

    def _close_udp(self) -> None:
        if self._udp is not None:
            self._udp.close()
            self._udp = None


async def _exchange(data: bytes, host: str, number: int) -> bytes:
    """All that comes until the end; b"" when it is too much."""
    conn: Any = await net.connect_tcp(host, number, CALL_MS // 2)
    try:
        await conn.write(data)
        answer = b""
        while len(answer) <= igd.BODY_BYTES_MAX:
            piece = await conn.read(2048)
            if not piece:
                return answer
            answer += piece
        return b""
    finally:
        conn.close()
