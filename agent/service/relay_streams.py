"""The driver of TCP to peers: the relay of service/relay.py with TCP allocations and CONNECT, and names looked up.

    service = compose(settings, "443,8000-8100", cert_path, key_path, tell)

Only where the port has streams (CPython). Bounds: RANGES_MAX ranges of ports, and those of core/relay/tcp.py.
"""

from agent import port
from agent.core.relay.connections import Dial, Drop, Join, Listen, TcpPolicy
from agent.core.relay.events import Client, Close
from agent.core.relay.tunnels import Resolve, TunnelRelay
from agent.errors import UsageError
from agent.service import relay

if False:
    from typing import Any, Callable

    from agent.core.relay.policy import Prefix
    from agent.port import relaying


RANGES_MAX = 16
EXPIRE_MS = 5000


def listed(text: str) -> list[tuple[int, int]]:
    """[(first, last)] of "443,8000-8100". UsageError("usage")."""
    ranges = []
    for word in text.split(","):
        first, dash, last = word.strip().partition("-")
        last = last if dash else first
        if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) < 65536):
            raise UsageError("usage", f"TCP ports are listed as in 443,8000-8100; '{word}' came")
        ranges.append((int(first), int(last)))
    if len(ranges) > RANGES_MAX:
        raise UsageError("usage", f"at most {RANGES_MAX} ranges of TCP ports can be listed, got {len(ranges)}")
    return ranges


def compose(
    settings: relay.RelaySettings, tcp_ports: str, cert_path: str, key_path: str, tell: "Callable[[str], object]"
) -> relay.RelayService:
    """As relay.compose, for who wants one of the two. Without ports no TCP to peers, without paths no TLS to clients;
    `tell(text)`, in the pump's thread: what became of renewed ones. PortError("missing") where there are no
    streams, "tls" for a certificate that is none."""
    if bool(cert_path) != bool(key_path):
        raise UsageError("usage", "TLS takes both a certificate (--tls-cert FILE) and its key (--tls-key FILE)")
    if key_path and not port.files.is_private(key_path):
        raise UsageError("usage", f"others may read {key_path}, which is a secret; close it with: chmod 600 {key_path}")
    body, ports = port.streams(), listed(tcp_ports) if tcp_ports else []

    def policy(allow: "list[Prefix]", on_link: "list[Prefix]", external: list[bytes]) -> TcpPolicy:
        return TcpPolicy(allow, on_link, external, ports)

    service = relay.compose(settings, (policy, TunnelRelay, StreamService) if ports else None)
    if cert_path:
        service.tls = body.secure(service.pump, cert_path, key_path, tell)
    return service


class StreamService(relay.RelayService):
    """Also relaying.StreamControl. `streams`: the port's."""

    def __init__(self, machine: TunnelRelay, pump: "relaying.Pump", is_limited: bool) -> None:
        relay.RelayService.__init__(self, machine, pump, is_limited)
        self.streams = port.streams().open(pump, self)
        self._relay = machine
        self._expire_at = 0
        if is_limited:
            self.streams.limit(machine.up.take, machine.down.take, machine.rate_bps)

    def tunnel(self, head: bytes, key: "relaying.ClientKey", now: int) -> None:
        self.look(now)
        self._relay.tunnel(head, Client(*key), now)
        self._settle(now, key)

    def resolved(self, connection: int, ips: list[bytes], now: int) -> None:
        self._relay.resolved(connection, ips, now)
        self._settle(now, None)

    def accepted(self, number: int, peer: "relaying.RelayAddress", now: int) -> int:
        seen = self.outside(peer)
        connection = self._relay.accepted(number, seen if seen in self.policy.tcp else peer, now)
        self._settle(now, None)
        return connection

    def connected(self, connection: int, now: int) -> None:
        self._relay.connected(connection, now)
        self._settle(now, None)

    def failed(self, connection: int, now: int) -> None:
        self._relay.failed(connection, now)
        self._settle(now, None)

    def ended(self, connection: int, now: int) -> None:
        self._relay.ended(connection, now)
        self._settle(now, None)

    def wake(self, now: int) -> None:
        self.streams.tick(now)
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_MS
            self._relay.expire(now)
        relay.RelayService.wake(self, now)

    def arm(self) -> None:
        relay.RelayService.arm(self)
        if self.streams.wake_at is not None:
            self.wake_at = min(self.wake_at or self.streams.wake_at, self.streams.wake_at)

    def _act(self, event: "Any", now: int, key: "relaying.ClientKey | None") -> None:
        streams = self.streams
        if isinstance(event, Listen):
            is_open = streams.open_relay(event.relay, event.family, event.port)
            (self._relay.opened if is_open else self._relay.busy)(event.relay, now)
        elif isinstance(event, Dial):
            if not streams.dial(event.relay, event.connection, self.inside(event.peer)):
                self._relay.failed(event.connection, now)
        elif isinstance(event, Resolve):
            streams.resolve(event.connection, event.host)
        elif isinstance(event, Join):
            if not streams.join(event.connection, event.client, event.greeting, event.user, event.usage):
                self._relay.ended(event.connection, now)
        elif isinstance(event, Drop):
            streams.drop(event.connection)
        else:
            if isinstance(event, Close):
                streams.close_relay(event.relay)
            relay.RelayService._act(self, event, now, key)
