"""How peers outside reach a device without a public IPv4 address: by ports that the home router maps to it. It is asked
by PCP, else NAT-PMP, else UPnP-IGD (router.py has how). It is the gateway of the default route; nobody else is
listened to. A driver gives set_network(), carries `outgoing` to (protocol, host, port), and hands back
what came, protocol 6 with the whole answer or b"": receive(data, (protocol, host, port), now).

One question is on its way at a time. A round is: is the router the same (epoch), is its address, then each want that is
due. It begins every CHECK_MS, or when half of a lifetime has passed. Where a method fails, the next one is tried; after
the last a pause with jitter. An address that is not public is no use: "blocked". For an IPv6 address of ours the same
asks for pinholes in the router's firewall, by PCP alone (RFC 6887, 11.1: a mapping to itself). Not here: whether
anybody outside gets through (agent/relays.py).
Bounds: WANTS_MAX rows; nothing else grows.
"""

from collections import namedtuple

from agent.core.backoff import Backoff
from agent.core.machine import Machine
from agent.core.relay.router import METHODS, PCP, UPNP, Question, Router, World, check_public, is_public, text
from agent.errors import PeerError, UsageError
from agent.wire import igd, portmap

if False:
    from collections.abc import Callable

    from agent.core.relay.router import Talk
    from agent.wire.portmap import Want
    from agent.wire.stun import Address

WANTS_MAX = 72
LIFETIME_S = 7200  # RFC 6886 section 3.3
CHECK_MS = 60_000
RENEW_MS_MIN = 2_000
TRY_MS, TRIES = 250, 4  # RFC 6886 section 3.1: doubling
CALL_MS = 10_000  # for an answer over TCP
NO_ANSWER = "no router answers when asked to map ports; switch on UPnP or NAT-PMP in the router"

Mapped = namedtuple("Mapped", ("protocol", "port", "external", "lifetime_s"))  # new, or with another external address
Lost = namedtuple("Lost", ("protocol", "port"))
_Mapping = namedtuple("_Mapping", ("external", "renew_at", "ends_at"))


