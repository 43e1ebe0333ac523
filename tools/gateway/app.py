"""The full core: composes its parts, starts them in order, watches the fleet, stops them whatever happens.

Order of start: state folder and lock, registry, certificate authority, broker, link, discovery, queue, local API. Each
failure is one sentence. The process lives on one asyncio loop; nothing here knows how a part works inside.

Bounds: STOP_S for an orderly stop, then the process ends anyway (everything durable is durable already).
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import agent
from agent import port
from agent.errors import CoreletError, LimitError, PortError
from tools.gateway.audits.audits import Audits
from tools.gateway.ca import CA
from tools.gateway.fleet import Fleet
from tools.gateway.links.dialled import Dialled
from tools.gateway.links.reaching import Reaching
from tools.gateway.objects.care import Care
from tools.gateway.objects.coding import profile_for
from tools.gateway.objects.handover import Handover
from tools.gateway.objects.objects import Objects
from tools.gateway.objects.shards import ShardClient
from tools.gateway.pairing.admission import Admission, Parts, Progress, Wanted
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device
from tools.gateway.relays import web
from tools.gateway.relays.relays import Relays
from tools.gateway.state import State, typed
from tools.gateway.updates.updates import Parts as UpdateParts
from tools.gateway.updates.updates import Updates

DEFAULT_BROKER_PORT = 8883
NEW_PORT = -1
LINKS_S = 2.5
WATCH_S = 1.0
DISCOVER_AGAIN_S = 30.0  # a network may come up after the core
STOP_S = 8.0
RESTART_S = 5.0
YEAR_2024 = 1_704_067_200
REMOVE_WAIT_S = 5.0

LOG = logging.getLogger("corelet.core")


@dataclass(frozen=True)
class Options:
    """What `corelet-core up` was told. `listen` "" = every address. `port`: None = the one of before, at first
    DEFAULT_BROKER_PORT; 0 = the one of before, at first any free one; NEW_PORT = any free one. Devices know only the
    port that they were paired with."""

    folder: Path
    name: str
    listen: str = ""
    broker: str = "auto"
    port: int | None = None
    web: tuple[str, int] | None = None  # where applications ask for credentials of relays
    care: Care = Care()
    update_port: int | None = None  # None and 0 as with `port`


class Core:
    """`await start()`, then `await serve(api)` until cancelled, then `await stop()`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.state = State(options.folder)
        self.started = time.monotonic()
        self.registry = Registry(self.state.folder)
        self.ca = CA(self.state.folder / "ca")
        self.client = ShardClient(self.ca.core_id, port.codec(), port.crypto(), lambda: int(time.time()))
        self.broker: Any = None
        self.links: Any = None
        self.browser: Any = None
        self.fleet = Fleet(self.registry, self._presence)
        self.objects = Objects(self.registry, self.client, self.fleet.targets, options.care)
        work = (self.objects.repair, self.objects.recoding)
        self.handover = Handover(self.registry, self.fleet.targets, work, self._command)
        self.audits = Audits(self.registry, self.client, self.fleet.targets, self.fleet.confessions, self._make_again)
        self.dialled = Dialled(self.ca, self.fleet.is_known)
        self.client.dialled = self.dialled
        self.relays = Relays(self.registry, port.crypto(), self._presence, self._command)
        self.updates = Updates(
            UpdateParts(
                self.state, self.registry, self.ca, self._presence, self._command,
                lambda: self.links is not None and not self.links.trouble, lambda: own_addresses(options.listen),
            )
        )  # fmt: skip
        self.web: socket.socket | None = None
        self.admission: Admission | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._discover_at = time.monotonic() + DISCOVER_AGAIN_S
        self._left: asyncio.Queue[str] = asyncio.Queue()

    def warnings(self) -> list[str]:
        """What the operator should know at start, a sentence each."""
        found = []
        if time.time() < YEAR_2024:
            text = "this machine's clock says {}: pairing and files work all the same, but set it when you can"
            found.append(text.format(time.strftime("%Y-%m-%d", time.gmtime(time.time()))))
        if self.broker is not None and self.broker.banner:
            found.append(self.broker.banner)
        if self.links is not None and self.links.trouble:
            found.append(self.links.trouble)
        if self.browser is None:
            found.append("devices cannot be discovered on this network: pair with --address HOST:PORT")
        if self.admission is not None:
            found += self.admission.unfinished()
        return [*found, *self.fleet.warnings(), *self.handover.warnings(), *self._departed(), *self.updates.notes()]

    def _departed(self) -> list[str]:
        """Devices whose owners took them away, and what that means for the files."""
        found = [
            f"{each.name} has left this core: take it off the list with: {self.hint(f'forget {each.name}')}"
            for each in self.registry.devices()
            if each.state == "left"
        ]
        waiting = self.registry.homeless()
        if waiting and not self.registry.paired():
            shards = "1 shard waits" if waiting == 1 else f"{waiting} shards wait"
            found.append(f"no device is paired: {shards} for one, and files that need them cannot be read")
        return found

    def hint(self, words: str) -> str:
        """A line that can be typed as it stands."""
        return typed(self.state.folder, words)

    async def start(self) -> None:
        """Everything up, in under five seconds; raises the first part's CoreletError."""
        if self.options.web is not None:
            self.web = web.listen(self.options.web)
        self.updates.listen(self.options.listen, self.options.update_port)
        await self._open_broker()
        unfinished = [row.id for row in self.registry.pairings() if row.state == "given"]
        await self.broker.allow(*[device.id for device in self.registry.paired()], *unfinished)
        await self._open_links()
        await self._open_browser()
        parts = Parts(
            self.ca, self.broker, self.links, lambda: self.browser, self.registry, self.fleet, self.options.name,
            self.client,
        )  # fmt: skip
        self.admission = Admission(parts)
        await self.admission.repair()
        undone = self.objects.undo_unfinished()
        if undone:
            LOG.info("%d shards of puts that a stop interrupted will be deleted", undone)
        self._spawn("queue", self.objects.upkeep.run)
        await self.dialled.start(self.options.listen, self.broker.endpoints()[0][1] + 1)
        reaching = Reaching(self.dialled, self.fleet.targets, lambda: own_addresses(self.options.listen), self._command)
        self._spawn("reaching", reaching.run)
        self._spawn("recoding", self.objects.recoding.run)
        self._spawn("watch", self._watch)
        self._spawn("pairings", self._finish_pairings)
        self._spawn("departures", self._part_with)
        self._spawn("handover", self.handover.run)
        self._spawn("relays", self.relays.run)
        self._spawn("audits", self.audits.run)
        self._spawn("updates", self.updates.run)
        self._spawn("update source", self.updates.serve)
        if self.web is not None:
            sock = self.web
            self._spawn("web", lambda: web.serve(self.relays, sock))

    async def _open_broker(self) -> None:
        from tools.gateway.links.broker import open_broker

        options, kept = self.options, self.state.port()
        number = 0 if options.port == NEW_PORT else options.port or kept
        if not number and options.port is None:
            number = DEFAULT_BROKER_PORT
        self.broker = open_broker(options.broker, self.state.folder / "broker", self.ca, options.listen, number)
        try:
            await self.broker.start()
        except PortError as error:
            if error.code != "port_busy" or options.port or not kept:
                raise
            text = (
                f"port {kept}, where this core's devices look for it, is used by another program: stop that one, or "
                f"take another port with {self.hint('up --port new')} and pair the devices again"
            )
            raise PortError("port_busy", text) from error
        if not options.broker.startswith("mqtts://"):
            self.state.keep_port(self.broker.local()[1])

    async def _open_links(self) -> None:
        from tools.gateway.links.links import Links

        self.links = Links(self.broker, self.ca, self._is_known)
        self.links.on_left = self._left.put_nowait
        with contextlib.suppress(TimeoutError):  # it goes on trying by itself; status says so
            async with asyncio.timeout(LINKS_S):
                await self.links.start()

    async def _open_browser(self) -> None:
        """Discovery is a convenience: a network without multicast is a warning."""
        from tools.gateway.pairing.discovery import Browser, core_service

        only = [self.options.listen] if self.options.listen else None
        broker_port = self.broker.endpoints()[0][1]
        browser = Browser(only, core_service(self.ca.core_id, self.options.name, broker_port))
        try:
            await browser.start()
        except (CoreletError, OSError) as error:
            LOG.warning("discovery is off: %s", error)
            await browser.close()
            return
        self.browser = browser

    def _is_known(self, device_id: str) -> bool:
        return self.fleet.is_known(device_id) or self.registry.is_pairing(device_id)

    async def _finish_pairings(self) -> None:
        while True:
            if self.admission is not None:
                await self.admission.finish()
            await asyncio.sleep(WATCH_S)

    async def _part_with(self) -> None:
        """Devices that say that they have left."""
        while True:
            device_id = await self._left.get()
            for device in [each for each in self.registry.paired() if each.id == device_id]:
                assert self.admission is not None
                shards = await self.admission.part(device)
                self.client.drop(device.id)
                await self.dialled.drop(device.id)
                self.objects.upkeep.released()
                where = "are made again on the others" if self.registry.paired() else "have no other device to go to"
                LOG.warning("%s has left this core; the %d shards it kept %s", device.name, shards, where)

    def _presence(self, device_id: str) -> Any:
        return self.links.presence(device_id) if self.links is not None else None

    def _make_again(self) -> None:
        """Shards were lost; whose fault it was gets none of them back."""
        self.fleet.reload()
        self.objects.upkeep.wake()

    async def _command(self, device_id: str, op: str, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        answer: dict[str, Any] = await self.links.command(device_id, op, body, timeout_s)
        return answer

    def _spawn(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run for as long as the core does; what ends with an error is logged and started again."""

        async def supervised() -> None:
            while True:
                try:
                    await work()
                except Exception:
                    LOG.exception("%s stopped and is started again", name)
                await asyncio.sleep(RESTART_S)

        self._tasks.append(asyncio.create_task(supervised(), name=name))

    async def _watch(self) -> None:
        """Devices that come and go."""
        while True:
            for device, is_up in self.fleet.changes():
                LOG.info("device %s is %s", device, "up" if is_up else "down")
                if is_up:
                    self.objects.upkeep.welcome(device)
            self.objects.absences.look(self.fleet.targets(), not self.links.trouble)
            if self.browser is None and time.monotonic() > self._discover_at:
                self._discover_at = time.monotonic() + DISCOVER_AGAIN_S
                await self._open_browser()
            await asyncio.sleep(WATCH_S)

    async def stop(self) -> None:
        """Close all parts, each within its share of STOP_S; one that hangs does not keep the others."""
        for task in self._tasks:
            task.cancel()
        await _within(asyncio.gather(*self._tasks, return_exceptions=True), "tasks")
        for part in (self.browser, self.links):
            if part is not None:
                await _within(part.close(), type(part).__name__)
        if self.broker is not None:
            await _within(self.broker.stop(), "broker")
        await _within(self.client.close(), "shard client")
        await _within(self.dialled.close(), "dialled connections")
        await _within(self.updates.close(), "updates")
        self.registry.close()
        self.state.close()

    # What the API asks

    def status(self) -> dict[str, Any]:
        """For `corelet-core status`."""
        up = self.fleet.up()
        devices = self.registry.paired()
        return {
            "name": self.options.name,
            "core": self.ca.core_id,
            "version": agent.__version__,
            "state": str(self.state.folder),
            "broker": self.broker.kind,
            "endpoints": [list(endpoint) for endpoint in self.broker.endpoints()],
            "warnings": self.warnings(),
            "devices": len(devices),
            "devices_up": len(up),
            "profile": str(profile_for(len(up))) if up else "",
            "objects": len(self.registry.objects()),
            "health": self.objects.doctor.summary,
            "waiting": sum(self.registry.job_counts().values()),
            "retries": self.client.retries,
            "relay": self.relays.summary() | {"web": self.web_url()},
            "update_port": self.updates.port,
            "uptime_s": int(time.monotonic() - self.started),
        }

    def web_url(self) -> str:
        """Of the endpoint for applications, "" when it is off."""
        if self.web is None:
            return ""
        host, number = self.web.getsockname()[:2]
        return f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"

    def devices(self) -> list[dict[str, Any]]:
        """For `corelet-core devices`."""
        relayed, reputations = self.registry.relayed(), self.registry.reputations()
        return [
            line
            | {"relay": self.relays.about(line["id"], relayed), "dialled": self.dialled.has(line["id"])}
            | {"reputation": self.audits.listed(reputations[line["id"]])}
            for line in self.fleet.listed()
        ]

    def discovered(self) -> list[dict[str, Any]]:
        """For `corelet-core discover`."""
        return [each.listed() for each in self.browser.found()] if self.browser is not None else []

    async def pair(self, wanted: Wanted, progress: Progress) -> Device:
        """For `corelet-core pair`."""
        assert self.admission is not None
        device = await self.admission.pair(wanted, progress)
        self.objects.upkeep.welcome(device.id)
        return device

    async def forget(self, reference: str, is_forced: bool) -> dict[str, Any]:
        """For `corelet-core forget`. LimitError("last_copies") when files would be lost by it."""
        device = self.registry.device(reference)
        paired = [each.id for each in self.registry.paired()]  # whatever they say of themselves
        before = self.registry.survival(paired)
        after = self.registry.survival([each for each in paired if each != device.id])
        # What is lost already is not lost by this.
        lost = [
            found.name
            for found in self.registry.objects()
            if after.get(found.id, (0, 0))[1] < 0 <= before.get(found.id, (0, 0))[1]
        ]
        if lost and not is_forced:
            text = (
                f"without {device.name} there are too few shards left of {', '.join(lost[:3])}"
                f"{' and others' if len(lost) > 3 else ''}: get them first, or add --force to lose them"
            )
            raise LimitError("last_copies", text)
        assert self.admission is not None
        shards = await self.admission.forget(device)
        self.client.drop(device.id)
        await self.dialled.drop(device.id)
        self.objects.upkeep.released()
        return {
            "device": device.id,
            "name": device.name,
            "shards": shards,
            "lost": lost,
            "others": len(self.registry.paired()),
        }


async def _within(work: Any, name: str) -> None:
    """Await for at most a share of the time a stop may take."""
    if not asyncio.iscoroutine(work) and not asyncio.isfuture(work):
        return  # a part whose close() is not a coroutine has done its work already
    try:
        async with asyncio.timeout(STOP_S / 4):
            await work
    except TimeoutError:
        LOG.warning("%s did not stop in time", name)
    except CoreletError as error:
        LOG.warning("%s did not stop well: %s", name, error.text)


def own_addresses(listen: str) -> list[str]:
    """Where devices can reach this core, for the screen."""
    if listen:
        return [listen]
    with contextlib.suppress(CoreletError, OSError):
        interfaces = port.net.interfaces()
        found = [address for name, address, _ in interfaces if name != "lo" and not address.startswith("fe80")]
        return found or ["127.0.0.1"]
    return [socket.gethostname()]
