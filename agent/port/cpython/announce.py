"""DNS-SD announcements on CPython (contract.Announcer): zeroconf on the running loop, no threads.

What zeroconf leaves open is closed beside it or in front of it (agent/port/cpython/gate.py): subtypes, and a name
that somebody else turns out to have later. All addresses are announced on all interfaces. Bounds: HEARD_MAX
records of a neighbourhood that speaks of us, else zeroconf's own (datagrams of 8,966 bytes), behind a gate that lets
only what concerns us get there.
"""

import asyncio
import logging

from zeroconf import IPVersion, RecordUpdate, RecordUpdateListener, ServiceInfo, Zeroconf
from zeroconf._dns import DNSService
from zeroconf._handlers.query_handler import QueryHandler
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf._services.registry import ServiceRegistry
from zeroconf.asyncio import AsyncZeroconf

from agent.errors import PortError
from agent.port import faults
from agent.port.cpython import net
from agent.port.cpython.gate import Gate, Neighbourhood

if False:
    from agent.port.options import Service

START_S = 5.0
RENAME_GAP_S = 5.0  # a forger may dispute names for ever; no faster than this
HEARD_MAX = 64  # records of others that are kept, and those of one datagram
POINTER_TURNS = 2
POINTER_GAP_S = 1.0
RESPONSE = 0x8400


def open(service: "Service") -> "Announcer":
    return Announcer(service)


class _Registry(ServiceRegistry):
    """Subtypes are answered, but are no types of their own (RFC 6763 section 9)."""

    def async_get_types(self) -> list[str]:
        return [kind for kind in super().async_get_types() if "._sub." not in kind]


class _Watch(RecordUpdateListener):
    """Sees SRV records of our name with somebody else's data (RFC 6762 section 9)."""

    def __init__(self, owner: "Announcer") -> None:
        super().__init__()
        self._owner = owner

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        for update in records:
            if isinstance(update.new, DNSService) and not update.new.is_expired(now):
                self._owner.compare(update.new)

    def async_update_records_complete(self) -> None:
        """A device needs no cache of its neighbourhood, and who says our word could fill one, for weeks."""
        if self._owner.zeroconf is not None and not self._owner.hears_all:
            cache = self._owner.zeroconf.zeroconf.cache
            heard = [record for records in cache.cache.values() for record in records]
            cache.async_remove_records(heard[HEARD_MAX:] and heard)


class _Complaints(logging.Handler):
    """What zeroconf would print becomes `trouble`."""

    def __init__(self, owner: "Announcer") -> None:
        super().__init__(logging.WARNING)
        self._owner = owner

    def emit(self, record: logging.LogRecord) -> None:
        self._owner.trouble = record.getMessage()


