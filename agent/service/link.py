"""The driver of one DeviceLink: one core, one MQTT connection at a time, for as long as the device belongs to it.

    service = LinkService(record, identity, hooks, journal)
    supervisor.spawn("link " + core, service.run) ... await service.stop()

`record`: what pairing left, a dict with "core", "ca" (DER), "cert" (DER), "brokers" ([[host, port], ...]).
`hooks`, an object of the app: birth() -> dict and telemetry() -> dict (short, not async), bound() (durable when it
returns), async command(op, body) -> dict (a CoreletError becomes a negative answer).

A command runs in a task of its own; `bound` is run here, because nothing may overtake it.
"""

import asyncio
from collections import namedtuple

from agent import port
from agent.core import link as machines
from agent.errors import CoreletError, PeerError, PortError
from agent.port.options import LinkOptions
from agent.wire import envelope

if False:
    from typing import Any

KEEPALIVE_S = 60
PACKET_BYTES_MAX = envelope.ENVELOPE_BYTES_MAX + 512  # the topic, and properties that a broker may add
GOODBYE_MS_MAX = 2_000
FAREWELL_MS_MAX = 5_000  # of a device that leaves: its core should hear it, but cannot keep it
PAUSE_MS_MAX = 3_600_000

# `device`: id; `key_der`: SEC1 private key; `boot`: the persisted count of starts.
Identity = namedtuple("Identity", ("device", "key_der", "boot"))
# What this driver needs of the port; a test gives its own.
Ports = namedtuple("Ports", ("clock", "net", "codec", "entropy", "link"))


def ports() -> Ports:
    return Ports(port.clock, port.net, port.codec(), port.crypto().entropy, port.link())


