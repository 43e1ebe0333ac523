"""What to ask one router by one method, PCP, NAT-PMP or UPnP-IGD, so that it maps ports. No I/O, no time, no table.

Each talk is a generator: it yields questions and is sent what `read` made of the answer (of one over TCP: the bytes);
PeerError is thrown into it, "silent", when none came. It ends with PeerError when the router refuses or talks nonsense.
"""

from collections import namedtuple

from agent.core.relay.policy import Policy
from agent.errors import PeerError
from agent.wire import igd, portmap

if False:
    from typing import Any, Generator

    from agent.wire.portmap import Want

    Talk = Generator[Any, Any, Any]
    Destination = tuple[int, str, int]

METHODS = ("PCP", "NAT-PMP", "UPnP")
PCP, NAT_PMP, UPNP = 0, 1, 2
CONFLICTS_MAX = 4  # external ports that are tried where others have them
PORT_LOW, PORT_COUNT = 20000, 40000

# `destination`: (protocol, host, port). `read`: makes a value of a datagram; None for TCP.
Question = namedtuple("Question", ("data", "destination", "read"))
World = namedtuple("World", ("entropy", "nonce", "lifetime_s"))


class Router:
    """At `host`; `own` is our address, by PCP also of IPv6."""

    def __init__(self, world: World, method: int, host: str, own: bytes) -> None:
        self.method = method
        self._world, self._host, self._own = world, host, own
        self._service, self._place = "", ("", 0, "")
        self._lease_s = world.lifetime_s

    def address(self) -> "Talk":
        """(its external IPv4 address, epoch or None). Not for PCP, where each mapping tells both."""
        if self.method == NAT_PMP:
            answer = yield from self._ask(portmap.ADDRESS_REQUEST, None)
            return answer.external[0], answer.epoch_s
        if not self._service:
            place = yield Question(igd.search(), (portmap.UDP, igd.GROUP, igd.PORT), self._located)
            data = yield Question(igd.request("GET", place), (portmap.TCP, place[0], place[1]), None)
            self._service, self._place = igd.control(data, place)
        data = yield from self._call("GetExternalIPAddress", ())
        return igd.ipv4(igd.field(data, "NewExternalIPAddress") or "0.0.0.0"), None  # noqa: S104

    def remembers(self, want: "Want", port: int) -> "Talk":
        """Whether a mapping is still there. UPnP has no epoch."""
        if self.method != UPNP:
            return True
        try:
            data = yield from self._call("GetSpecificPortMappingEntry", _name(want, port))
            return igd.field(data, "NewInternalClient") == text(self._own)
        except PeerError:
            return False

    def map(self, want: "Want", port: int) -> "Talk":
        """(external address, lifetime, epoch or None); `port` is the external one to try first. The ip is b"" where
        only address() tells it."""
        if self.method != UPNP:
            answer = yield from self._ask(self._datagram(want, port, self._world.lifetime_s), want)
            return answer.external, answer.lifetime_s, answer.epoch_s
        inside = (("InternalPort", want[1]), ("InternalClient", text(self._own)), ("Enabled", 1))
        for _ in range(CONFLICTS_MAX):
            more = inside + (("PortMappingDescription", "corelet"), ("LeaseDuration", self._lease_s))
            try:
                yield from self._call("AddPortMapping", _name(want, port) + more)
                return (b"", port), self._world.lifetime_s, None
            except PeerError as error:
                if error.code == "conflict":
                    port = PORT_LOW + int.from_bytes(self._world.entropy(2), "big") % PORT_COUNT
                elif error.code == "permanent":
                    self._lease_s = 0
                else:
                    raise
        raise PeerError("reach", "its ports are taken")

    def removal(self, want: "Want", port: int) -> "tuple[bytes, Destination]":
        """(data, destination); its answer is no matter."""
        if self.method != UPNP:
            return self._datagram(want, port, 0), (portmap.UDP, self._host, portmap.PORT)
        data = igd.call(self._service, self._place, "DeletePortMapping", _name(want, port))
        return data, (portmap.TCP, self._place[0], self._place[1])

    def _datagram(self, want: "Want", port: int, lifetime_s: int) -> bytes:
        if self.method == PCP:
            return portmap.pcp_request(self._world.nonce, self._own, want, port, lifetime_s)
        return portmap.nat_pmp_request(want, port, lifetime_s)

    def _ask(self, data: bytes, want: "Want | None") -> "Talk":
        """An answer of PCP or NAT-PMP about `want`."""
        version = portmap.PCP if self.method == PCP else portmap.NAT_PMP

        def read(data: bytes) -> portmap.Answer:
            answer = portmap.decode(data)
            is_ours = answer.version == version and answer.want == want and answer.nonce in (b"", self._world.nonce)
            is_whole = want is None or (answer.external[1] and answer.lifetime_s)
            is_ours = is_ours and len(answer.external[0]) in (0, len(self._own) if any(answer.external[0]) else 4)
            if not (is_ours and is_whole) and not (answer.result and (is_ours or answer.want is None)):
                raise PeerError("reach", "an answer came that is not about what was asked")
            return answer

        answer = yield Question(data, (portmap.UDP, self._host, portmap.PORT), read)
        ip = answer.external[0]
        if answer.result and (any(ip) or (version == portmap.NAT_PMP and answer.result == portmap.NO_ADDRESS)):
            check_public(ip or bytes(4))
        if answer.result:
            raise PeerError("reach", f"result {answer.result}")
        return answer

    def _located(self, data: bytes) -> "igd.Place":
        return igd.location(data, self._host)

    def _call(self, action: str, arguments: "igd.Arguments") -> "Talk":
        data = igd.call(self._service, self._place, action, arguments)
        data = yield Question(data, (portmap.TCP, self._place[0], self._place[1]), None)
        igd.check(data)
        return data


def _name(want: "Want", port: int) -> "igd.Arguments":
    return ("RemoteHost", ""), ("ExternalPort", port), ("Protocol", "UDP" if want[0] == portmap.UDP else "TCP")


def is_public(ip: bytes) -> bool:
    return bool(ip) and not Policy([], [], []).may_permit(ip)


def check_public(ip: bytes) -> None:
    """PeerError("private")."""
    if not is_public(ip):
        place = f"the router has no public address of its own ({text(ip)})"
        raise PeerError("private", place + ": another router, or the provider's, stands in front of it")


def text(ip: bytes) -> str:
    return ".".join([str(each) for each in ip]) if len(ip) == 4 else ip.hex(":")