class Announcer:
    """contract.Announcer. `trouble`: one sentence about a link that does not work, "" when all do.
    `hears_all`: let all responses in, for a program that browses with the same `zeroconf` as well."""

    def __init__(self, service: "Service", hears_all: bool = False) -> None:
        self.instance = service.instance
        self.trouble = ""
        self.zeroconf: AsyncZeroconf | None = None
        self._service = service
        self.hears_all = hears_all
        self._place = Neighbourhood(hears_all)
        self._complaints = _Complaints(self)
        self._info: ServiceInfo | None = None
        self._pointers: dict[str, ServiceInfo] = {}
        self._registering: asyncio.Task[None] | None = None
        self._renamed_at = -RENAME_GAP_S

    async def start(self) -> None:
        """Returns when the name is settled, or after START_S when somebody keeps disputing it."""
        await self.listen()
        self._registering = net.spawn(self._register())
        await asyncio.wait({self._registering}, timeout=START_S)

    async def listen(self) -> None:
        """Open the sockets and announce nothing: for a program that only browses."""
        addresses = list(self._service.addresses)
        logger = logging.getLogger("zeroconf")
        logger.addHandler(self._complaints)
        logger.propagate = False
        try:
            self.zeroconf = AsyncZeroconf(interfaces=addresses, ip_version=_version(addresses))
        except OSError as error:
            raise faults.net_fault(error, "Port 5353 (discovery)") from error
        except RuntimeError as error:
            raise PortError("multicast", f"Discovery cannot use {', '.join(addresses)}: {error}.") from error
        inner = self.zeroconf.zeroconf
        inner.registry = _Registry()
        inner.query_handler = QueryHandler(inner)
        await inner.async_wait_for_start()
        inner.async_add_listener(_Watch(self), None)
        self._place_gates()

    def _place_gates(self) -> None:
        """In front of every socket; again after the sockets changed."""
        if self.zeroconf is None:
            return
        self._place.settle(net.interfaces(), [self.instance, self._service.host, self._service.kind.split(".")[0]])
        for reader in self.zeroconf.zeroconf.engine.readers:
            listener = reader.transport.get_protocol()
            if not isinstance(listener, Gate):
                reader.transport.set_protocol(Gate(listener, self._place, self))

    def _describe(self, kind: str, instance: str) -> ServiceInfo:
        service = self._service
        return ServiceInfo(
            kind,
            f"{instance}.{service.kind}.local.",
            port=service.port,
            properties=dict(service.txt),
            server=f"{service.host}.local.",
            parsed_addresses=list(service.addresses),
        )

    async def _register(self) -> None:
        if self.zeroconf is None:
            return
        kind = self._service.kind + ".local."
        info = self._describe(kind, self._service.instance)
        await self.zeroconf.async_register_service(info, allow_name_change=True)
        self._info = info
        self.instance = info.name[: -len(kind) - 1]
        self._place_gates()
        self._point(self._service.subtypes)

    def _point(self, subtypes: list[str]) -> None:
        """PTR records of these subtypes from now on, and of no others."""
        if self.zeroconf is None or self._info is None:
            return
        registry = self.zeroconf.zeroconf.registry
        gone = [info for name, info in self._pointers.items() if name not in subtypes]
        registry.async_remove(gone)
        before, self._pointers = self._pointers, {}
        for name in subtypes:
            info = self._describe(f"{name}._sub.{self._service.kind}.local.", self.instance)
            # zeroconf keeps one entry for each key; a name of its own lets one instance have several pointers.
            info.key = f"{name} {info.key}"
            registry.async_update(info)
            self._pointers[name] = info
        new = [info for name, info in self._pointers.items() if name not in before]
        net.spawn(self._say_pointers(gone, new))

    async def _say_pointers(self, gone: list[ServiceInfo], new: list[ServiceInfo]) -> None:
        for turn in range(POINTER_TURNS if gone or new else 0):
            if turn:
                await asyncio.sleep(POINTER_GAP_S)
            out = DNSOutgoing(RESPONSE)
            for info in gone:
                out.add_answer_at_time(info.dns_pointer(override_ttl=0), 0)
            for info in new:
                out.add_answer_at_time(info.dns_pointer(), 0)
            if self.zeroconf is not None:
                self.zeroconf.zeroconf.async_send(out)

    async def update(self, txt: list[tuple[str, str]], subtypes: list[str]) -> None:
        self._service = self._service._replace(txt=txt, subtypes=subtypes)
        await self._refresh()

    async def _refresh(self) -> None:
        if self.zeroconf is None or self._info is None:
            return  # not registered yet: what is registered then is the new description
        self._info = self._describe(self._service.kind + ".local.", self.instance)
        await self.zeroconf.async_update_service(self._info)
        self._point(self._service.subtypes)

    async def set_addresses(self, addresses: list[str]) -> None:
        self._service = self._service._replace(addresses=addresses)
        self.trouble = ""
        if self.zeroconf is None:
            await self.start()
            return
        # First the registry: a new interface must not hear old addresses, which a cache would keep for a second
        # beside the right ones, or for good (RFC 6762 section 10.2).
        if self._info is not None:
            self._info = self._describe(self._service.kind + ".local.", self.instance)
            self.zeroconf.zeroconf.registry.async_update(self._info)
            self._point(self._service.subtypes)
        try:
            await self.zeroconf.async_update_interfaces(list(addresses), _version(addresses))
        except (OSError, RuntimeError) as error:
            raise PortError("multicast", f"Discovery cannot use {', '.join(addresses)}: {error}.") from error
        self._place_gates()
        await self._refresh()

    def compare(self, other: DNSService) -> None:
        """An SRV record was heard. Of two with one name, the lower one gives way."""
        info = self._info
        if info is None or other.key != info.key or info.server is None:
            return
        ours = (info.port or 0, info.server.lower())
        theirs = (other.port, other.server.lower())
        now = asyncio.get_running_loop().time()
        if ours < theirs and now - self._renamed_at >= RENAME_GAP_S:
            self._renamed_at = now
            self._give_way(info)

    def _give_way(self, info: ServiceInfo) -> None:
        """Without a goodbye: the records of this name are somebody else's now."""
        if self.zeroconf is None:
            return
        self.zeroconf.zeroconf.registry.async_remove([info, *self._pointers.values()])
        self._info, self._pointers = None, {}
        self._registering = net.spawn(self._register())

    async def close(self) -> None:
        if self._registering is not None:
            self._registering.cancel()
        if self.zeroconf is not None:
            await self.zeroconf.async_close()
        logger = logging.getLogger("zeroconf")
        logger.removeHandler(self._complaints)
        logger.propagate = True


def _version(addresses: list[str]) -> IPVersion:
    has_6 = any(":" in address for address in addresses)
    has_4 = any(":" not in address for address in addresses)
    return IPVersion.All if has_6 and has_4 else IPVersion.V6Only if has_6 else IPVersion.V4Only
