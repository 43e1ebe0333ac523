"""The device as a relay for the users of its cores: when it runs, where, for whom, and what it says of itself.

It runs while there is a core; before, nothing of it is loaded. Where a ceiling, the heap or the owner is against it
there is no_relay.py instead.
Without a public IPv4 address it has a small pool of ports of its own, which the home router is asked to map
(service/reach.py); so it keeps the same ones from start to start.
A core signs its users' credentials with a secret that both ends derive from the link's: nothing is handed over, and it
is worth nothing from the moment that the core is left. Not here: the relay (service/relay.py), which has a thread of
its own on CPython. Bounds: OFFERS_MAX, PROOFS_MAX, REASONS_MAX, USERS_MAX, NAME_CHARS_MAX of what is said of it.
"""

import asyncio

from agent import port
from agent.errors import CoreletError, LimitError, PeerError, PortError, UsageError
from agent.service import supervisor

if False:
    from typing import Any

    from agent.device import Device
    from agent.service.reach import ReachService
    from agent.service.relay import RelayService

REALM = "corelet"
PORTS = (49152, 65535)
POOL_MAX = 64
UNPROVEN_S = 50
PORT_TRIES = 8
OFFERS_MAX, PROOFS_MAX = 16, 32
REASONS_MAX, USERS_MAX, NAME_CHARS_MAX = 16, 8, 48