class Reach(Machine):
    """`router_ip`: its public address as it told it last, also where it maps nothing; b"" before.
    `nonce`: 12 bytes; the same after a restart, else PCP refuses what a crash left behind (RFC 6887, 11.3)."""

    def __init__(self, entropy: "Callable[[int], bytes]", nonce: bytes, wants: "list[Want]", lifetime_s: int) -> None:
        Machine.__init__(self)
        if not 0 < len(wants) <= WANTS_MAX:
            raise UsageError("reach", f"expected 1 to {WANTS_MAX} ports to map, got {len(wants)}")
        self._world = World(entropy, nonce, lifetime_s)
        self._wants = list(wants)
        self._backoff = Backoff(entropy)
        self._mapped: dict[Want, _Mapping] = {}
        self._ports: dict[Want, int] = {}  # external ones to ask for
        self._own, self._gateway = b"", ""
        self._trouble = self._refusal = ""
        self._talk: Talk | None = None
        self._question: Question | None = None
        self._now = self._tries = 0
        self._ip: bytes = b""
        self.router_ip: bytes = b""
        self._epoch: tuple[int, int] = (0, 0)
        self._meet(PCP)

    @property
    def is_asking(self) -> bool:
        return self._question is not None

    @property
    def state(self) -> str:
        """ "trying", "mapped" or "blocked"."""
        return "mapped" if self._mapped else "blocked" if self._trouble else "trying"

    @property
    def sentence(self) -> str:
        """For `corelet status`."""
        if self._mapped:
            return f"the router maps ports of {text(self._ip)} to this device by {METHODS[self._router.method]}"
        return self._trouble or "the router is being asked to map ports"

    def external(self, protocol: int, port: int) -> "Address | None":
        """Where peers find this port of ours."""
        mapping = self._mapped.get((protocol, port))
        return mapping.external if mapping else None

    def set_network(self, own: bytes, gateway: str, now: int) -> None:
        """Our address, the gateway of its family or "". Again at will."""
        if (own, gateway) != (self._own, self._gateway):
            self._own, self._gateway = own, gateway
            self._leave()
            self._trouble = "" if gateway else "there is no router"
            self.wake_at = now if gateway else None

    def stop(self) -> None:
        """Removes what is mapped; `outgoing` is the last of it."""
        for want in sorted(self._mapped) if self._ip else ():
            self.outgoing.append(self._router.removal(want, self._port(want)))
        self._leave()
        self.wake_at = None

    def receive(self, data: bytes, source: object, now: int) -> None:
        """PeerError for what is no answer to what was asked; nothing has changed then."""
        question, self._now = self._question, now
        wanted = question.destination if question else None
        if wanted is not None and wanted[1] == igd.GROUP:
            wanted = (portmap.UDP, self._gateway, source[2])  # type: ignore[index]
        elif wanted is not None:
            wanted = (wanted[0], wanted[1].partition("%")[0], wanted[2])
        if question is None or source != wanted:
            raise PeerError("reach", "an answer came that nobody has asked for")
        answer = question.read(data) if question.read else data
        self._go_on(answer, None if data else PeerError("silent", "no answer"))

    def wake(self, now: int) -> None:
        self._now = now
        self._lose([want for want in self._mapped if self._mapped[want].ends_at <= now])
        if self.wake_at is None or now < self.wake_at:
            return
        if self._question is None:
            self._talk = self._converse()
            self._go_on(None, None)
        elif self._tries < TRIES and self._question.read:
            self._send(self._question)
        else:
            self._go_on(None, PeerError("silent", "no answer"))

    def _go_on(self, answer: object, error: "PeerError | None") -> None:
        assert self._talk is not None
        self._question = None
        try:
            self._question = self._talk.throw(error) if error else self._talk.send(answer)
        except StopIteration:
            return
        self._tries = 0
        self._send(self._question)

    def _send(self, question: Question) -> None:
        self.outgoing.append((question.data, question.destination))
        self.wake_at = self._now + (TRY_MS << self._tries if question.read else CALL_MS)
        self._tries += 1

    def _converse(self) -> "Talk":
        """A round by the method that worked; else by the others; then a pause."""
        while True:
            try:
                yield from self._round(self._router)
                self._backoff.reset()
                self._trouble = self._refusal = ""
                self.wake_at = min([self._now + CHECK_MS] + [one.renew_at for one in self._mapped.values()])
                return
            except PeerError as error:
                if error.code == "private":
                    self._lose(list(self._mapped))
                    self._trouble = error.text
                    break
                if error.code != "silent":
                    self._refusal = f"the router refuses to map ports ({METHODS[self._router.method]}: {error.text})"
            if self._router.method == UPNP or len(self._own) == 16:
                self._trouble = self._refusal or NO_ANSWER
                break
            self._meet(self._router.method + 1)
        self._refusal = ""
        self._meet(PCP)
        ends = [one.ends_at for one in self._mapped.values()]
        self.wake_at = min([self._now + self._backoff.pause_ms()] + ends)

    def _round(self, router: Router) -> "Talk":
        self._todo = [
            want for want in self._wants if want not in self._mapped or self._mapped[want].renew_at <= self._now
        ]
        self._is_whole = False
        if router.method == PCP and self._wants[0] not in self._todo:
            self._todo.append(self._wants[0])  # any answer tells epoch and address
        if router.method != PCP:
            ip, epoch_s = yield from router.address()
            self._compare(ip, epoch_s)
            some = [want for want in self._wants if want in self._mapped][:1]
            if some and not (yield from router.remembers(some[0], self._port(some[0]))):
                self._renew_all()
        while self._todo:
            yield from self._map(router, self._todo[0])

    def _map(self, router: Router, want: "Want") -> "Talk":
        try:
            (ip, port), lifetime_s, epoch_s = yield from router.map(want, self._port(want))
        except PeerError as error:
            if error.code in ("silent", "private") or not self._mapped:
                raise
            self._todo.remove(want)  # a quota, perhaps: the others stay
            return
        if ip and not is_public(ip):
            self.outgoing.append(router.removal(want, port))
        self._compare(ip or self._ip, epoch_s)
        self._take(want, (ip or self._ip, port), min(lifetime_s, self._world.lifetime_s))

    def _port(self, want: "Want") -> int:
        return self._ports.get(want, want[1])

    def _compare(self, ip: bytes, epoch_s: int | None) -> None:
        """Is it the router of before, and has it forgotten nothing? RFC 6887 section 8.5, RFC 6886 section 3.6."""
        check_public(ip)
        self.router_ip = ip
        if ip != self._ip:
            self._ip = ip
            self._renew_all()
        if epoch_s is not None:
            there, here = epoch_s - self._epoch[0], (self._now - self._epoch[1]) // 1000
            if there + 2 < here - here // 8 or here + 2 < there - there // 8:
                self._renew_all()
            self._epoch = (epoch_s, self._now)

    def _renew_all(self) -> None:
        """At most once in a round, whatever a router tells."""
        if not self._is_whole:
            self._is_whole = True
            self._todo = list(self._wants)

    def _take(self, want: "Want", external: "Address", lifetime_s: int) -> None:
        before = self._mapped.get(want)
        renew_at = self._now + max(lifetime_s * 500, RENEW_MS_MIN)
        self._mapped[want] = _Mapping(external, renew_at, self._now + lifetime_s * 1000)
        self._ports[want] = external[1]
        self._todo.remove(want)
        if before is None or before.external != external:
            self.events.append(Mapped(want[0], want[1], external, lifetime_s))

    def _lose(self, wants: "list[Want]") -> None:
        for want in sorted(wants):
            del self._mapped[want]
            self.events.append(Lost(want[0], want[1]))

    def _leave(self) -> None:
        self._lose(list(self._mapped))
        self._talk = self._question = None
        self.router_ip = b""
        self._meet(PCP)

    def _meet(self, method: int) -> None:
        """Nothing is known of the router yet."""
        self._router = Router(self._world, method, self._gateway, self._own)
        self._ip, self._epoch = b"", (0, 0)