class LinkService:
    """`trouble`: the last failure as a sentence, "" while the link is up."""

    def __init__(
        self, record: "dict[str, Any]", identity: Identity, hooks: "Any", journal: "Any", world: Ports | None = None
    ) -> None:
        self.core: str = record["core"]
        self.trouble = "not connected yet"
        self._record = record
        self._identity = identity
        self._hooks = hooks
        self._journal = journal
        self._world = world or ports()
        brokers = [(host, number) for host, number in record["brokers"]]
        self._machine = machines.DeviceLink(
            self._world.codec, self._world.entropy, identity.device, identity.boot, brokers
        )
        self._source = "link " + self.core
        self._link: Any = None
        self._receiver: Any = None
        self._is_stopped = False
        self._stir = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._machine.state == machines.UP

    @property
    def session(self) -> int:
        """Number of the current or last connection."""
        return self._machine.session

    def begin_after(self, session: int) -> None:
        """Count on from another link's sessions of this boot; before `run`."""
        self._machine.session = session

    def core_time(self, now_ms: int) -> int | None:
        """Unix seconds by the core's clock; None before it has told us."""
        return self._machine.core_time(now_ms)

    def refresh(self) -> None:
        """Something that the birth says has changed."""
        self._machine.refresh(self._now())
        self._stir.set()

    async def run(self) -> None:
        """Until `stop`, or until it is cancelled; both end with an orderly goodbye."""
        self._machine.start(self._now())
        try:
            while not self._is_stopped:
                await self._settle()
                await self._pause()
        finally:
            await self._goodbye()

    async def stop(self) -> None:
        self._is_stopped = True
        self._stir.set()
        await self._goodbye()

    async def leave(self) -> bool:
        """`stop`, and tell the core that it is for ever. Whether its broker has acknowledged that."""
        self._is_stopped = True
        self._stir.set()
        return await self._goodbye(True)

    def _now(self) -> int:
        now: int = self._world.clock.now_ms()
        return now

    async def _pause(self) -> None:
        """Until the machine wants to be woken, or something happened."""
        now = self._now()
        when = self._machine.wake_at
        delay_ms = PAUSE_MS_MAX if when is None else min(PAUSE_MS_MAX, max(0, when - now))
        if delay_ms and not self._stir.is_set():
            try:
                await self._world.net.wait_for(self._stir.wait(), delay_ms)
            except PortError as error:
                if error.code != "timeout":
                    raise
        self._stir.clear()
        if not self._is_stopped:
            self._machine.wake(self._now())

    async def _settle(self) -> None:
        machine = self._machine
        while (machine.events or machine.outgoing) and not self._is_stopped:
            for event in machine.drain_events():
                await self._act(event)
            for payload, publish in machine.drain_outgoing():
                await self._publish(payload, publish)

    async def _act(self, event: "Any") -> None:
        if isinstance(event, machines.Connect):
            await self._connect(event)
        elif isinstance(event, machines.BirthWanted):
            self._say(self._machine.birth, self._hooks.birth)
        elif isinstance(event, machines.TelemetryWanted):
            self._say(self._machine.telemetry, self._hooks.telemetry)
        elif isinstance(event, machines.Command) and event.op == "bound":
            self._bound(event)
        elif isinstance(event, machines.Command):
            self._world.net.spawn(self._run_command(event))

    def _say(self, send: "Any", gather: "Any") -> None:
        try:
            send(gather(), self._now())
        except CoreletError as error:
            self._journal.error(self._source, error.text)

    def _bound(self, event: machines.Command) -> None:
        try:
            self._hooks.bound()
        except CoreletError as error:
            self._answer(event, False, {"code": error.code, "text": error.text})
            return
        self._answer(event, True, {})

    async def _run_command(self, event: machines.Command) -> None:
        try:
            result = await self._hooks.command(event.op, event.body)
        except CoreletError as error:
            self._journal.warning(self._source, "command " + event.op + ": " + error.text)
            self._answer(event, False, {"code": error.code, "text": error.text})
            return
        self._answer(event, True, result)

    def _answer(self, event: machines.Command, is_ok: bool, body: "dict[str, Any]") -> None:
        self._machine.answer(event.correlation, is_ok, body, self._now())
        self._stir.set()

    async def _connect(self, event: machines.Connect) -> None:
        device = self._identity.device
        options = LinkOptions(
            event.broker[0],
            event.broker[1],
            "core-" + self.core,
            self._record["ca"],
            self._record["cert"],
            self._identity.key_der,
            device,
            KEEPALIVE_S,
            event.will_topic,
            event.will_payload,
            PACKET_BYTES_MAX,
        )
        link: Any = None
        try:
            link = self._link = self._world.link.open(options)
            await link.connect()
            for kind in envelope.DN_KINDS:
                await link.subscribe(envelope.topic(device, "dn", kind))
        except CoreletError as error:
            await self._lost(link, error)
            return
        self.trouble = ""
        self._journal.info(self._source, f"connected to {event.broker[0]} port {event.broker[1]}")
        self._receiver = self._world.net.spawn(self._receive(link))
        self._machine.connected(self._now())

    async def _publish(self, payload: bytes, publish: machines.Publish) -> None:
        link = self._link
        if link is None:
            return  # the session ended meanwhile; the next one begins with a birth
        try:
            await link.publish(publish.topic, payload, publish.qos, publish.retain)
        except CoreletError as error:
            await self._lost(link, error)

    async def _receive(self, link: "Any") -> None:
        try:
            while True:
                topic, payload = await link.receive()
                try:
                    self._machine.receive(payload, topic, self._now())
                except PeerError as error:
                    self._journal.warning(self._source, error.text)
                self._stir.set()
        except PortError as error:
            self._receiver = None
            await self._lost(link, error)
        except MemoryError:  # a link that nobody hears any more would look like one that is up
            self._receiver = None
            await self._lost(link, PortError("memory", "There was no room in memory for a message of the core."))

    async def _lost(self, link: "Any", error: CoreletError) -> None:
        """A link object is never used again after a failure."""
        if self._link is not link:
            return
        self._link = None
        self.trouble = error.text
        self._journal.warning(self._source, error.text)
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.cancel()
        self._machine.disconnected(self._now())
        self._stir.set()
        if link is not None:
            await link.close()

    async def _goodbye(self, is_leaving: bool = False) -> bool:
        """Whether it was acknowledged."""
        self._machine.stop(self._now(), is_leaving)
        link, self._link = self._link, None
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.cancel()
        is_heard = False
        if link is None:
            return is_heard
        try:
            for payload, publish in self._machine.drain_outgoing():
                sending = link.publish(publish.topic, payload, publish.qos, publish.retain)
                await self._world.net.wait_for(sending, FAREWELL_MS_MAX if is_leaving else GOODBYE_MS_MAX)
                is_heard = True
        except CoreletError as error:
            self._journal.info(self._source, "no goodbye was said: " + error.text)
        await link.close()
        return is_heard