class Relays:
    def __init__(self, device: "Device") -> None:
        self._device = device
        self._service: RelayService | None = None
        self._is_spawned = False
        self._trouble = ""
        self._port = 0
        self._own = ""  # the IPv4 address behind a router
        self._own6 = ""  # the public IPv6 address
        self._pool: list[int] = []
        self._reach: ReachService | None = None
        self._hosts: list[str] = []
        self._offers: list[list[Any]] = []
        self._external: list[list[Any]] = []
        self._proofs: list[list[Any]] = []

    def changed(self) -> None:
        """The cores are others now. Who has gone is refused, and its allocations end, from here on."""
        if not self._is_spawned and self._secrets():
            self._is_spawned = True
            self._device.supervisor.spawn("relay", self._run)
        elif self._service is not None:
            secrets, service = self._secrets(), self._service
            try:
                if secrets:
                    service.pump.call(lambda: service.replace(secrets))
                    return
            except LimitError:  # it hangs
                self._device.journal.warning("relay", "it does not answer and is started anew")
            self._stop()

    def moved(self) -> None:
        """The addresses of this device may be others."""
        if self._device.addresses() != self._hosts:
            self._stop()  # and is started at the new ones

    def prove(self, reachable: "Any") -> "dict[str, Any]":
        """A core has called back: which of our offers it could reach. PeerError("relay")."""
        rows: list[Any] = reachable if isinstance(reachable, list) else [None]
        if len(rows) > PROOFS_MAX or [row for row in rows if not isinstance(row, list) or len(row) != 3]:
            raise PeerError("relay", f"relay: expected at most {PROOFS_MAX} rows of address, port and transport")
        self._proofs = rows
        return {}

    def offers(self) -> "list[list[Any]]":
        """[address, UDP port, TCP port, "lan" or "wan"] each, [] while it does not run."""
        return (self._external + self._offers)[:OFFERS_MAX] if self._service is not None else []

    def tls(self) -> str:
        """The name in the certificate of who comes over TLS, "*" without one; "" where nobody can."""
        return self._service.tls if self._service is not None else ""

    def telemetry(self, core_id: str) -> "dict[str, Any]":
        """What one core hears of it, {} while it does not run: totals of its own users, and those with the most bytes.
        Of `refused` nobody knows whose it was: most of it are strangers'."""
        if self._service is None:
            return {}
        from agent.service.relay import COUNTS

        report = self._service.report()
        rows = []
        for name, row in report["users"].items():
            label, _, user = name.partition("/")
            if label == core_id:
                total = row["bytes_up"] + row["bytes_down"]
                rows.append((total, user[:NAME_CHARS_MAX], row["packets_up"] + row["packets_down"]))
        answer: dict[str, Any] = dict(zip(COUNTS, self._service.total(core_id + "/")))
        answer["users"] = [[name, packets, total] for total, name, packets in sorted(rows)[-USERS_MAX:]]
        reasons = sorted([(count, reason) for reason, count in report["refused"].items()])[-REASONS_MAX:]
        answer["refused"] = {reason: count for count, reason in reasons}
        return answer

    def status(self) -> "dict[str, Any]":
        """What `corelet status` shows."""
        why = self._trouble or ("" if self._service else "there is no core to work for yet")
        answer: dict[str, Any] = {"on": self._service is not None, "why": why, "port": self._port}
        answer.update({"offers": self.offers(), "proofs": self._proofs})
        answer["reach"] = self._reach.machine.sentence if self._reach is not None else ""
        if self._service is not None:
            answer["why"] = ""
            answer.update(self._service.report())
        return answer

    def _secrets(self) -> list[tuple[str, bytes]]:
        cores = self._device.membership.secrets()
        if not cores:
            return []
        from agent.core.relay.credentials import core_secret

        return [(core_id, core_secret(self._device.crypto, secret)) for core_id, secret in cores]

    def _stop(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            service.pump.stop()

    async def _run(self) -> None:
        """Until there is no core; raises for the supervisor, which tries again."""
        # Both at once have no room; a pairing has no event for its end.
        while self._device.door.is_busy and not port.heap.has_room(2 * port.heap.PAIRING_BYTES):  # noqa: ASYNC110
            await asyncio.sleep(1)
        while self._secrets():
            try:
                service = self._compose()
            except (CoreletError, MemoryError) as error:
                text = "the heap is full; start the device again"
                self._trouble = error.text if isinstance(error, CoreletError) else text
                raise
            self._trouble, self._service = "", service
            self._device.membership.refresh()  # births say where it is
            keeper = supervisor.Supervisor(self._device.journal)
            for own in (self._own, self._own6):
                if own:
                    keeper.spawn("reach", lambda own=own: self._reach_out(own))  # type: ignore[misc]
            try:
                await service.pump.run_beside(service)
            finally:
                self._service, self._external = None, []
                await keeper.stop()
                self._reach = None
        self._is_spawned = False

    async def _reach_out(self, own: str) -> None:
        """Of the router: ports that lead to our IPv4 address, or pinholes in its firewall for the IPv6 one."""
        from agent.service.reach import ReachService

        wants = [(17, self._port), (6, self._port)] + [(17, number) for number in self._pool]
        reach = ReachService(own, wants, self._reached, self._key()[:12])
        self._reach = self._reach if own == self._own6 else reach
        await reach.run()

    def _reached(self) -> None:
        """What the router maps to us may be something else now."""
        from agent.core.relay.router import text

        service, reach = self._service, self._reach
        if service is None or reach is None:
            return
        places = [reach.machine.external(17, number) for number in self._pool]
        udp, tcp = reach.machine.external(17, self._port), reach.machine.external(6, self._port)
        mapped = {number: place for number, place in zip(self._pool, places) if place}
        ips = list({place[0] for place in [udp, tcp] + places if place} | {reach.machine.router_ip})
        service.pump.call(lambda: service.remap(mapped, ips))
        ports = [place[1] if place else 0 for place in (udp, tcp)]
        offers: list[list[Any]] = [[text(place[0])] + ports + ["wan"] for place in (udp or tcp,) if place]
        if offers != self._external:
            self._external = offers
            self._device.membership.refresh()

    def _key(self) -> bytes:
        """12 bytes for routers, and one that spreads the pools of the devices behind one of them."""
        secret = self._device.identity.scalar.to_bytes(32, "big")
        return self._device.crypto.hkdf_sha256(secret, b"", b"corelet reach v1", 13)

    def _pair(self, is_wan: dict[str, bool]) -> tuple[str, str]:
        """(IPv4, IPv6) that we send from, "" for none: a public one, else one of the interface that has the router."""
        from agent.port import routes

        links = [name for name, _ in routes.gateways()][:1]
        facing = [host for name, host, _ in port.net.interfaces() if name in links]
        best = sorted(self._hosts, key=lambda host: (not is_wan[host], host not in facing))
        ipv4, ipv6 = [([host for host in best if (":" in host) == is_six] + [""])[0] for is_six in (False, True)]
        return ipv4, ipv6

    def _compose(self) -> "RelayService":
        from agent.core.relay.events import Limits
        from agent.core.relay.policy import Policy
        from agent.service import relay

        device, packed = self._device, port.pump().packed
        self._hosts = device.addresses()
        is_wan = {host: not Policy([], [], []).may_permit(packed(host)) for host in self._hosts}
        pair = self._pair(is_wan)
        most = device.ceilings["allocations"]
        self._own = "" if is_wan.get(pair[0]) or pair[0][:4] == "127." else pair[0]
        first = PORTS[0] + POOL_MAX * self._key()[12]
        self._own6 = pair[1] if is_wan.get(pair[1]) else ""
        self._pool = list(range(first, first + min(most, POOL_MAX))) if self._own else []
        ports = (self._pool[0], self._pool[-1]) if self._own else PORTS
        limits = Limits(most, max(2, most // 4), ports, device.ceilings["relay_bps"], 0, UNPROVEN_S, True)
        allow = [_prefix(text, packed) for text in device.settings["relay_allow"]]
        for attempt in range(PORT_TRIES):
            self._port = number = device.settings["relay_port"] or 20000 + device.crypto.entropy(1)[0] * 100 + attempt
            listen = [(host, number) for host in self._hosts]
            wanted = relay.RelaySettings(
                listen, pair, REALM, [], self._secrets(), allow, limits, device.membership.core_time
            )
            try:
                service = self._composed(wanted)
                break
            except PortError:
                if device.settings["relay_port"] or attempt + 1 == PORT_TRIES:
                    raise
        self._offers = [[host, number, number, "wan" if is_wan[host] else "lan"] for host in self._hosts]
        return service

    def _composed(self, wanted: "Any") -> "RelayService":
        from agent.service import relay

        more = [self._device.settings["relay_" + name] for name in ("tcp_ports", "tls_cert", "tls_key")]
        if more == ["", "", ""]:
            return relay.compose(wanted)
        from agent.service import relay_streams

        loop = asyncio.get_event_loop()

        def tell(text: str) -> None:
            loop.call_soon_threadsafe(self._device.journal.warning, "relay", text)

        return relay_streams.compose(wanted, more[0], more[1], more[2], tell)


def _prefix(text: str, packed: "Any") -> tuple[bytes, int]:
    host, _, bits = text.partition("/")
    try:
        ip = packed(host)
        number = int(bits or 8 * len(ip))
        if 0 <= number <= 8 * len(ip):
            return ip, number
    except ValueError:
        pass
    raise UsageError("settings", f"settings: relay_allow has '{text}'; write networks such as 192.168.1.0/24")
